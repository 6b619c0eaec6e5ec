"""Stage `finetune`: CLIP-ReID stage 2, or the no-text baseline (`--model baseline`)."""

import argparse

from reanchor.methods.clip_reid.train import train_stage2
from stages.runner import StageRun, run_stage

MODELS = ("baseline", "clip_reid")


def body(run: StageRun) -> dict:
    out = run.root / "models/finetune" / run.model
    if not getattr(run.params.finetune, run.model).train:
        return run.skip(out, f"finetune.{run.model}.train is false")
    figures = train_stage2(run.model, run.params, run.root, out, run.recorder(run.model))
    run.log_model(run.model, out)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, required=True, help="which model to fine-tune")
    run_stage("finetune", body, model=parser.parse_args().model)


if __name__ == "__main__":
    main()
