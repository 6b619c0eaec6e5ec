"""Flows against a real Prefect server, on a DVC project small enough to run in seconds."""

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from flow_project import DVC_YAML, STAGE, make_project
from prefect_server import ask

from reanchor.errors import ReanchorError


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
    assert "finetune@clip_reid" in graph["saga"] and "prompts" in graph["finetune@clip_reid"]


def test_a_flow_runs_what_changed_and_skips_the_rest(server, project):
    assert _states(project) == {"prepare": "Completed", "evaluate": "Completed"}
    assert (project / "evaluate.txt").read_text() == "hello prepareevaluate"
    assert _states(project) == {"prepare": "Skipped", "evaluate": "Skipped"}

    runs = ask(lambda client: client.read_task_runs())
    assert {(run.name, run.state_name) for run in runs if run.name != "settings"} == {
        (name, state) for name in ("prepare", "evaluate") for state in ("Completed", "Skipped")
    }
    edges = [run for run in runs if run.name == "evaluate" and run.task_inputs.get("wait_for")]
    assert len(edges) == 2, "the dashboard draws DVC's graph from these"
    flows = ask(lambda client: client.read_flow_runs())
    assert [run.state_name for run in flows] == ["Completed", "Completed"]


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
    (project / "params.yaml").write_text("finetune: {epoch: 3}\n")
    with pytest.raises(ReanchorError, match=r"finetune\.epoch: unknown key .*did you mean 'epochs'"):
        _states(project)
    (project / "params.yaml").unlink()


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
