"""Stage `mgcc`: text-to-image search by selected tokens and similarities at four granularities."""

from reanchor.formats.manifest import Manifest
from reanchor.formats.sentences import untrainable
from reanchor.methods.mgcc.train import train_mgcc
from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    out = run.root / "models/mgcc"
    if not run.params.mgcc.train:
        return run.skip(out, "mgcc.train is false")
    if reason := untrainable(Manifest.read(run.root / "data/prepared/manifest.parquet")):
        return run.skip(out, reason)
    figures = train_mgcc(run.params, run.root, out, run.recorder("mgcc"))
    run.log_model("mgcc", out)
    return figures


if __name__ == "__main__":
    run_stage("mgcc", body)
