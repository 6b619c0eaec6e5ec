"""Stage `imported`: a model that was trained elsewhere, as a model folder."""

from reanchor.config.sections.models import NOTHING_IMPORTED
from reanchor.weights.importing import import_model
from reanchor.weights.outcome import figures, table
from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    out = run.root / "models/imported"
    if run.params.imported.path == NOTHING_IMPORTED:
        return run.skip(out, "imported.path names no checkpoint")
    outcomes = import_model(run.params.imported, out, run.root)
    print(table(outcomes))
    run.log_model("imported", out)
    return figures(outcomes)


if __name__ == "__main__":
    run_stage("imported", body)
