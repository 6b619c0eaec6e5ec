"""The MLflow run of one model. What MLflow does not take is kept in a file."""

import time
from pathlib import Path
from typing import Any

from reanchor.config.params import Params
from reanchor.hashes import weights_sha256
from reanchor.methods.lineage import parents
from reanchor.methods.registry import of_stage
from stages.curves import settings_key
from stages.tracking.origin import origin, settings_of
from stages.tracking.pending import Pending
from stages.tracking.records import Record, apply, begin, head_of, metrics_of, now
from stages.tracking.resend import send_earlier
from stages.tracking.store import LATER, WAIT_SECONDS, Store, Unreachable, plain, store_of

FLUSH_SECONDS = 2.0
FLUSH_SHARE = 20  # a slow server may take a twentieth of the training's time
KILLED_SECONDS = 5.0  # whoever ends a process does not wait long
UPLOAD_RATE = 1e6  # bytes per second of the slowest line that a model is sent over


class ModelRun:
    """The MLflow run of one model: opened by a stage, fed with curves, closed with metrics and model."""

    def __init__(self, store: Store, pending: Pending):
        self._store, self._head, self._pending = store, pending.head, pending
        self._points: list = []
        self._flushed, self._pause = time.monotonic(), FLUSH_SECONDS

    @property
    def run_id(self) -> str | None:
        """MLflow's name for the run; None while it could not be begun there."""
        return self._head["run_id"]

    @classmethod
    def open(cls, root: Path, stage: str, params: Params) -> "ModelRun":
        """Continue the run that an interrupted training with these settings left open, or start one."""
        key = f"{stage}/{settings_key(params)}"
        store = store_of(root)
        send_earlier(store, key)
        method = of_stage(stage)
        tags = {"reanchor.stage": stage, "reanchor.model": stage,
                **origin(root, stage, parents(method, params) if method else ())}
        pending = Pending(root, stage, head_of(stage, tags, settings_of(stage, params), key))
        pending.resume()
        run = cls(store, pending)
        run._begin()
        return run

    def log(self, step: int, values: dict[str, float]) -> None:
        """Queue one row of the training curve; rows travel together every two seconds."""
        self._points += [[name, float(value), now(), step] for name, value in values.items()]
        if time.monotonic() - self._flushed > self._pause:
            self._flush()

    def log_model(self, folder: Path) -> None:
        """Log `folder` as a pyfunc (files as they are where a model has no single feature) and tag the run with its
        weights' hash."""
        folder, root = Path(folder).absolute(), self._store.root.absolute()
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        name = folder.relative_to(root) if folder.is_relative_to(root) else folder
        self._send({"kind": "model", "model": self._head["tags"]["reanchor.model"], "folder": name.as_posix(),
                    "sha256": weights_sha256(folder)}, WAIT_SECONDS + size / UPLOAD_RATE)

    def close(self, status: str, metrics: dict) -> None:
        """Log the stage's metrics (text as tags) and end the run with `status`: FINISHED, FAILED or KILLED."""
        seconds = KILLED_SECONDS if status == "KILLED" else WAIT_SECONDS
        self._flush(seconds)
        for record in [*metrics_of(metrics), {"kind": "end", "status": status, "time": now()}]:
            self._send(record, seconds)
        self._pending.close()

    def _begin(self) -> None:
        def live(client: Any) -> str:
            run_id = begin(client, self._store.root, self._head)
            if client.get_run(run_id).info.status != "RUNNING":
                client.update_run(run_id, status="RUNNING")
            return run_id

        try:
            self._head["run_id"] = self._store.ask(live)
        except Unreachable:
            self._keep({"kind": "tags", "tags": {}})  # the head comes along

    def _flush(self, seconds: float = WAIT_SECONDS) -> None:
        started = time.monotonic()
        if self._points:
            self._send({"kind": "metrics", "points": self._points}, seconds)
        self._points = []
        self._flushed = time.monotonic()
        self._pause = max(FLUSH_SECONDS, FLUSH_SHARE * (self._flushed - started))

    def _send(self, record: Record, seconds: float) -> None:
        try:
            self._store.ask(lambda client: apply(client, self._store.root, self._head["run_id"], record), seconds)
        except Unreachable:
            self._keep(record)

    def _keep(self, record: Record) -> None:
        keep(self._store, self._pending, record)


def open_group(root: Path, name: str, params: dict[str, Any]) -> str:
    """Make a finished run that others can hang below (their PARENT_VARIABLE names it); return a name for it.

    That is its id, or where MLflow could not be reached the name by which it will be known there.
    """
    store, head = store_of(root), head_of(name, {}, {key: str(value) for key, value in params.items()})
    end = {"kind": "end", "status": "FINISHED", "time": now()}

    def group(client: Any) -> str:
        run_id = begin(client, root, head)
        apply(client, root, run_id, end)
        return run_id

    try:
        return store.ask(group)
    except Unreachable:
        pending = Pending(root, "group", head)
        keep(store, pending, end)
        pending.close()
        return head["opened"]


def keep(store: Store, pending: Pending, record: Record) -> None:
    """Keep a record in the run's file and say so, the first time in this process."""
    try:
        file = pending.keep(record)
    except OSError as error:
        store.say(f"it cannot be kept either ({plain(error)}): curves and figures stay in reports/ only")
    else:
        store.say(f"kept in {file}; log it later with `{LATER}`")
