"""Occluded training copies and test suites."""

from reanchor.occlusion.suites import make_occluded
from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    return make_occluded(run.params.occlude, run.root / "data/prepared", run.root / "data/occluded",
                         processes=run.params.runtime.processes)


if __name__ == "__main__":
    run_stage("occlude", body)
