"""MLflow in trouble: the stage goes on, says so in one line, keeps what it could not log, and it is logged later."""

import json
import subprocess
import sys
import threading

import pytest
import tracking_troubles as troubles
from tracking_troubles import weights

from reanchor.config import Params
from stages import log_pending, tracking
from stages.runner import run_stage
from stages.tracking import moved
from stages.tracking.pending import FOLDERS, pending_files
from stages.tracking.store import Store, Unreachable, store_of, within

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


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(moved, "LOCK_SECONDS", 0.2)


@pytest.fixture
def models(monkeypatch) -> list:
    """What would be logged as a model: (run, weights)."""
    logged = []
    monkeypatch.setattr("stages.models.log_pyfunc", lambda run_id, folder, name: logged.append((run_id, name)))
    return logged


def train(workspace) -> None:
    (workspace / "params.yaml").write_text("saga: {epochs_a: 3}\n")
    folder = weights(workspace / "models/saga", 2.0)

    def body(run) -> dict:
        for step in (1, 2, 3):
            run.recorder("saga").log(step, {"loss": 4.0 - step})
        run.log_model("saga", folder)
        return {"images_per_second": 120.0, "best": "epoch 2"}

    run_stage("saga", body)


def runs(workspace) -> list:
    client = tracking.connect(workspace)
    experiment = client.get_experiment_by_name("reanchor")
    return client.search_runs([experiment.experiment_id]) if experiment else []


def curve(workspace, run_id: str) -> list[tuple[int, float]]:
    history = tracking.connect(workspace).get_metric_history(run_id, "loss")
    return [(point.step, point.value) for point in history]


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
    assert run.data.tags["reanchor.weights_sha256"] == tracking.weights_sha256(workspace / "models/saga")
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


def test_a_run_that_was_begun_goes_on_under_its_own_name(workspace, models, capfd, monkeypatch):
    monkeypatch.setattr("stages.tracking.run.FLUSH_SECONDS", -1.0)  # every row on its own
    monkeypatch.setattr("stages.tracking.run.FLUSH_SHARE", 0)
    run = tracking.ModelRun.open(workspace, "saga", "saga", Params())
    run.log(1, {"loss": 3.0})
    with troubles.no_metrics(workspace):
        run.log(2, {"loss": 2.0})
        said_once(capfd, "no such table: main.nowhere", FOLDERS[0])
        run.log(3, {"loss": float("nan")})
    run.log_model(weights(workspace / "models/saga"))  # mended, but one failure is enough for a run
    run.close("FINISHED", {"figure": 5.0})
    assert curve(workspace, run.run_id) == [(1, 3.0)] and models == []
    assert log_pending.main([]) == 0
    (only,) = runs(workspace)
    assert only.info.run_id == run.run_id and only.info.status == "FINISHED" and models == [(run.run_id, "saga")]
    assert curve(workspace, run.run_id)[:2] == [(1, 3.0), (2, 2.0)] and len(curve(workspace, run.run_id)) == 3


def test_a_run_begun_in_a_database_that_is_gone_is_made_anew(workspace):
    run = tracking.ModelRun.open(workspace, "saga", "saga", Params())
    with troubles.no_metrics(workspace):
        run.close("FINISHED", {"figure": 5.0})
    (file,) = pending_files(workspace)
    head, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps({**json.loads(head), "run_id": "0" * 32, "opened": "other"}), *rest, ""]))
    tracking.connect(workspace).set_terminated(run.run_id, "FAILED")
    assert log_pending.main([]) == 0
    assert sorted(run.info.status for run in runs(workspace)) == ["FAILED", "FINISHED"]


def test_what_fails_half_way_is_sent_again_without_doubling(workspace, capfd):
    with troubles.locked(workspace):
        train(workspace)
    capfd.readouterr()
    with troubles.no_metrics(workspace):  # the run and its model can be made, its curve not
        assert log_pending.main([]) == 1
    assert "no such table: main.nowhere" in capfd.readouterr().err
    assert log_pending.main([]) == 0
    (run,) = runs(workspace)
    client = tracking.connect(workspace)
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert model.source_run_id == run.info.run_id and run.info.status == "FINISHED"
    assert curve(workspace, run.info.run_id) == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_model_whose_folder_holds_other_weights_is_left_out(workspace, models, capfd):
    with troubles.locked(workspace):
        train(workspace)
    made = tracking.weights_sha256(workspace / "models/saga")
    weights(workspace / "models/saga", 7.0)
    assert log_pending.main([]) == 0 and models == []
    out = capfd.readouterr().out.splitlines()[-1]
    assert out.endswith("its model is left out, since models/saga holds other weights now")
    (run,) = runs(workspace)
    assert run.info.status == "FINISHED" and run.data.tags["reanchor.weights_sha256"] == made


