"""What MLflow did not take: kept in files, logged later in its place, once."""

import json

import pytest
import tracking_troubles as troubles
from tracking_troubles import curve, runs, train, weights

from reanchor.config.params import Params
from stages import log_pending, tracking
from stages.runner import run_stage
from stages.tracking.judged import log_evaluation
from stages.tracking.origin import weights_sha256
from stages.tracking.pending import FOLDERS, pending_files
from stages.tracking.records import head_of
from stages.tracking.run import ModelRun, open_group
from stages.tracking.store import connect

pytestmark = pytest.mark.slow


@pytest.fixture
def models(monkeypatch) -> list:
    """What would be logged as a model: (run, name)."""
    logged = []
    monkeypatch.setattr("stages.models.log_pyfunc", lambda run_id, folder, name: logged.append((run_id, name)))
    return logged


def test_a_run_that_was_begun_goes_on_under_its_own_name(workspace, models, capfd, monkeypatch):
    monkeypatch.setattr("stages.tracking.run.FLUSH_SECONDS", -1.0)  # every row on its own
    monkeypatch.setattr("stages.tracking.run.FLUSH_SHARE", 0)
    run = ModelRun.open(workspace, "saga", Params())
    run.log(1, {"loss": 3.0})
    with troubles.no_metrics(workspace):
        run.log(2, {"loss": 2.0})
        assert "mlflow.db: no such table: main.nowhere; kept in" in capfd.readouterr().err
        run.log(3, {"loss": float("nan")})
    run.log_model(weights(workspace / "models/saga"))  # mended, but one failure is enough for a run
    run.close("FINISHED", {"figure": 5.0})
    assert curve(workspace, run.run_id) == [(1, 3.0)] and models == []
    assert log_pending.main([]) == 0
    (only,) = runs(workspace)
    assert only.info.run_id == run.run_id and only.info.status == "FINISHED" and models == [(run.run_id, "saga")]
    assert curve(workspace, run.run_id)[:2] == [(1, 3.0), (2, 2.0)] and len(curve(workspace, run.run_id)) == 3


