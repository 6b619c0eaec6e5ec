"""Stage `prompts`: CLIP-ReID stage 1."""

from reanchor.methods.clip_reid.prompts import train_prompts
from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    out = run.root / "models/prompts"
    if not run.params.prompts.train:
        return run.skip(out, "prompts.train is false")
    figures = train_prompts(run.params.prompts, run.root, out, run.params.runtime, run.recorder("prompts"))
    run.log_model("prompts", out)
    return figures


if __name__ == "__main__":
    run_stage("prompts", body)
