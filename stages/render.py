"""Render Streetfolk, the procedural street, in Market-1501's layout."""

from reanchor.streetfolk.dataset import render_dataset
from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    return render_dataset(run.params.render, run.root / "data/streetfolk",
                          processes=run.params.runtime.processes)


if __name__ == "__main__":
    run_stage("render", body)
