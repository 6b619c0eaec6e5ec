"""A workspace that was moved or copied: its models land in it, earlier ones are found, the original is left alone."""

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from reanchor.config.params import Params
from stages.tracking import moved
from stages.tracking.judged import find_run
from stages.tracking.run import ModelRun
from stages.tracking.store import connect

pytestmark = pytest.mark.slow

FEATURES = np.arange(6, dtype=np.float32).reshape(3, 2)


def forget() -> None:
    """MLflow remembers databases by their address, which may be relative: a process has one workspace."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry as registry

    SqlAlchemyStore._engine_map.clear()
    registry._get_store_with_resolved_uri.cache_clear()


def log_prompts(root: Path, seed: int = 0) -> str:
    """Train nothing, log a real model; the run's id."""
    folder = root / "models/prompts"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"text_features": FEATURES + seed, "context": FEATURES}, folder / "prompts.safetensors")
    params = Params()
    params.prompts.seed = seed
    run = ModelRun.open(root, "prompts", params)
    run.log_model(folder)
    run.close("FINISHED", {})
    return run.run_id


def log_run(root: Path, seed: int = 0) -> str:
    """The same without a model."""
    params = Params()
    params.prompts.seed = seed
    run = ModelRun.open(root, "prompts", params)
    run.close("FINISHED", {})
    return run.run_id


def predictions(root: Path, run_id: str) -> np.ndarray:
    import mlflow

    client = connect(root)
    experiment = client.get_run(run_id).info.experiment_id
    (logged,) = client.search_logged_models([experiment], f"source_run_id = '{run_id}'")
    return mlflow.pyfunc.load_model(logged.model_uri).predict(np.array([2, 0]))


