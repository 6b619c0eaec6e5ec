"""A stage that fails or has nothing to do: what is printed, what is left behind, what MLflow is told."""

import json
import os

import pytest

from reanchor.errors import ReanchorError
from stages.runner import StageRun, run_stage
from stages.tracking.store import connect


def _raise(error: Exception):
    def body(run):
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ReanchorError("prepare.root: got 'x';\nallowed: a folder"),
            "prepare: prepare.root: got 'x'; allowed: a folder\n",
        ),
        (
            FileNotFoundError(2, "No such file", "data/prepared/manifest.parquet"),
            "prepare: data/prepared/manifest.parquet: not found; "
            "run `dvc repro prepare` to make what this stage reads\n",
        ),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(workspace, capsys, error, said):
    (workspace / "params.yaml").write_text("{}\n")
    with pytest.raises(SystemExit) as ended:
        run_stage("prepare", _raise(error))
    assert ended.value.code == 2 and capsys.readouterr().err == said
    assert not (workspace / "reports/prepare/metrics.json").exists()


def test_wrong_settings_stop_before_the_body(workspace, capsys):
    (workspace / "params.yaml").write_text("prepare: {hight: 9}\n")
    with pytest.raises(SystemExit):
        run_stage("prepare", lambda run: pytest.fail("the body ran"))
    assert "params.yaml: prepare.hight: unknown key (value 9); did you mean 'height'?" in capsys.readouterr().err


def test_several_processes_are_refused_where_a_stage_does_not_share_its_batches(workspace, monkeypatch, capsys):
    (workspace / "params.yaml").write_text("{}\n")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SystemExit) as ended:
        run_stage("mgcc", lambda run: pytest.fail("the body ran"))
    line = capsys.readouterr().err
    assert ended.value.code == 2 and line.startswith("mgcc: WORLD_SIZE: got 4") and line.count("\n") == 1
    assert "python -m stages.train mgcc" in line and "tbps_clip" in line
    run_stage("sdm", lambda run: {"seen": 1})
    assert json.loads((workspace / "reports/sdm/metrics.json").read_text())["seen"] == 1


def test_a_failing_program_keeps_its_traceback_and_fails_its_run(workspace):
    (workspace / "params.yaml").write_text("{}\n")

    def body(run):
        run.recorder().log(1, {"loss": 1.0})
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        run_stage("saga", body)
    client = connect(workspace)
    (run,) = client.search_runs([client.get_experiment_by_name("reanchor").experiment_id])
    assert run.info.status == "FAILED"


def test_a_stage_that_no_method_needs_leaves_a_note_and_no_run(workspace):
    (workspace / "params.yaml").write_text("runtime: {threads: 1}\n")

    def body(run: StageRun) -> dict:
        return run.skip(run.root / "models/clip_reid", "no method needs it")

    run_stage("clip_reid", body)
    assert [file.name for file in (workspace / "models/clip_reid").iterdir()] == ["skipped.json"]
    assert json.loads((workspace / "reports/clip_reid/metrics.json").read_text())["skipped"] == 1
    assert (workspace / "reports/clip_reid/curves.csv").read_text() == "step\n"
    assert connect(workspace).get_experiment_by_name("reanchor") is None


def test_a_finished_stage_takes_its_own_checkpoints_away_and_no_others(workspace):
    (workspace / "params.yaml").write_text("{}\n")
    folder = workspace / ".checkpoints"
    (folder / "study").mkdir(parents=True)
    own = ["baseline-1.pt", "baseline-1.pt.previous", "baseline-2.pt.damaged",
           ".baseline-1.pt.4194305.partial"]  # of a process that is no more
    others = ["clip_reid-1.pt", "clip_reid-1.pt.previous", "prompts-1.pt",
              ".clip_reid-1.pt.4194305.partial", f".baseline-1.pt.{os.getppid()}.partial"]
    for name in own + others:
        (folder / name).touch()
    run_stage("baseline", lambda run: {})
    assert sorted(path.name for path in folder.iterdir()) == sorted([*others, "study"])
    with pytest.raises(ZeroDivisionError):
        run_stage("clip_reid", lambda run: 1 / 0)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*others, "study"])
