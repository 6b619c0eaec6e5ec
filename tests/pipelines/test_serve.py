"""What is served: when it runs, on which settings, and that it really runs and can be cancelled."""

import os
import subprocess
import sys
import time

import psutil
import pytest
from flow_project import ENVIRONMENT, training_project
from prefect_server import ask

from pipelines.schedule import machine_timezone, nightly_schedule
from reanchor.errors import ReanchorError

pytestmark = pytest.mark.slow

SERVE = [sys.executable, "-m", "pipelines.serve"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return training_project(tmp_path_factory.mktemp("served"))


def test_deployments_hold_their_own_settings(tmp_path):
    from pipelines.serve import deployments

    nightly, on_demand, compared = deployments(tmp_path, nightly_schedule("0 2 * * *", "Asia/Tokyo"), ["saga.seed=2"])
    assert (nightly.flow_name, nightly.name, on_demand.name, compared.flow_name) == (
        "study", "nightly", "on-demand", "compare")
    (when,) = nightly.schedules
    assert (when.schedule.cron, when.schedule.timezone) == ("0 2 * * *", "Asia/Tokyo") and not on_demand.schedules
    assert nightly.parameters == {"workspace": str(tmp_path), "overrides": ["saga.seed=2"]}
    assert on_demand.parameters == {"workspace": str(tmp_path), "overrides": []}
    assert deployments(tmp_path, when.schedule, [])[0].parameters["overrides"] == []  # composed, not params.yaml


@pytest.mark.parametrize(("variable", "zone"), [("Asia/Tokyo", "Asia/Tokyo"), (":Europe/Berlin", "Europe/Berlin")])
def test_the_schedule_is_read_in_the_machines_zone(monkeypatch, variable, zone):
    monkeypatch.setenv("TZ", variable)
    assert machine_timezone() == zone
    assert nightly_schedule("0 2 * * *", None).timezone == zone
    assert nightly_schedule("0 2 * * *", "America/Lima").timezone == "America/Lima"


@pytest.mark.parametrize(("cron", "zone", "variable", "said"), [
    ("every day at two", None, "UTC", "--cron: got 'every day at two', which is no cron line"),
    ("61 2 * * *", None, "UTC", "--cron: got '61 2 * * *'"),
    ("0 2 * * *", "Mars/Olympus", "UTC", "--timezone: got 'Mars/Olympus', which is no time zone"),
    ("0 2 * * *", None, "Mars/Olympus", "TZ: got 'Mars/Olympus', which names no time zone"),
    ("0 2 * * *", None, "JST-9", "TZ: got 'JST-9'"),
])
def test_a_wrong_schedule_is_one_line(monkeypatch, cron, zone, variable, said):
    monkeypatch.setenv("TZ", variable)
    with pytest.raises(ReanchorError) as raised:
        nightly_schedule(cron, zone)
    assert str(raised.value).startswith(said) and "\n" not in str(raised.value)
    assert "allowed: " in str(raised.value)


@pytest.mark.parametrize(("arguments", "said"), [
    (["--cron", "often"], "serve: --cron: got 'often'"),
    (["--timezone", "Nowhere"], "serve: --timezone: got 'Nowhere'"),
    (["saga.sed=1"], "serve: conf: saga.sed=1: unknown key 'saga.sed'"),
])
def test_mistakes_are_said_before_a_server_is_asked(project, monkeypatch, capsys, arguments, said):
    from pipelines import serve

    monkeypatch.chdir(project)
    monkeypatch.setattr(serve, "chosen_server", lambda: pytest.fail("a server was asked"))
    assert serve.main(arguments) == 2
    written = capsys.readouterr().err
    assert written.startswith(said) and written.count("\n") == 1


def test_an_interruption_while_the_server_starts_is_no_traceback(project, monkeypatch):
    from pipelines import serve

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.chdir(project)
    monkeypatch.setattr(serve, "chosen_server", interrupted)
    assert serve.main([]) == 0


def test_the_announcement_names_settings_and_a_params_yaml_that_differs(project):
    from pipelines.serve import announcement

    when = nightly_schedule("0 2 * * *", "Asia/Tokyo")
    assert announcement(project, when, []) == ["'0 2 * * *' in Asia/Tokyo: the default study"]
    line, note = announcement(project, when, ["saga.seed=2"])
    assert line.endswith("the study with saga.seed=2") and note.startswith("params.yaml holds other settings")


def test_the_schedule_fires_on_its_own_settings_and_a_cancelled_run_leaves_a_checkpoint(server, project, tmp_path):
    """A minute's schedule on a real server: the one slow test of what a user waits for a night to see."""
    (project / "params.yaml").write_text("saga:\n  seed: 5\n")  # what an on-demand run left
    variables = {**ENVIRONMENT, "PREFECT_API_URL": server, "PREFECT_HOME": str(tmp_path),
                 "PYTHONPATH": os.pathsep.join([str(project), os.environ.get("PYTHONPATH", "")])}
    with (tmp_path / "log").open("w") as log, subprocess.Popen(
            [*SERVE, "--cron", "* * * * *", "saga.seed=2"], cwd=project, env=variables, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True) as serving:
        try:
            _until(lambda: (project / "stage.pid").is_file(), 180, serving, tmp_path / "log")
            stage = psutil.Process(int((project / "stage.pid").read_text()))
            (run,) = [run for run in ask(lambda client: client.read_flow_runs()) if run.state_name == "Running"]
            assert run.auto_scheduled and run.deployment_id
            assert (project / "params.yaml").read_text() == "saga:\n  seed: 2\n"
            _cancel(run.id)
            _until(lambda: not stage.is_running(), 60, serving, tmp_path / "log")
            assert (project / "checkpoint").read_text() == "saved"
            _until(lambda: _state(run.id) == "Cancelled", 60, serving, tmp_path / "log")
        finally:
            serving.terminate()
    assert "pid" not in (project / ".dvc/tmp/rwlock").read_text()


def _cancel(run_id) -> None:
    from prefect.states import Cancelling

    ask(lambda client: client.set_flow_run_state(run_id, Cancelling()))


def _state(run_id) -> str:
    return ask(lambda client: client.read_flow_run(run_id)).state_name


def _until(happened, seconds: float, process: subprocess.Popen, log) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.3)


def test_prefect_reports_nothing_from_this_repository(root):
    """`prefect server start` typed here, and a flow's own process anywhere; a user's variable goes before it."""
    script = "from prefect.settings import get_current_settings as now; print(now().server.analytics_enabled)"
    plain = {name: value for name, value in os.environ.items()
             if name not in ("PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK")}

    def said(code: str, folder, **variables: str) -> str:
        return subprocess.run([sys.executable, "-c", code], cwd=folder, env={**plain, **variables}, text=True,
                              capture_output=True, check=True).stdout.strip()

    assert said(script, root) == "False"
    flow = ("import pipelines\nfrom prefect._internal.analytics import is_telemetry_enabled as client\n"
            "print(client())\n" + script)
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    assert said(flow, "/", PYTHONPATH=path, CI="").split() == ["False", "False"]
    theirs = {"DO_NOT_TRACK": "false", "PREFECT_SERVER_ANALYTICS_ENABLED": "true"}
    assert said(flow, root, PYTHONPATH=path, CI="", **theirs).split() == ["True", "True"]
