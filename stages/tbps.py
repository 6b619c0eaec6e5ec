"""Stage `tbps`: text-based person search with both towers of the backbone (`--model tbps_clip`)."""

import argparse

from reanchor.data import Manifest
from reanchor.tbps.train import train_tbps
from stages.runner import StageRun, run_stage

MODELS = ("clip_tuned", "sdm", "tbps_clip")


def body(run: StageRun) -> dict:
    out = run.root / "models/tbps" / run.model
    if not getattr(run.params.tbps, run.model).train:
        return run.skip(out, f"tbps.{run.model}.train is false")
    if not any(Manifest.read(run.root / "data/prepared/manifest.parquet").captions):
        return run.skip(out, "no image of the dataset has a caption")
    figures = train_tbps(run.model, run.params, run.root, out, run.recorder(run.model))
    run.log_model(run.model, out)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, required=True, help="which model to train")
    run_stage("tbps", body, model=parser.parse_args().model)


if __name__ == "__main__":
    main()
