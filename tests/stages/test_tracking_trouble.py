"""MLflow in trouble: the stage goes on, says so in one line, keeps what it could not log, and it is logged later."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import tracking_troubles as troubles
from tracking_troubles import curve, runs, train, weights

from reanchor.config.params import Params
from stages import log_pending
from stages.tracking.judged import experiment_of, find_run, log_methods
from stages.tracking.origin import weights_sha256
from stages.tracking.pending import FOLDERS, pending_files
from stages.tracking.run import ModelRun
from stages.tracking.store import Store, Unreachable, connect, store_of, within

pytestmark = pytest.mark.slow

TEXT = b"not a database at all\n" * 300
AT_THE_START = {
    "locked": (troubles.locked, "database is locked"),
    "garbage": (lambda place: troubles.replaced(place, bytes(range(256)) * 30), "file is not a database"),
    "text": (lambda place: troubles.replaced(place, TEXT), "file is not a database"),
    "truncated": (troubles.truncated, "malformed"),
    "a folder": (lambda place: troubles.replaced(place, None), "unable to open database file"),
    "newer": (troubles.newer, "schema"),
    "mlruns is a file": (troubles.no_folder, "mlruns: File exists"),
}
SERVERS = {
    "dead": (troubles.dead_server, "Connection refused"),
    "silent": (troubles.silent_server, "timed out"),
    "failing": (troubles.failing_server, "500"),
}


@pytest.fixture
def models(monkeypatch) -> list:
    """What would be logged as a model: (run, weights)."""
    logged = []
    monkeypatch.setattr("stages.models.log_pyfunc", lambda run_id, folder, name: logged.append((run_id, name)))
    return logged


def said_once(capfd, reason: str, folder: str) -> None:
    out, err = capfd.readouterr()
    assert err.count("\n") == 1 and err.startswith("tracking: ") and "Traceback" not in out + err, err
    assert reason in err and f"/{folder}/" in err and "`python -m stages.log_pending`" in err and "secret" not in err


def everything_is_logged(workspace, models) -> None:
    assert log_pending.main([]) == 0 and not pending_files(workspace)
    (run,) = runs(workspace)
    assert (run.info.run_name, run.info.status) == ("saga", "FINISHED")
    assert curve(workspace, run.info.run_id) == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert run.data.params["saga.epochs_a"] == "3" and run.data.metrics["images_per_second"] == 120.0
    assert run.data.tags["reanchor.best"] == "epoch 2"
    assert run.data.tags["reanchor.weights_sha256"] == weights_sha256(workspace / "models/saga")
    assert models == [(run.info.run_id, "saga")]


@pytest.mark.parametrize("name", AT_THE_START)
def test_a_broken_store_stops_no_stage(workspace, models, capfd, name):
    trouble, reason = AT_THE_START[name]
    with trouble(workspace):
        train(workspace)
        assert json.loads((workspace / "reports/saga/metrics.json").read_text())["best"] == "epoch 2"
        said_once(capfd, reason, FOLDERS[name == "mlruns is a file"])
        assert log_pending.main([]) == 1  # still in trouble: nothing is lost
        assert reason in capfd.readouterr().err and len(pending_files(workspace)) == 1
    everything_is_logged(workspace, models)


@pytest.mark.parametrize("name", SERVERS)
def test_a_broken_server_stops_no_stage(workspace, models, capfd, monkeypatch, name):
    trouble, reason = SERVERS[name]
    with trouble(workspace, monkeypatch):
        train(workspace)
        said_once(capfd, reason, FOLDERS[0])
        assert log_pending.main([]) == 1
    everything_is_logged(workspace, models)


def test_where_nothing_can_be_kept_either_the_stage_still_goes_on(workspace, models, capfd):
    (workspace / ".checkpoints").mkdir()
    (workspace / ".checkpoints/pending").touch()
    with troubles.no_folder(workspace):
        train(workspace)
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "it cannot be kept either" in err
    assert (workspace / "reports/saga/metrics.json").is_file()


def test_links_are_left_out_where_mlflow_is_in_trouble(workspace, capfd):
    with troubles.locked(workspace):
        assert find_run(workspace, "abc") is None and experiment_of(workspace) is None
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "links to its runs are left out" in err


def test_a_call_that_hangs_is_given_up_and_the_next_does_not_wait():
    with pytest.raises(TimeoutError, match="no answer in"):
        within(0.05, threading.Event().wait)
    assert within(5, lambda: 3) == 3
    with pytest.raises(KeyError):
        within(5, lambda: {}["x"])


def test_after_one_failure_nothing_is_asked_again(workspace):
    store = Store(workspace)
    with pytest.raises(Unreachable, match="no answer in 0 s"):
        store.ask(lambda client: threading.Event().wait(), seconds=0.4)
    with pytest.raises(Unreachable):
        store.ask(lambda client: pytest.fail("asked"))
    assert store_of(workspace) is store_of(workspace)


def test_no_password_is_shown(workspace, monkeypatch):
    """Neither in the address nor in an error that repeats it."""
    address = "http://me:se@c/r@et@server:5000/runs"
    monkeypatch.setenv(troubles.URI, address)

    def refused(client) -> None:
        raise ValueError(f"cannot open {address} nor file:///home/a@b")

    with pytest.raises(Unreachable) as trouble:
        Store(workspace).ask(refused)
    plain = "http://server:5000/runs"
    assert str(trouble.value) == f"{plain}: cannot open {plain} nor file:///home/a@b"


def test_make_clean_leaves_what_is_not_logged_yet(workspace):
    for folder in (*FOLDERS, ".checkpoints/prompts"):
        (workspace / folder).mkdir(parents=True)
        (workspace / folder / "a.jsonl").touch()
    (workspace / ".checkpoints/saga-1.pt").touch()
    makefile = Path(log_pending.__file__).parents[1] / "Makefile"
    for _ in range(2):
        subprocess.run(["make", "-f", makefile, "clean"], cwd=workspace, check=True, timeout=60)
    assert [file.parent for file in pending_files(workspace)] == [workspace / folder for folder in FOLDERS]
    assert [file.name for file in (workspace / ".checkpoints").iterdir()] == ["pending"]


def test_a_process_ends_though_a_server_never_answers(workspace, monkeypatch):
    script = ("import pathlib, time; from stages.tracking.store import Store, Unreachable\n"
              "try: Store(pathlib.Path.cwd()).ask(lambda client: time.sleep(3600), seconds=0.2)\n"
              "except Unreachable: print('given up')")
    done = subprocess.run([sys.executable, "-c", script], cwd=workspace, capture_output=True, text=True, timeout=120,
                          env={"PYTHONPATH": str(log_pending.__file__).rpartition("/stages/")[0], "PATH": "/usr/bin"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "given up\n", "")


def test_a_slow_server_is_asked_less_often(workspace, monkeypatch):
    clock = iter([0.0, 3.0, 3.0, 4.0, 10.0, 50.0, 70.0, 70.0])
    run = ModelRun.open(workspace, "saga", Params())
    sent = []
    monkeypatch.setattr(run, "_send", lambda record, seconds: sent.append(len(record["points"])))
    monkeypatch.setattr("stages.tracking.run.time.monotonic", lambda: next(clock))
    run._flushed = 0.0
    run.log(0, {"loss": 1.0})  # at 0
    run.log(1, {"loss": 1.0})  # at 3: sent, takes from 3 to 4
    assert sent == [2]
    run.log(2, {"loss": 1.0})  # at 10: too early
    assert sent == [2]
    run.log(3, {"loss": 1.0})  # at 50
    assert sent == [2, 2]


def test_a_machine_without_git_logs_a_run(workspace, monkeypatch):
    monkeypatch.setenv("PATH", str(workspace))
    run = ModelRun.open(workspace, "backbone", Params())
    assert connect(workspace).get_run(run.run_id).info.status == "RUNNING"


def test_a_restored_gate_names_its_parents(workspace):
    for folder in ("backbone", "baseline", "gate"):
        weights(workspace / "models" / folder, float(len(folder)))
    params = Params()
    params.gate.model = "baseline"
    log_methods(workspace, {"gate/whole/mAP": 41.0}, "evaluate", params)
    (run,) = runs(workspace)
    parents = {key: value for key, value in run.data.tags.items() if key.startswith("reanchor.parent.")}
    assert parents == {"reanchor.parent.backbone": weights_sha256(workspace / "models/backbone"),
                       "reanchor.parent.baseline": weights_sha256(workspace / "models/baseline")}


def test_nobody_is_told_what_is_run_here(workspace):
    def said(script: str, **variables) -> str:
        environment = {"PYTHONPATH": str(log_pending.__file__).rpartition("/stages/")[0], "PATH": "/usr/bin"}
        return subprocess.run([sys.executable, "-c", script], cwd=workspace, capture_output=True, text=True, check=True,
                              env=environment | variables).stdout.strip()

    assert said("import stages.train, mlflow.telemetry.utils as utils, mlflow.telemetry as telemetry\n"
                "from huggingface_hub import constants\n"
                "print(utils.is_telemetry_disabled(), telemetry.get_telemetry_client(), "
                "constants.HF_HUB_DISABLE_TELEMETRY)") == "True None True"
    names = ("MLFLOW_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")
    assert said(f"import stages, os; print(*(os.environ[name] for name in {names}))",
                **dict.fromkeys(names, "false")) == "false false"
