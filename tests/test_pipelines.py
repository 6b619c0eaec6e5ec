"""Flows against a real Prefect server, on a DVC project small enough to run in seconds."""

import importlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from reanchor.errors import ReanchorError

ROOT = Path(__file__).resolve().parent.parent
STAGE = """
import json, pathlib, sys
name, source = sys.argv[1], pathlib.Path(sys.argv[2])
if not source.is_file() or "broken" in source.read_text():
    sys.exit(f"{name}: {source}: got a broken file")
pathlib.Path(name + ".txt").write_text(source.read_text() + name)
folder = pathlib.Path("reports", name)
folder.mkdir(parents=True, exist_ok=True)
print("working on", name)
letters = len(source.read_text())
(folder / "metrics.json").write_text(json.dumps({"saga/whole/mAP": 51.5, "letters": letters}))
"""
DVC_YAML = """
stages:
  evaluate:
    cmd: python stage.py evaluate prepare.txt
    deps: [prepare.txt, stage.py]
    outs: [evaluate.txt]
    metrics: [{reports/evaluate/metrics.json: {cache: false}}]
  prepare:
    cmd: python stage.py prepare source.txt
    deps: [source.txt, stage.py]
    outs: [prepare.txt]
    metrics: [{reports/prepare/metrics.json: {cache: false}}]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A Prefect server of its own; the address of its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("prefect")
    address = f"http://127.0.0.1:{port}/api"
    variables = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": address,
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
    process = subprocess.Popen(
        command, env={**os.environ, **variables}, stdout=(home / "log").open("w"), stderr=subprocess.STDOUT
    )
    try:
        _wait_for(f"{address}/health", process, home / "log")
        from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

        with temporary_settings({PREFECT_API_URL: address, PREFECT_HOME: home}):
            yield address
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"the Prefect server did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A two-stage DVC project inside a git repository."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "stage.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / "source.txt").write_text("hello ")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


def _states(folder: Path) -> dict[str, str]:
    from pipelines.flow import study

    return study(workspace=str(folder))


def _read(coroutine_factory):
    """Ask the server through Prefect's own client."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return coroutine_factory(client)


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

    runs = _read(lambda client: client.read_task_runs())
    assert {(run.name, run.state_name) for run in runs if run.name != "settings"} == {
        (name, state) for name in ("prepare", "evaluate") for state in ("Completed", "Skipped")
    }
    edges = [run for run in runs if run.name == "evaluate" and run.task_inputs.get("wait_for")]
    assert len(edges) == 2, "the dashboard draws DVC's graph from these"
    flows = _read(lambda client: client.read_flow_runs())
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
    while not any("working on prepare" in log.message for log in _read(lambda client: client.read_logs())):
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


def test_a_cached_stage_is_linked_to_the_run_that_made_its_weights(server, workspace):
    import numpy as np
    from prefect.artifacts import Artifact

    from pipelines.artifacts import link_model_run
    from stages import tracking

    assert link_model_run(workspace, "saga") is None
    folder = workspace / "models/saga"
    folder.mkdir(parents=True)
    save_file({"scale": np.ones(2, dtype=np.float32)}, folder / "weights.safetensors")
    assert link_model_run(workspace, "saga") is None  # weights of unknown origin
    run_id = tracking.log_evaluation(tracking.weights_sha256(folder), {}, root=workspace, name="saga")
    assert link_model_run(workspace, "saga") == run_id
    assert run_id in Artifact.get(key="mlflow-saga").data


def test_a_picture_is_small_and_shown_inline(server, workspace):
    from PIL import Image
    from prefect.artifacts import Artifact

    from pipelines.artifacts import publish_picture

    assert publish_picture(workspace) is None
    (workspace / "data/prepared").mkdir(parents=True)
    Image.effect_noise((2000, 1000), 40).save(workspace / "data/prepared/contact_sheet.png")
    assert publish_picture(workspace) == "data/prepared/contact_sheet.png"
    shown = Artifact.get(key="picture").data
    assert "](data:image/jpeg;base64," in shown and len(shown) < 400_000


def test_deployments_are_served_one_flow_at_a_time(workspace):
    from pipelines.serve import deployments

    nightly, on_demand, compared = deployments(workspace, "0 2 * * *")
    assert (nightly.flow_name, nightly.name, on_demand.name, compared.flow_name) == (
        "study",
        "nightly",
        "on-demand",
        "compare",
    )
    assert nightly.schedules[0].schedule.cron == "0 2 * * *" and not on_demand.schedules
    assert on_demand.parameters == {"workspace": str(workspace), "overrides": []}


def test_a_comparison_averages_over_seeds():
    from pipelines.compare import experiment_metrics, experiment_name, summarise

    def shown(name, value):
        metrics = {
            "reports/evaluate/metrics.json": {"data": {"saga/whole/mAP": value}},
            "reports/search/metrics.json": {"data": {"mgcc/whole/R1": value + 10, "seconds": 2.0}},
            "reports/saga/metrics.json": {"data": {"seconds": 3.0}},
        }
        return {"name": name, "revs": [{"data": {"metrics": metrics}}]}

    names = {("saga", seed): experiment_name("saga", seed, ["profile=smoke"]) for seed in (0, 1)}
    assert names["saga", 0] == "compare-saga-seed0-profile-smoke"
    metrics = experiment_metrics(
        [
            {"experiments": None},
            {"experiments": [shown(names["saga", 0], 50.0), shown(names["saga", 1], 54.0)]},
        ]
    )
    assert summarise(metrics, names) == [
        {"method": "saga", "metric": "saga/whole/mAP", "mean": 52.0, "seeds": 2, "deviation": 2.8284},
        {"method": "saga", "metric": "search/mgcc/whole/R1", "mean": 62.0, "seeds": 2, "deviation": 2.8284},
    ]


def test_both_judging_stages_have_a_results_table(tmp_path):
    from pipelines.artifacts import metric_rows, result_rows

    for stage, figures in (("evaluate", {"saga/whole/mAP": 51.5, "saga/lead_slope_people/mAP": 1.0}),
                           ("search", {"mgcc/whole/R1": 60.0, "mgcc/gallery-ogor/R1": 50.0, "mgcc/whole/mAP": 40.0})):
        (tmp_path / "reports" / stage).mkdir(parents=True)
        (tmp_path / "reports" / stage / "metrics.json").write_text(json.dumps(figures))
    rows = metric_rows(tmp_path)
    assert result_rows(rows) == [{"method": "saga", "whole": 51.5}]
    assert result_rows(rows, "search", "R1") == [{"method": "mgcc", "gallery-ogor": 50.0, "whole": 60.0}]


@pytest.mark.parametrize("module", ["flow", "compare", "serve"])
def test_help_shows_an_example(module, capsys):
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"pipelines.{module}").main(["--help"])
    assert ended.value.code == 0 and f"python -m pipelines.{module}" in capsys.readouterr().out