def test_figures_join_the_run_that_is_kept_before_them(workspace, models):
    with troubles.locked(workspace):
        train(workspace)
        run_stage("evaluate", lambda run: {"saga/whole/mAP": 51.5, "histogram/whole/mAP": 1.5})
    assert [file.name.split("-")[1] for file in pending_files(workspace)] == ["saga", "evaluate"]
    assert log_pending.main([]) == 0
    by_name = {run.info.run_name: run for run in runs(workspace)}
    assert sorted(by_name) == ["histogram", "saga"] and by_name["saga"].data.metrics["whole/mAP"] == 51.5


def test_an_interrupted_training_stays_one_run(workspace, models):
    """Killed while MLflow was in trouble, resumed in trouble, resumed again without: one file, one run."""
    with troubles.locked(workspace):
        first = tracking.ModelRun.open(workspace, "saga", "saga", Params())
        first.log(1, {"loss": 3.0})
        first.close("KILLED", {})
        again = tracking.ModelRun.open(workspace, "saga", "saga", Params())
        again.log(2, {"loss": 2.0})
        again.close("KILLED", {})
        changed = Params()
        changed.saga.lr_a = 0.5
        tracking.ModelRun.open(workspace, "saga", "saga", changed).close("FAILED", {})
        assert len(pending_files(workspace)) == 2
        tracking.store._stores.clear()  # a new process
    last = tracking.ModelRun.open(workspace, "saga", "saga", Params())
    last.log(3, {"loss": 1.0})
    last.close("FINISHED", {})
    assert log_pending.main([]) == 0
    found = {run.info.run_id: run for run in runs(workspace)}
    assert len(found) == 2 and curve(workspace, last.run_id) == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_killed_run_is_continued(workspace):
    first = tracking.ModelRun.open(workspace, "saga", "saga", Params())
    first.close("KILLED", {})
    assert runs(workspace)[0].info.status == "KILLED"
    again = tracking.ModelRun.open(workspace, "saga", "saga", Params())
    assert again.run_id == first.run_id and runs(workspace)[0].info.status == "RUNNING"
    again.close("FAILED", {})
    assert tracking.ModelRun.open(workspace, "saga", "saga", Params()).run_id != first.run_id


def test_a_kept_run_joins_the_run_it_interrupts_but_no_later_one(workspace):
    begun = tracking.ModelRun.open(workspace, "saga", "saga", Params())
    begun.close("KILLED", {})
    tracking.store._stores.clear()
    with troubles.locked(workspace):
        kept = tracking.ModelRun.open(workspace, "saga", "saga", Params())
        kept.close("FINISHED", {"figure": 1.0})
    assert log_pending.main([]) == 0
    (run,) = runs(workspace)
    assert run.info.run_id == begun.run_id and run.data.metrics == {"figure": 1.0}
    tracking.store._stores.clear()
    with troubles.locked(workspace):
        tracking.ModelRun.open(workspace, "saga", "saga", Params()).close("FINISHED", {})
    tracking.store._stores.clear()
    later = tracking.ModelRun.open(workspace, "saga", "saga", Params())
    assert log_pending.main([]) == 0
    assert len(runs(workspace)) == 3
    assert tracking.connect(workspace).get_run(later.run_id).info.status == "RUNNING"


@pytest.mark.parametrize("group_first", [True, False])
def test_runs_hang_below_a_group_that_was_kept(workspace, monkeypatch, group_first):
    with troubles.locked(workspace):
        group = tracking.open_group(workspace, "compare", {"seeds": [0, 1]})
        monkeypatch.setenv("REANCHOR_PARENT_RUN", group)
        if group_first:
            tracking.ModelRun.open(workspace, "saga", "saga", Params()).close("FINISHED", {})
    tracking.store._stores.clear()
    if not group_first:
        tracking.ModelRun.open(workspace, "saga", "saga", Params()).close("FINISHED", {})
    assert log_pending.main([]) == 0
    by_name = {run.info.run_name: run for run in runs(workspace)}
    assert by_name["saga"].data.tags["mlflow.parentRunId"] == by_name["compare"].info.run_id
    assert by_name["compare"].data.params == {"seeds": "[0, 1]"} and by_name["compare"].info.status == "FINISHED"


def test_where_nothing_can_be_kept_either_the_stage_still_goes_on(workspace, models, capfd):
    (workspace / ".checkpoints").mkdir()
    (workspace / ".checkpoints/pending").touch()
    with troubles.no_folder(workspace):
        train(workspace)
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "it cannot be kept either" in err
    assert (workspace / "reports/saga/metrics.json").is_file()


