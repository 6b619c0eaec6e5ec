"""Stage `gate`: the visibility network, and a model whose [CLS] is replayed behind its gate."""

from reanchor.methods.gate.train import train_gate
from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    out = run.root / "models/gate"
    if not run.params.gate.train:
        return run.skip(out, "gate.train is false")
    figures = train_gate(run.params, run.root, out, run.recorder("gate"))
    run.log_model("gate", out)
    return figures


if __name__ == "__main__":
    run_stage("gate", body)
