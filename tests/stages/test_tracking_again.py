"""A training whose settings were trained before, with MLflow in trouble: which run is continued, which has ended."""

import fcntl
import threading
from pathlib import Path

import pytest
import tracking_troubles as troubles
from tracking_troubles import curve, runs

from reanchor.config.params import Params
from stages import log_pending, tracking
from stages.tracking import pending, resend
from stages.tracking.pending import FOLDERS, Pending, pending_files, read
from stages.tracking.records import head_of
from stages.tracking.run import ModelRun
from stages.tracking.store import Store

pytestmark = pytest.mark.slow

TAGS = {"kind": "tags", "tags": {"a": "1"}}


def opened(workspace) -> ModelRun:
    """As in a process of its own."""
    tracking.store._stores.clear()
    return ModelRun.open(workspace, "saga", Params())


def states(workspace) -> dict[str, str]:
    return {run.info.run_id: run.info.status for run in runs(workspace)}


def test_a_finished_run_whose_end_is_kept_is_not_taken_over(workspace, capfd):
    first = opened(workspace)
    with troubles.no_metrics(workspace):
        first.log(1, {"loss": 3.0})
        first.close("FINISHED", {"figure": 1.0})
    assert states(workspace) == {first.run_id: "RUNNING"}
    (file,) = pending_files(workspace)
    capfd.readouterr()
    second = opened(workspace)
    assert capfd.readouterr().err == f"tracking: {file.name}: logged, 5 records\n" and not file.exists()
    assert states(workspace) == {first.run_id: "FINISHED", second.run_id: "RUNNING"}
    second.close("FINISHED", {})
    assert curve(workspace, first.run_id) == [(1, 3.0)] and curve(workspace, second.run_id) == []


def test_nor_while_mlflow_does_not_take_its_end(workspace):
    first = opened(workspace)
    with troubles.no_metrics(workspace):
        first.close("FINISHED", {"figure": 1.0})
        second = opened(workspace)
        second.close("FINISHED", {"figure": 2.0})
    assert len(pending_files(workspace)) == 2 and log_pending.main([]) == 0
    assert sorted(run.data.metrics["figure"] for run in runs(workspace)) == [1.0, 2.0]
    assert set(states(workspace).values()) == {"FINISHED"}


def test_a_kept_run_waits_for_the_earlier_one_of_its_settings(workspace, capfd):
    with troubles.locked(workspace):
        opened(workspace).close("FINISHED", {"figure": 1.0})
        opened(workspace).close("FINISHED", {})  # which could be sent
        changed = Params()
        changed.saga.lr_a = 0.5
        ModelRun.open(workspace, "saga", changed).close("FINISHED", {})
    with troubles.no_metrics(workspace):
        assert log_pending.main([]) == 1
    assert len(pending_files(workspace)) == 2
    assert "stays, since an earlier file of a training with these settings does" in capfd.readouterr().err
    assert log_pending.main([]) == 0
    assert list(states(workspace).values()) == ["FINISHED"] * 3


@pytest.mark.parametrize("status", ["FINISHED", "FAILED"])
def test_what_ended_in_mlflow_is_not_interrupted_again_by_a_file(workspace, monkeypatch, status):
    """The file is sent and cannot be removed."""
    with troubles.locked(workspace):
        first = opened(workspace)
        first.log(1, {"loss": 3.0})
        first.close("KILLED", {})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda file: (_ for _ in ()).throw(PermissionError(13, "denied", str(file))))
        second = opened(workspace)
    assert states(workspace) == {second.run_id: "RUNNING"}
    assert log_pending.main([]) == 1  # it is held
    second.close(status, {})
    assert log_pending.main([]) == 0
    assert states(workspace) == {second.run_id: status} and curve(workspace, second.run_id) == [(1, 3.0)]


@pytest.mark.parametrize("status", [None, "KILLED", "FINISHED", "FAILED"])
def test_only_an_interrupted_trainings_file_goes_on_and_it_is_held(workspace, status):
    first = Pending(workspace, "saga", head_of("saga", {}, {}, "key"))
    file = first.keep({"kind": "end", "status": status, "time": 1} if status else TAGS)
    first.close()
    other, again = (Pending(workspace, "saga", head_of("saga", {}, {}, key)) for key in ("other", "key"))
    other.resume()
    again.resume()
    goes_on = status in (None, "KILLED")
    assert (again.head["opened"] == first.head["opened"]) is goes_on
    said = resend.send(Store(workspace), file)
    assert said == ((False, "still written by a running stage; run this again when it has ended") if goes_on
                    else (True, "logged, 2 records"))
    last = again.keep(TAGS)
    assert (last == file) is goes_on and read(last)[0] == again.head and read(last)[-1] == TAGS
    assert other.keep(TAGS) not in (file, last)


def test_a_file_that_is_closed_and_sent_begins_again_with_its_head(workspace):
    kept = Pending(workspace, "saga", head_of("saga", {}, {}, "key"))
    kept.keep(TAGS)
    kept.close()
    assert log_pending.main([]) == 0
    assert [record["kind"] for record in read(kept.keep(TAGS))] == ["run", "tags"]


def test_a_file_that_a_sender_takes_before_it_is_held_is_made_anew(workspace, monkeypatch):
    (workspace / FOLDERS[0]).mkdir(parents=True)
    flock, senders = fcntl.flock, []

    def late(handle, how):
        if not senders:
            (file,) = pending_files(workspace)
            senders.append(file.open("rb"))
            flock(senders[0], fcntl.LOCK_EX)
            file.unlink()
            threading.Timer(0.05, senders[0].close).start()
        flock(handle, how)

    monkeypatch.setattr(pending.fcntl, "flock", late)
    file = Pending(workspace, "saga", head_of("saga", {}, {}, "key")).keep(TAGS)
    assert file.parent == workspace / FOLDERS[0] and [record["kind"] for record in read(file)] == ["run", "tags"]


def test_an_earlier_place_that_could_not_be_removed_gets_all_that_is_kept(workspace, monkeypatch):
    kept = Pending(workspace, "saga", head_of("saga", {}, {}, "key"))
    first = kept.keep(TAGS)

    def full(handle, lines, file, append=pending._append):
        if file in unwritable:
            raise OSError(28, "No space left on device", str(file))
        append(handle, lines, file)

    unwritable = [first]
    monkeypatch.setattr(pending, "_append", full)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda file: (_ for _ in ()).throw(PermissionError(13, "denied", str(file))))
        second = kept.keep({"kind": "tags", "tags": {"b": "2"}})
    unwritable[:] = [second]
    assert kept.keep({"kind": "tags", "tags": {"c": "3"}}) == first != second and not second.exists()
    assert {"a", "b", "c"} == {key for record in read(first) if record["kind"] == "tags" for key in record["tags"]}


def test_a_file_that_another_process_has_sent_is_no_trouble(workspace, monkeypatch):
    kept = Pending(workspace, "saga", head_of("saga", {}, {}, "key"))
    file = kept.keep(TAGS)
    kept.close()
    monkeypatch.setattr(pending.fcntl, "flock", lambda handle, how: file.unlink())  # after it was opened
    for _ in range(2):
        assert resend.send(Store(workspace), file) == (True, "logged by another process meanwhile")
    assert runs(workspace) == []