def test_a_full_disk_moves_the_file_to_the_other_place(workspace, monkeypatch):
    import io

    from stages.tracking import pending

    kept = pending.Pending(workspace, "saga", {"kind": "run"})
    first = kept.keep({"kind": "tags", "tags": {"a": "1"}})

    class Full(io.FileIO):
        def write(self, data):
            super().write(data[:7])
            raise OSError(28, "No space left on device")

    kept._handle.close()
    kept._handle = Full(first, "ab")
    second = kept.keep({"kind": "tags", "tags": {"b": "2"}})
    assert second.parent == workspace / FOLDERS[1] and not first.exists()
    assert [json.loads(line).get("tags") for line in second.read_text().splitlines()] == [None, {"a": "1"}, {"b": "2"}]


def test_a_line_that_a_kill_cut_off_is_dropped_when_the_file_goes_on(workspace):
    from stages.tracking.pending import Pending, read

    file = Pending(workspace, "saga").keep({"kind": "tags", "tags": {"a": "1"}})
    with file.open("a") as handle:
        handle.write('{"kind": "tags", "ta')
    assert len(read(file)) == 1
    Pending(workspace, "saga", file=file).keep({"kind": "tags", "tags": {"b": "2"}})
    assert [record["tags"] for record in read(file)] == [{"a": "1"}, {"b": "2"}]


def test_a_file_that_is_still_written_or_is_none_of_ours_stays_and_the_others_go(workspace, models, capfd):
    with troubles.locked(workspace):
        running = tracking.ModelRun.open(workspace, "saga", "saga", Params())
    (workspace / FOLDERS[0] / "0-foreign.jsonl").write_text("[1, 2]\n")
    with troubles.locked(workspace):
        tracking.log_evaluation("abc", {"whole/mAP": 3.0}, name="saga")
    capfd.readouterr()
    assert log_pending.main([]) == 1
    err = capfd.readouterr().err
    assert "0-foreign.jsonl: cannot be read" in err and "still written by a running stage" in err
    assert len(pending_files(workspace)) == 2 and [run.data.metrics for run in runs(workspace)] == [{"whole/mAP": 3.0}]
    running.close("FINISHED", {})


def test_links_are_left_out_where_mlflow_is_in_trouble(workspace, capfd):
    with troubles.locked(workspace):
        assert tracking.find_run(workspace, "abc") is None and tracking.experiment_of(workspace) is None
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


def test_a_process_ends_though_a_server_never_answers(workspace, monkeypatch):
    script = ("import pathlib, time; from stages.tracking.store import Store, Unreachable\n"
              "try: Store(pathlib.Path.cwd()).ask(lambda client: time.sleep(3600), seconds=0.2)\n"
              "except Unreachable: print('given up')")
    done = subprocess.run([sys.executable, "-c", script], cwd=workspace, capture_output=True, text=True, timeout=120,
                          env={"PYTHONPATH": str(log_pending.__file__).rpartition("/stages/")[0], "PATH": "/usr/bin"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "given up\n", "")


def test_a_slow_server_is_asked_less_often(workspace, monkeypatch):
    clock = iter([0.0, 3.0, 3.0, 4.0, 10.0, 50.0, 70.0, 70.0])
    run = tracking.ModelRun.open(workspace, "saga", "saga", Params())
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
    run = tracking.ModelRun.open(workspace, "backbone", "backbone", Params())
    assert tracking.connect(workspace).get_run(run.run_id).info.status == "RUNNING"


def test_a_restored_gate_names_its_parents(workspace):
    for folder in ("backbone", "finetune/baseline", "gate"):
        weights(workspace / "models" / folder, float(len(folder)))
    params = Params()
    params.gate.model = "baseline"
    tracking.log_methods(workspace, {"gated/whole/mAP": 41.0}, "evaluate", params)
    (run,) = runs(workspace)
    parents = {key: value for key, value in run.data.tags.items() if key.startswith("reanchor.parent.")}
    assert parents == {"reanchor.parent.backbone": tracking.weights_sha256(workspace / "models/backbone"),
                       "reanchor.parent.baseline": tracking.weights_sha256(workspace / "models/finetune/baseline")}


def test_nobody_is_told_what_is_run_here(workspace):
    def said(script: str, **variables) -> str:
        environment = {"PYTHONPATH": str(log_pending.__file__).rpartition("/stages/")[0], "PATH": "/usr/bin"}
        return subprocess.run([sys.executable, "-c", script], cwd=workspace, capture_output=True, text=True, check=True,
                              env=environment | variables).stdout.strip()

    assert said("import stages.prompts, mlflow.telemetry.utils as utils, mlflow.telemetry as telemetry\n"
                "from huggingface_hub import constants\n"
                "print(utils.is_telemetry_disabled(), telemetry.get_telemetry_client(), "
                "constants.HF_HUB_DISABLE_TELEMETRY)") == "True None True"
    names = ("MLFLOW_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")
    assert said(f"import stages, os; print(*(os.environ[name] for name in {names}))",
                **dict.fromkeys(names, "false")) == "false false"