def test_a_run_begun_in_a_database_that_is_gone_is_made_anew(workspace):
    run = ModelRun.open(workspace, "saga", Params())
    with troubles.no_metrics(workspace):
        run.close("FINISHED", {"figure": 5.0})
    (file,) = pending_files(workspace)
    head, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps({**json.loads(head), "run_id": "0" * 32, "opened": "other"}), *rest, ""]))
    connect(workspace).set_terminated(run.run_id, "FAILED")
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
    client = connect(workspace)
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert model.source_run_id == run.info.run_id and run.info.status == "FINISHED"
    assert curve(workspace, run.info.run_id) == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_model_that_was_written_in_part_is_replaced(workspace, monkeypatch):
    import shutil

    (workspace / "params.yaml").write_text("{}\n")
    run = ModelRun.open(workspace, "saga", Params())
    copytree = shutil.copytree

    def full(source, target, *arguments, **options):
        if "artifacts/models" in str(target):
            raise OSError(28, "No space left on device", str(source), None, str(target))
        return copytree(source, target, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", full)
        run.log_model(weights(workspace / "models/saga"))
    run.close("FINISHED", {})
    client = connect(workspace)
    experiment = client.get_run(run.run_id).info.experiment_id
    (partial,) = client.search_logged_models([experiment])
    assert str(partial.status) != "READY"
    assert log_pending.main([]) == 0
    (model,) = client.search_logged_models([experiment])
    assert str(model.status) == "READY" and model.model_id != partial.model_id


def test_a_model_whose_folder_holds_other_weights_is_left_out(workspace, models, capfd):
    with troubles.locked(workspace):
        train(workspace)
    made = weights_sha256(workspace / "models/saga")
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
        first = ModelRun.open(workspace, "saga", Params())
        first.log(1, {"loss": 3.0})
        first.close("KILLED", {})
        again = ModelRun.open(workspace, "saga", Params())
        again.log(2, {"loss": 2.0})
        again.close("KILLED", {})
        changed = Params()
        changed.saga.lr_a = 0.5
        ModelRun.open(workspace, "saga", changed).close("FAILED", {})
        assert len(pending_files(workspace)) == 2
        tracking.store._stores.clear()  # a new process
    last = ModelRun.open(workspace, "saga", Params())
    assert log_pending.main([]) == 0
    assert connect(workspace).get_run(last.run_id).info.status == "RUNNING"
    last.log(3, {"loss": 1.0})
    last.close("FINISHED", {})
    assert log_pending.main([]) == 0
    found = {run.info.run_id: run for run in runs(workspace)}
    assert len(found) == 2 and curve(workspace, last.run_id) == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert found[last.run_id].info.status == "FINISHED"


def test_a_killed_run_is_continued(workspace):
    first = ModelRun.open(workspace, "saga", Params())
    first.close("KILLED", {})
    assert runs(workspace)[0].info.status == "KILLED"
    again = ModelRun.open(workspace, "saga", Params())
    assert again.run_id == first.run_id and runs(workspace)[0].info.status == "RUNNING"
    again.close("FAILED", {})
    assert ModelRun.open(workspace, "saga", Params()).run_id != first.run_id


def test_a_kept_run_joins_the_run_it_interrupts_but_no_later_one(workspace):
    begun = ModelRun.open(workspace, "saga", Params())
    begun.close("KILLED", {})
    tracking.store._stores.clear()
    with troubles.locked(workspace):
        kept = ModelRun.open(workspace, "saga", Params())
        kept.close("FINISHED", {"figure": 1.0})
    assert log_pending.main([]) == 0
    (run,) = runs(workspace)
    assert run.info.run_id == begun.run_id and run.data.metrics == {"figure": 1.0}
    tracking.store._stores.clear()
    with troubles.locked(workspace):
        ModelRun.open(workspace, "saga", Params()).close("FINISHED", {})
    tracking.store._stores.clear()
    (file,) = pending_files(workspace)
    file = file.rename(workspace / file.name)  # another process holds it
    later = ModelRun.open(workspace, "saga", Params())
    file.rename(workspace / FOLDERS[0] / file.name)
    assert log_pending.main([]) == 0
    assert len(runs(workspace)) == 3
    assert connect(workspace).get_run(later.run_id).info.status == "RUNNING"


@pytest.mark.parametrize("group_first", [True, False])
def test_runs_hang_below_a_group_that_was_kept(workspace, monkeypatch, group_first):
    with troubles.locked(workspace):
        group = open_group(workspace, "compare", {"seeds": [0, 1]})
        monkeypatch.setenv("REANCHOR_PARENT_RUN", group)
        if group_first:
            ModelRun.open(workspace, "saga", Params()).close("FINISHED", {})
    tracking.store._stores.clear()
    if not group_first:
        ModelRun.open(workspace, "saga", Params()).close("FINISHED", {})
    assert log_pending.main([]) == 0
    by_name = {run.info.run_name: run for run in runs(workspace)}
    assert by_name["saga"].data.tags["mlflow.parentRunId"] == by_name["compare"].info.run_id
    assert by_name["compare"].data.params == {"seeds": "[0, 1]"} and by_name["compare"].info.status == "FINISHED"


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

    first = Pending(workspace, "saga", head_of("saga", {}, {}, "key"))
    file = first.keep({"kind": "tags", "tags": {"a": "1"}})
    first.close()
    with file.open("a") as handle:
        handle.write('{"kind": "tags", "ta')
    assert len(read(file)) == 2
    again = Pending(workspace, "saga", head_of("saga", {}, {}, "key"))
    again.resume()
    again.keep({"kind": "tags", "tags": {"b": "2"}})
    assert [record["tags"] for record in read(file)[1:]] == [{"a": "1"}, {"b": "2"}] and again.head == first.head


def test_a_file_that_is_still_written_or_is_none_of_ours_stays_and_the_others_go(workspace, models, capfd):
    with troubles.locked(workspace):
        running = ModelRun.open(workspace, "saga", Params())
    (workspace / FOLDERS[0] / "0-foreign.jsonl").write_text("[1, 2]\n")
    with troubles.locked(workspace):
        log_evaluation("abc", {"whole/mAP": 3.0}, name="saga")
    capfd.readouterr()
    assert log_pending.main([]) == 1
    err = capfd.readouterr().err
    assert "0-foreign.jsonl: cannot be read" in err and "still written by a running stage" in err
    assert len(pending_files(workspace)) == 2 and [run.data.metrics for run in runs(workspace)] == [{"whole/mAP": 3.0}]
    running.close("FINISHED", {})
