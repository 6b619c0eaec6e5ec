"""Flows against a real Prefect server, on a DVC project small enough to run in seconds."""

import importlib
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from flow_project import DVC_YAML, ENVIRONMENT, STAGE, make_project, training_project
from prefect_server import ask

from reanchor.errors import ReanchorError
from stages.settings_lock import SettingsHeld

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A two-stage DVC project inside a git repository."""
    return make_project(tmp_path_factory.mktemp("project"), stage_py=STAGE, dvc_yaml=DVC_YAML, source_txt="hello ")


def _states(folder: Path) -> dict[str, str]:
    from pipelines.flow import study

    return study(workspace=str(folder))


def test_the_graph_is_dvcs_own(project):
    from pipelines.dvc_commands import stage_graph

    graph = stage_graph(project)
    assert list(graph) == ["prepare", "evaluate"]
    assert graph == {"prepare": [], "evaluate": ["prepare"]}


def test_the_studys_graph_has_every_stage_after_what_it_needs(root):
    from pipelines.dvc_commands import stage_graph

    graph = stage_graph(root)
    order = list(graph)
    assert order[0] in ("backbone", "render") and order[-1] == "report"
    assert all(order.index(need) < order.index(stage) for stage, needs in graph.items() for need in needs)
    assert "clip_reid" in graph["saga"] and "prompts" in graph["clip_reid"]


def test_a_flow_runs_what_changed_and_skips_the_rest(server, project):
    assert _states(project) == {"prepare": "Completed", "evaluate": "Completed"}
    assert (project / "evaluate.txt").read_text() == "hello prepareevaluate"
    assert _states(project) == {"prepare": "Skipped", "evaluate": "Skipped"}

    runs = ask(lambda client: client.read_task_runs())
    assert {(run.name, run.state_name) for run in runs if run.name in ("prepare", "evaluate")} == {
        (name, state) for name in ("prepare", "evaluate") for state in ("Completed", "Skipped")
    }
    edges = [run for run in runs if run.name == "evaluate" and run.task_inputs.get("wait_for")]
    assert len(edges) == 2, "the dashboard draws DVC's graph from these"
    flows = ask(lambda client: client.read_flow_runs())
    ours = [run.state_name for run in flows if run.parameters["workspace"] == str(project)]
    assert ours == ["Completed", "Completed"]


def test_logs_metrics_and_results_can_be_read_on_the_server(server, project):
    from prefect.artifacts import Artifact

    (project / "source.txt").write_text("other ")
    _states(project)
    results = json.loads(Artifact.get(key="results").data)
    assert results == [{"method": "saga", "whole": 51.5}]
    metrics = json.loads(Artifact.get(key="metrics").data)
    assert {"stage": "prepare", "metric": "letters", "value": 6} in metrics
    deadline = time.monotonic() + 10  # logs travel in batches
    while not any("working on prepare" in log.message for log in ask(lambda client: client.read_logs())):
        assert time.monotonic() < deadline, "a stage's output did not reach the server"
        time.sleep(0.3)


def test_a_failing_stage_fails_the_flow_with_its_own_words(server, project):
    from pipelines.dvc_commands import DvcFailed

    (project / "source.txt").write_text("broken")
    with pytest.raises(DvcFailed, match=r"stage prepare: .*got a broken file"):
        _states(project)
    (project / "source.txt").write_text("hello ")
    assert _states(project)["prepare"] in ("Completed", "Skipped")  # restored from DVC's run cache


def test_wrong_settings_stop_the_flow_before_any_stage(server, project):
    (project / "params.yaml").write_text("finetune: {recipe: {epoch: 3}}\n")
    with pytest.raises(ReanchorError, match=r"finetune\.recipe\.epoch: unknown key .*did you mean 'epochs'"):
        _states(project)
    (project / "params.yaml").unlink()


def test_settings_that_change_under_a_flow_end_it(server, project, caplog):
    (project / "source.txt").write_text("edit ")
    (project / "evaluate.txt").unlink(missing_ok=True)
    with pytest.raises(ReanchorError, match=r"params\.yaml changed under this run"):
        _states(project)
    assert (project / "prepare.txt").read_text() == "edit prepare" and not (project / "evaluate.txt").exists()
    assert not any(record.exc_info for record in caplog.records if record.levelname == "ERROR")
    (project / "params.yaml").unlink()
    (project / "source.txt").write_text("hello ")


def test_a_second_flow_in_a_workspace_is_refused(server, project, tmp_path):
    holding = ("import time\nfrom pathlib import Path\nfrom stages.settings_lock import settings_lock\n"
               "with settings_lock(Path.cwd()):\n    print('held', flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", holding], cwd=project, env=ENVIRONMENT,
                          stdout=subprocess.PIPE) as first:
        first.stdout.readline()
        with pytest.raises(SettingsHeld, match=f"process {first.pid} .* is at work on these settings"):
            _states(project)
        first.kill()
    assert set(_states(project).values()) <= {"Completed", "Skipped"}


def test_no_overrides_are_the_default_study_and_none_is_params_yaml(tmp_path, monkeypatch):
    from pipelines import flow

    monkeypatch.setattr(flow, "get_run_logger", lambda: logging.getLogger("test"))
    folder = training_project(tmp_path)
    (folder / "params.yaml").write_text("saga:\n  seed: 5\n")
    assert flow.prepare_settings.fn(None, str(folder)) == "saga:\n  seed: 5\n"
    assert flow.prepare_settings.fn(["saga.seed=2"], str(folder)) == "saga:\n  seed: 2\n"
    assert flow.prepare_settings.fn([], str(folder)) == "saga:\n  seed: 1\n"
    assert (folder / "params.yaml").read_text() == "saga:\n  seed: 1\n"


@pytest.mark.parametrize("logger", ["prefect.flow_runs", "prefect.task_runs"])
@pytest.mark.parametrize(("error", "kept"), [(ReanchorError("a setting"), False), (ZeroDivisionError(), True)])
def test_a_mistake_is_logged_without_traceback_and_a_defect_with_it(logger, error, kept):
    from pipelines.plain_errors import log_mistakes_plainly

    log_mistakes_plainly()
    record = logging.LogRecord(logger, logging.ERROR, "", 0, "failed: %r", (error,), (type(error), error, None))
    assert logging.getLogger(logger).filter(record) and (record.exc_info is not None) is kept


def test_a_workspace_in_use_is_said_plainly(project):
    from pipelines.dvc_commands import WorkspaceBusy, reproduce

    (project / "slow.py").write_text("import time; print('at work', flush=True); time.sleep(30)")
    (project / "slow").mkdir(exist_ok=True)
    (project / "slow/dvc.yaml").write_text("stages: {nap: {cmd: python ../slow.py, outs: [nap.txt]}}")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    terminal = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "slow/dvc.yaml:nap"],
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        while "at work" not in terminal.stdout.readline():
            assert terminal.poll() is None
        with pytest.raises(WorkspaceBusy, match="another dvc process is at work in this workspace"):
            reproduce(project, "slow/dvc.yaml:nap", lambda line: None)
    finally:
        os.killpg(terminal.pid, 9)
        terminal.wait()
        (project / "slow/dvc.yaml").unlink()


@pytest.mark.parametrize("module", ["flow", "compare", "serve"])
def test_help_shows_an_example(module, capsys):
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"pipelines.{module}").main(["--help"])
    assert ended.value.code == 0 and f"python -m pipelines.{module}" in capsys.readouterr().out
