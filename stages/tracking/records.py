"""What is logged, as plain records: sent to MLflow by the same code now or later.

A run is a head (kind "run") followed by others. Each may be sent again without doubling anything.
"""

import time
import uuid
from pathlib import Path
from typing import Any

from reanchor.hashes import weights_sha256
from reanchor.methods.registry import of_stage
from stages.tracking.address import EXPERIMENT, artifacts, is_own
from stages.tracking.origin import PARENT_TAG

WEIGHTS_TAG = "reanchor.weights_sha256"
KEY_TAG = "reanchor.key"
OPENED_TAG = "reanchor.opened"  # a name for the run that it has before MLflow gives it one
UNFINISHED = ("RUNNING", "KILLED")
_BATCH = 1000  # MLflow's limit for one call
Record = dict[str, Any]
FIELDS = {  # of a record, by its kind
    "run": ("opened", "key", "name", "tags", "params", "start", "run_id"),
    "metrics": ("points",),  # [[name, value, time, step]]
    "tags": ("tags",),
    "model": ("model", "folder", "sha256"),  # the folder relative to the workspace
    "end": ("status", "time"),
    "figures": ("sha256", "name", "tags", "points"),  # of a judging stage, for the run of these weights
}


def is_record(value: Any) -> bool:
    """Whether something read from a file is a record."""
    return isinstance(value, dict) and value.get("kind") in FIELDS and set(FIELDS[value["kind"]]) <= set(value)


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


def head_of(name: str, tags: dict[str, str], params: dict[str, str], key: str | None = None) -> Record:
    """The record that a run begins with."""
    opened = uuid.uuid4().hex
    tags = {**tags, OPENED_TAG: opened} | ({KEY_TAG: key} if key else {})
    return {"kind": "run", "opened": opened, "key": key, "name": name, "tags": tags, "params": params, "start": now(),
            "run_id": None}


def metrics_of(figures: dict[str, Any]) -> list[Record]:
    """A stage's metrics at step 0; text becomes tags."""
    numbers = [[key, float(value), now(), 0] for key, value in figures.items() if not isinstance(value, str)]
    texts = {f"reanchor.{key}": value for key, value in figures.items() if isinstance(value, str)}
    return [{"kind": "metrics", "points": numbers}, {"kind": "tags", "tags": texts}]


def begin(client: Any, root: Path, head: Record) -> str:
    """The id of the run that `head` describes: the one that was begun, an interrupted one, or a new one."""
    experiment = experiment_id(client, root)
    run_id = _begun(client, experiment, head)
    if run_id is None:
        tags = dict(head["tags"])
        if parent := tags.get(PARENT_TAG):  # itself perhaps kept in a file for a while
            tags[PARENT_TAG] = _first(client, experiment, OPENED_TAG, parent) or parent
        run_id = client.create_run(experiment, start_time=head["start"], tags=tags, run_name=head["name"]).info.run_id
    if head["params"] and not client.get_run(run_id).data.params:
        _log_params(client, run_id, head["params"])
    return run_id


def _begun(client: Any, experiment: str, head: Record) -> str | None:
    if head["run_id"] and _exists(client, head["run_id"]):
        return head["run_id"]
    run_id = _first(client, experiment, OPENED_TAG, head["opened"])
    if run_id is None and head["key"]:
        run_id = _first(client, experiment, KEY_TAG, head["key"], head["start"], UNFINISHED)
        if run_id is not None:
            client.set_tag(run_id, OPENED_TAG, head["opened"])
    return run_id


def apply(client: Any, root: Path, run_id: str, record: Record) -> str | None:
    """Send one record of a run; return a note where something had to be left out."""
    if record["kind"] == "metrics":
        _log_points(client, run_id, record["points"])
    elif record["kind"] == "tags":
        _log_tags(client, run_id, record["tags"])
    elif record["kind"] == "model":
        return _log_model(client, root, run_id, record)
    elif record["kind"] == "end":
        client.set_terminated(run_id, record["status"], record["time"])
    return None