def files(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def settle(folder: Path, migrated_database: Path, monkeypatch) -> Path:
    (folder / "mlruns").mkdir(parents=True)
    shutil.copy(migrated_database, folder / "mlruns/mlflow.db")
    monkeypatch.chdir(folder)
    forget()
    return folder


@pytest.mark.parametrize("old_place", ["gone", "still there"])
def test_a_moved_or_copied_workspace_is_whole(tmp_path, migrated_database, monkeypatch, capfd, old_place):
    old = settle(tmp_path / "an old place", migrated_database, monkeypatch)
    first = log_prompts(old)
    new = tmp_path / "new"
    shutil.copytree(old, new)
    if old_place == "gone":
        shutil.rmtree(old)
        old.touch()  # nor can it be made
    before = files(old)
    capfd.readouterr()
    monkeypatch.chdir(new)
    second = log_prompts(new, seed=1)
    assert capfd.readouterr().err == (f"tracking: {new}/mlruns/mlflow.db: addresses in {old}/mlruns "
                                      "now name this workspace\n")
    np.testing.assert_array_equal(predictions(new, first), FEATURES[[2, 0]])
    np.testing.assert_array_equal(predictions(new, second), FEATURES[[2, 0]] + 1)
    client = connect(new)
    assert all(client.get_run(run).info.artifact_uri.startswith((new / "mlruns/artifacts").as_uri())
               for run in (first, second))
    assert files(old) == before and old.is_file() == (old_place == "gone")
    assert not [file for file in (new / "mlruns").rglob("MLmodel") if "an%20old%20place/mlruns" in file.read_text()]
    assert capfd.readouterr().err == ""  # mended once


@pytest.mark.parametrize("name", ["a b", "what?x=1&y", "c# d", "100 % ü", "per%41cent"])
def test_a_workspace_may_have_any_name(tmp_path, migrated_database, monkeypatch, capfd, name):
    root = settle(tmp_path / name, migrated_database, monkeypatch)
    run_id = log_prompts(root)
    assert capfd.readouterr().err == "" and sorted(path.name for path in root.iterdir()) == ["mlruns", "models"]
    assert len(list((root / "mlruns/artifacts/models").rglob("*.safetensors"))) == 1
    assert list(tmp_path.iterdir()) == [root]
    if "%41" in name:  # MLflow's own loading takes it for an "A"
        return
    np.testing.assert_array_equal(predictions(root, run_id), FEATURES[[2, 0]])
    copy = root / "in? it"
    shutil.copytree(root / "mlruns", copy / "mlruns")
    monkeypatch.chdir(copy)
    forget()
    log_run(copy, seed=1)
    np.testing.assert_array_equal(predictions(copy, run_id), FEATURES[[2, 0]])
    assert moved.mend(copy / "mlruns/mlflow.db", copy / "mlruns/artifacts") is None


def test_a_question_mark_out_of_reach_is_one_line(tmp_path, monkeypatch, capfd):
    (tmp_path / "what?").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_run(tmp_path / "what?", "abc") is None
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "a path that holds '?' or '%'; start from the repository's folder" in err


def test_every_address_is_mended_and_nothing_else(tmp_path, migrated_database, monkeypatch):
    old = settle(tmp_path / "old%x", migrated_database, monkeypatch)
    run_id = log_run(old)
    plain, address = f"{old}/mlruns", f"{(old / 'mlruns').as_uri()}"
    database = sqlite3.connect(old / "mlruns/mlflow.db")
    experiment = database.execute("SELECT experiment_id FROM experiments WHERE name = 'reanchor'").fetchone()[0]
    database.execute("UPDATE experiments SET artifact_location = ? WHERE name = 'Default'", (f"{plain}/0",))
    database.execute("INSERT INTO registered_models (name) VALUES ('best')")
    database.execute("INSERT INTO model_versions (name, version, source, storage_location) VALUES ('best', 1, ?, ?)",
                     (f"{address}/artifacts/models/m-1", f"{plain}/artifacts/models/m-1"))
    source = json.dumps({"uri": f"{address}/artifacts/set.csv"})
    database.execute("INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, "
                     "dataset_source) VALUES ('u', ?, 'n', 'd', 'local', ?)", (experiment, source))
    database.execute("INSERT INTO tags (key, value, run_uuid) VALUES ('mlflow.artifactLocation', ?, ?), "
                     "('data', ?, ?), ('near', ?, ?)",
                     (f"{plain}/artifacts/t", run_id, f"{old}/data", run_id, f"{plain}2/x", run_id))
    database.commit()
    database.close()
    new = tmp_path / "new"
    old.rename(new)
    assert moved.mend(new / "mlruns/mlflow.db", new / "mlruns/artifacts") == plain
    read = sqlite3.connect(new / "mlruns/mlflow.db").execute
    assert read("SELECT source, storage_location FROM model_versions").fetchone() == (
        f"file://{new}/mlruns/artifacts/models/m-1", f"{new}/mlruns/artifacts/models/m-1")
    assert json.loads(read("SELECT dataset_source FROM datasets").fetchone()[0]) == {
        "uri": f"file://{new}/mlruns/artifacts/set.csv"}
    tags = dict(read("SELECT key, value FROM tags WHERE run_uuid = ?", (run_id,)).fetchall())
    assert tags["mlflow.artifactLocation"] == f"{new}/mlruns/artifacts/t"
    assert (tags["data"], tags["near"]) == (f"{old}/data", f"{plain}2/x")  # history, and another folder
    locations = dict(read("SELECT name, artifact_location FROM experiments").fetchall())
    assert locations == {"Default": f"{new}/mlruns/0", "reanchor": f"file://{new}/mlruns/artifacts"}


def test_a_copy_inside_the_original_is_mended_once(tmp_path, migrated_database, monkeypatch):
    """Old addresses are a beginning of the new ones."""
    old = settle(tmp_path / "old", migrated_database, monkeypatch)
    log_run(old)
    new = old / "mlruns/copy"
    shutil.copytree(old / "mlruns", new / "mlruns", ignore=lambda folder, names: {"copy"})
    monkeypatch.chdir(new)
    moved.mend(new / "mlruns/mlflow.db", new / "mlruns/artifacts")
    run_id = log_run(new, seed=1)
    uri = connect(new).get_run(run_id).info.artifact_uri
    assert uri == f"{(new / 'mlruns/artifacts').as_uri()}/{run_id}/artifacts"
    assert moved.mend(new / "mlruns/mlflow.db", new / "mlruns/artifacts") is None


def test_what_cannot_be_mended_whole_is_not_mended_at_all(tmp_path, migrated_database, monkeypatch):
    old = settle(tmp_path / "old", migrated_database, monkeypatch)
    run_id = log_run(old)
    model = old / "mlruns/artifacts/models/m-1/MLmodel"
    model.parent.mkdir(parents=True)
    model.write_text(f"artifact_path: file://{old}/mlruns/artifacts/models/m-1\n")
    new = tmp_path / "new"
    old.rename(new)

    def refuse(target):
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.chdir(new)
    with monkeypatch.context() as patch:
        patch.setattr(moved, "atomic_path", refuse)
        with pytest.raises(PermissionError):
            moved.mend(new / "mlruns/mlflow.db", new / "mlruns/artifacts")
        read = sqlite3.connect(new / "mlruns/mlflow.db").execute
        assert read("SELECT artifact_uri FROM runs").fetchone() == (f"file://{old}/mlruns/artifacts/{run_id}/artifacts",)
        assert log_run(new, seed=1) is None  # nor is anything written into the old place
        assert not old.exists()
    assert moved.mend(new / "mlruns/mlflow.db", new / "mlruns/artifacts") == f"{old}/mlruns"
    assert (new / "mlruns/artifacts/models/m-1/MLmodel").read_text().endswith(f"{new}/mlruns/artifacts/models/m-1\n")


def test_the_same_folder_by_another_name_stays(tmp_path, migrated_database, monkeypatch):
    root = settle(tmp_path / "root", migrated_database, monkeypatch)
    log_run(root)
    (root / "mlruns").rename(tmp_path / "large disk")
    (root / "mlruns").symlink_to(tmp_path / "large disk")
    other = tmp_path / "other"
    other.mkdir()
    (other / "mlruns").symlink_to(tmp_path / "large disk")
    assert moved.mend(other / "mlruns/mlflow.db", other / "mlruns/artifacts") is None


def test_a_place_that_somebody_chose_stays(tmp_path, migrated_database, monkeypatch):
    root = settle(tmp_path / "root", migrated_database, monkeypatch)
    for chosen in ("s3://bucket/mlruns/artifacts", f"file://{tmp_path}/large/models"):
        client = connect(root)
        if found := client.get_experiment_by_name("reanchor"):
            client.rename_experiment(found.experiment_id, "away")
        client.create_experiment("reanchor", artifact_location=chosen)
        assert moved.mend(root / "mlruns/mlflow.db", root / "mlruns/artifacts") is None


def test_a_store_of_the_users_own_is_never_touched(tmp_path, migrated_database, monkeypatch):
    old = settle(tmp_path / "old", migrated_database, monkeypatch)
    log_run(old)
    new = tmp_path / "new"
    old.rename(new)
    before = (new / "mlruns/mlflow.db").read_bytes()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{new}/mlruns/mlflow.db")
    connect(new)
    assert (new / "mlruns/mlflow.db").read_bytes() == before
