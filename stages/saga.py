"""Stage `saga`: SAGA stages 3a and 3b on the fine-tuned CLIP-ReID backbone."""

from reanchor.methods.saga.run import train_saga
from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    out = run.root / "models/saga"
    if not run.params.saga.train:
        return run.skip(out, "saga.train is false")
    figures = train_saga(run.params, run.root, out, run.recorder("saga"))
    run.log_model("saga", out)
    return figures


if __name__ == "__main__":
    run_stage("saga", body)
