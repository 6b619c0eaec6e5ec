"""Stage `finetune`: CLIP-ReID stage 2, or the no-text baseline (`--model baseline`)."""

import argparse

from reanchor.clipreid.train import train_stage2
from stages.runner import StageRun, run_stage

NEEDED_BY = {"baseline": ("baseline",), "clip_reid": ("clip_reid", "saga")}


def body(run: StageRun) -> dict:
    out = run.root / "models/finetune" / run.model
    if not run.wanted(*NEEDED_BY[run.model]):
        return run.skip(out, f"none of {', '.join(NEEDED_BY[run.model])} is among evaluate.methods")
    figures = train_stage2(run.model, run.params, run.root, out, run.recorder(run.model))
    run.log_model(run.model, out)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=sorted(NEEDED_BY), required=True, help="which model to fine-tune")
    run_stage("finetune", body, model=parser.parse_args().model)


if __name__ == "__main__":
    main()
