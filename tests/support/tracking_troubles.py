"""Ways in which MLflow's store fails, each provoked in a workspace; leaving the context mends it."""

import http.server
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
from safetensors.numpy import save_file

from stages.runner import run_stage
from stages.tracking import moved
from stages.tracking.store import connect

URI = "MLFLOW_TRACKING_URI"


def weights(folder: Path, value: float = 1.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"scale": np.full(3, value, dtype=np.float32)}, folder / "weights.safetensors")
    (folder / "model.json").write_text('{"kind": "saga", "spec": {"image_size": [4, 2]}}')
    return folder


def train(workspace) -> None:
    (workspace / "params.yaml").write_text("saga: {epochs_a: 3}\n")
    folder = weights(workspace / "models/saga", 2.0)

    def body(run) -> dict:
        for step in (1, 2, 3):
            run.recorder().log(step, {"loss": 4.0 - step})
        run.log_model(folder)
        return {"images_per_second": 120.0, "best": "epoch 2"}

    run_stage("saga", body)


def runs(workspace) -> list:
    client = connect(workspace)
    experiment = client.get_experiment_by_name("reanchor")
    return client.search_runs([experiment.experiment_id]) if experiment else []


def curve(workspace, run_id: str) -> list[tuple[int, float]]:
    history = connect(workspace).get_metric_history(run_id, "loss")
    return [(point.step, point.value) for point in history]


@contextmanager
def locked(workspace: Path) -> Iterator[None]:
    holder = sqlite3.connect(workspace / "mlruns/mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with mock.patch.object(moved, "LOCK_SECONDS", 0.2):
        yield
    holder.close()


@contextmanager
def replaced(workspace: Path, by: bytes | None) -> Iterator[None]:
    """The database is other bytes, or (None) a folder."""
    database, aside = workspace / "mlruns/mlflow.db", workspace / "aside.db"
    database.rename(aside)
    if by is None:
        database.mkdir()
    else:
        database.write_bytes(by)
    yield
    database.rmdir() if by is None else database.unlink()
    aside.rename(database)


@contextmanager
def truncated(workspace: Path) -> Iterator[None]:
    with replaced(workspace, (workspace / "mlruns/mlflow.db").read_bytes()[:5000]):
        yield


@contextmanager
def newer(workspace: Path) -> Iterator[None]:
    """As a later MLflow leaves it."""
    database = sqlite3.connect(workspace / "mlruns/mlflow.db", isolation_level=None)
    (version,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    yield
    database.execute("UPDATE alembic_version SET version_num = ?", (version,))
    database.close()


@contextmanager
def no_folder(workspace: Path) -> Iterator[None]:
    """A file where mlruns should be: nothing can be written below it, by root either."""
    (workspace / "mlruns").rename(workspace / "aside")
    (workspace / "mlruns").touch()
    yield
    (workspace / "mlruns").unlink()
    (workspace / "aside").rename(workspace / "mlruns")


@contextmanager
def no_metrics(workspace: Path) -> Iterator[None]:
    """Trouble in the middle: MLflow can make runs, but no metric goes in."""
    database = sqlite3.connect(workspace / "mlruns/mlflow.db", isolation_level=None)
    database.execute("CREATE TRIGGER trouble BEFORE INSERT ON metrics BEGIN INSERT INTO nowhere VALUES (1); END")
    yield
    database.execute("DROP TRIGGER trouble")
    database.close()


def dead_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def dead_server(workspace: Path, monkeypatch) -> Iterator[None]:
    with _address(monkeypatch, dead_port()):
        yield


@contextmanager
def silent_server(workspace: Path, monkeypatch) -> Iterator[None]:
    """Accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        with _address(monkeypatch, listener.getsockname()[1]):
            yield


@contextmanager
def failing_server(workspace: Path, monkeypatch, status: int = 500) -> Iterator[None]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with _address(monkeypatch, server.server_address[1]):
        yield
    server.shutdown()
    server.server_close()


@contextmanager
def _address(monkeypatch, port: int) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv(URI, f"http://me:secret@127.0.0.1:{port}")
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        patch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
        patch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
        yield
