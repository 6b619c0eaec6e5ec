"""A dataset's folder checked, divided, and stored once as manifest and pixels."""

import json

from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    from reanchor.data.prepare import prepare

    out = run.root / "data/prepared"
    metrics = prepare(run.params.prepare, out, processes=run.params.runtime.processes, workspace=run.root)
    for note in json.loads((out / "statistics.json").read_text())["notes"]:
        print(f"[prepare] note: {note}", flush=True)
    return metrics


if __name__ == "__main__":
    run_stage("prepare", body)
