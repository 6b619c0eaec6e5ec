"""Fixtures that several tests share."""

import dataclasses
import os
import shutil
from pathlib import Path

import pytest
from places import ROOT

from reanchor.config.params import Params

for variable in ("DVC_ROOT", "DVC_STAGE", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
    os.environ.pop(variable, None)  # a test must not write into the caller's stores
os.environ["DVC_NO_ANALYTICS"] = "1"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root folder."""
    return ROOT


@pytest.fixture
def params() -> Params:
    """Default settings, free to change."""
    return Params()


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory) -> Path:
    """An empty MLflow database with all migrations applied (seconds; a copy takes none)."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    folder = tmp_path_factory.mktemp("mlflow")
    store = SqlAlchemyStore(f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri())
    store._dispose_engine()
    return folder / "mlflow.db"


@pytest.fixture
def workspace(tmp_path, monkeypatch, migrated_database) -> Path:
    """An empty workspace with its own MLflow store, as the current folder."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(migrated_database, tmp_path / "mlruns/mlflow.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small(monkeypatch):
    """Give a card the counts of a miniature in place of the published ones."""
    from reanchor.data.catalogue import DATASETS, read_dataset
    from reanchor.data.statistics import files_found

    default = ("train_images", "query_images", "gallery_images", "query_identities", "cameras")

    def shrink(name, root, keys=default, **more):
        card = DATASETS[name]
        found = files_found(read_dataset(card.reader, root, 0, junk=card.junk, distractors=card.distractors))
        counts = {key: found[key] for key in keys if found[key]} | more
        monkeypatch.setitem(DATASETS, name, dataclasses.replace(card, counts=counts, variants={}))
        return DATASETS[name]
    return shrink


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The address of the API of a Prefect server of the tests' own."""
    from prefect_server import running_server

    with running_server(tmp_path_factory.mktemp("prefect")) as address:
        yield address
