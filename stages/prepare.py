"""A dataset's folder checked, divided, and stored once as manifest and pixels."""

from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    from reanchor.data import prepare

    return prepare(run.params.prepare, run.root / "data/prepared", processes=run.params.runtime.processes,
                   workspace=run.root)


if __name__ == "__main__":
    run_stage("prepare", body)