def add_figures(client: Any, root: Path, record: Record) -> str:
    """Add a judging stage's figures to the run that made the weights, which may have to be made; return its id."""
    run_id = find(client, root, record["sha256"])
    if run_id is None:
        tags = {**record["tags"], WEIGHTS_TAG: record["sha256"]}
        run_id = client.create_run(experiment_id(client, root), tags=tags, run_name=record["name"]).info.run_id
        client.set_terminated(run_id)
    _log_points(client, run_id, record["points"])
    return run_id


def adopt(client: Any, root: Path, opened: str, run_id: str) -> None:
    """Hang the runs that know their parent by the name it had before it came to MLflow below it."""
    experiment = experiment_id(client, root)
    while child := _first(client, experiment, PARENT_TAG, opened):
        client.set_tag(child, PARENT_TAG, run_id)


def find(client: Any, root: Path, sha256: str, other_than: str | None = None) -> str | None:
    """Id of the newest run that made the weights with this hash."""
    runs = _search(client, experiment_id(client, root), WEIGHTS_TAG, sha256, 2)
    return next((run.info.run_id for run in runs if run.info.run_id != other_than), None)


def experiment_id(client: Any, root: Path) -> str:
    """The experiment of all runs, made where there is none."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return found.experiment_id
    location = artifacts(root).as_uri() if is_own() else None  # a server has its own place for artifacts
    return client.create_experiment(EXPERIMENT, artifact_location=location)


def _search(client: Any, experiment: str, tag: str, value: str, count: int = 1) -> list:
    return client.search_runs([experiment], f"tags.`{tag}` = '{value}'", max_results=count,
                              order_by=["attributes.start_time DESC"])


def _first(client: Any, experiment: str, tag: str, value: str, before: int | None = None,
           states: tuple[str, ...] = ()) -> str | None:
    """Id of the newest run with this tag, if it was begun before a time and is in one of these states."""
    for run in _search(client, experiment, tag, value):
        if (before is None or run.info.start_time <= before) and (not states or run.info.status in states):
            return run.info.run_id
    return None


def _exists(client: Any, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def _log_model(client: Any, root: Path, run_id: str, record: Record) -> str | None:
    """Tag the run with its weights' hash and log the folder as a pyfunc (as files where a model has no feature)."""
    from stages.models import log_pyfunc

    earlier = find(client, root, record["sha256"], other_than=run_id)
    if earlier:  # the same weights again: DVC will not evaluate them anew, so their figures come along
        figures = client.get_run(earlier).data.metrics
        _log_points(client, run_id, [[key, figures[key], now(), 0] for key in figures if "/" in key])
    again = client.get_run(run_id).data.tags.get(WEIGHTS_TAG) == record["sha256"]
    client.set_tag(run_id, WEIGHTS_TAG, record["sha256"])
    folder = root / record["folder"]
    if not any(folder.rglob("*.safetensors")) or weights_sha256(folder) != record["sha256"]:
        return f"its model is left out, since {record['folder']} holds other weights now"
    method = of_stage(record["model"])
    if method is not None and method.search and not method.embed:  # a similarity of two sets of tokens
        client.log_artifacts(run_id, str(folder), record["model"])
    elif not _has_model(client, run_id, record["model"], again):
        log_pyfunc(run_id, folder, record["model"])
    return None


def _has_model(client: Any, run_id: str, name: str, same: bool) -> bool:
    """Whether the run has its model already; what an attempt left half done is removed from it."""
    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_logged_models([experiment], f"source_run_id = '{run_id}' AND name = '{name}'")
    for model in found:
        if same and str(model.status) == "READY":
            return True
        if str(model.status) != "READY":
            client.delete_logged_model(model.model_id)
    return False


def _log_points(client: Any, run_id: str, points: list) -> None:
    from mlflow.entities import Metric

    for start in range(0, len(points), _BATCH):
        client.log_batch(run_id, metrics=[Metric(*point) for point in points[start:start + _BATCH]])


def _log_tags(client: Any, run_id: str, tags: dict[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def _log_params(client: Any, run_id: str, params: dict[str, str]) -> None:
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(key, value) for key, value in params.items()])
