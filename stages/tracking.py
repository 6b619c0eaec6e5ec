"""MLflow: one run per trained model, its evaluation in the same run.

Runs live in mlruns/mlflow.db and mlruns/artifacts of the repository that `dvc` was called in (also when
`dvc exp run --temp` works in a copy), or on the server that MLFLOW_TRACKING_URI names.
"""

import hashlib
import logging
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from reanchor.config import Params, flatten
from stages.curves import settings_key

EXPERIMENT = "reanchor"
WEIGHTS_TAG = "reanchor.weights_sha256"
PARENT_VARIABLE = "REANCHOR_PARENT_RUN"  # MLFLOW_RUN_ID would resume that run instead
URI_VARIABLE = "MLFLOW_TRACKING_URI"
FLUSH_SECONDS = 2.0
_BATCH = 1000  # MLflow's limit for one call
PARENTS = {  # model: folders of the weights it starts from
    "prompts": ("models/backbone",),
    "baseline": ("models/backbone",),
    "clip_reid": ("models/backbone", "models/prompts"),
    "saga": ("models/backbone", "models/finetune/clip_reid"),
    "clip_tuned": ("models/backbone",), "sdm": ("models/backbone",), "tbps_clip": ("models/backbone",),
    "mgcc": ("models/backbone",),
}
METHODS = {  # evaluated method: its weights
    "histogram": None,  # has none
    "zero_shot": "models/backbone", "baseline": "models/finetune/baseline",
    "clip_reid": "models/finetune/clip_reid", "saga": "models/saga", "gated": "models/gate",
    "imported": "models/imported",
}
SEARCHERS = {  # the same for text-based methods, judged by `search`
    "zero_shot": "models/backbone", "clip_tuned": "models/tbps/clip_tuned", "sdm": "models/tbps/sdm",
    "tbps_clip": "models/tbps/tbps_clip", "mgcc": "models/mgcc",
}
NO_FEATURE = ("mgcc",)  # a similarity of two sets of tokens
SECTIONS = {  # stage: the sections of params.yaml that shape its model
    "backbone": ("backbone",), "prompts": ("prompts",), "finetune": ("finetune",), "tbps": ("tbps",),
    "saga": ("saga",),
    "gate": ("gate", "finetune"), "imported": ("imported",),
    "mgcc": ("mgcc",),
}


class ModelRun:
    """The MLflow run of one model: opened by a stage, fed with curves, closed with metrics and model."""

    def __init__(self, client: Any, run_id: str, root: Path, model: str):
        self._client, self.run_id, self._root, self._model = client, run_id, root, model
        self._points: list = []
        self._flushed = time.monotonic()

    @classmethod
    def open(cls, root: Path, stage: str, model: str, params: Params) -> "ModelRun":
        """Continue the run that an interrupted training with these settings left open, or start one."""
        client = connect(root)
        key = f"{stage}/{model}/{settings_key(params)}"
        experiment = _experiment_id(client, root)
        unfinished = client.search_runs(
            [experiment], f"tags.`reanchor.key` = '{key}' and attributes.status = 'RUNNING'", max_results=1)
        if unfinished:
            return cls(client, unfinished[0].info.run_id, root, model)
        tags = {"reanchor.key": key, "reanchor.stage": stage, "reanchor.model": model,
                **_origin(root, model, parents_of(model, params))}
        name = model if model == stage else f"{stage}@{model}"
        run = client.create_run(experiment, tags=tags, run_name=name)
        _log_params(client, run.info.run_id, stage, params)
        return cls(client, run.info.run_id, root, model)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Queue one row of the training curve; rows travel together every two seconds."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._points += [Metric(name, float(value), now, step) for name, value in values.items()]
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    def log_model(self, folder: Path) -> None:
        """Log `folder` as a pyfunc (files as they are where a model has no single feature) and tag the run with its
        weights' hash."""
        from stages.models import log_pyfunc

        made = weights_sha256(folder)
        earlier = find_run(self._root, made)
        if earlier:  # the same weights again: DVC will not evaluate them anew, so their figures come along
            figures = self._client.get_run(earlier).data.metrics
            _log_metrics(self._client, self.run_id, {key: figures[key] for key in figures if "/" in key})
        self._client.set_tag(self.run_id, WEIGHTS_TAG, made)
        if self._model in NO_FEATURE:
            self._client.log_artifacts(self.run_id, str(folder), self._model)
        else:
            log_pyfunc(self.run_id, Path(folder), self._model)

    def close(self, status: str, metrics: dict) -> None:
        """Log the stage's metrics (text as tags) and end the run with `status`."""
        self._flush()
        _log_metrics(self._client, self.run_id, metrics)
        self._client.set_terminated(self.run_id, status)

    def _flush(self) -> None:
        for start in range(0, len(self._points), _BATCH):
            self._client.log_batch(self.run_id, metrics=self._points[start:start + _BATCH])
        self._points = []
        self._flushed = time.monotonic()


def connect(root: Path) -> Any:
    """An MLflow client of the configured store, which also becomes MLflow's own default."""
    for name in ("alembic", "mlflow.store.db.utils", "mlflow.store.db"):  # migrations, at length
        logging.getLogger(name).setLevel(logging.WARNING)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    given = os.environ.get(URI_VARIABLE)
    mlflow.set_tracking_uri(tracking_uri(root))
    if given is None:  # MLflow exports its choice, which would then look like the user's
        os.environ.pop(URI_VARIABLE, None)
    return mlflow.MlflowClient()


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, or the SQLite file of the repository."""
    given = os.environ.get(URI_VARIABLE)
    if given:
        return given
    folder = _home(root) / "mlruns"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}"


def weights_sha256(folder: Path) -> str:
    """Hash of a model folder's safetensors: the file's own, or one over all files' names and hashes.

    Raises:
        FileNotFoundError: no such file in `folder`.
    """
    files = sorted(Path(folder).rglob("*.safetensors"))
    if not files:
        raise FileNotFoundError(2, "no weights", str(Path(folder) / "*.safetensors"))
    hashes = [_file_sha256(file) for file in files]
    if len(files) == 1:
        return hashes[0]
    lines = [f"{digest}  {file.relative_to(folder).as_posix()}\n"
             for file, digest in zip(files, hashes, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def find_run(root: Path, sha256: str) -> str | None:
    """Id of the newest run that made the weights with this hash."""
    client = connect(root)
    runs = client.search_runs([_experiment_id(client, root)], f"tags.`{WEIGHTS_TAG}` = '{sha256}'",
                              max_results=1, order_by=["attributes.start_time DESC"])
    return runs[0].info.run_id if runs else None


def log_evaluation(weights_sha256: str, metrics: dict[str, float], root: Path | None = None,
                   name: str = "evaluation") -> str:
    """Add evaluation figures to the run that made the weights; return its id.

    A fresh tracking store knows no such run (DVC restored the weights): a run called `name` is made then.
    """
    root = root or Path.cwd()
    client = connect(root)
    run_id = find_run(root, weights_sha256)
    if run_id is None:
        tags = {WEIGHTS_TAG: weights_sha256, "reanchor.model": name, **_origin(root, name, PARENTS.get(name, ()))}
        run_id = client.create_run(_experiment_id(client, root), tags=tags, run_name=name).info.run_id
        client.set_terminated(run_id)
    _log_metrics(client, run_id, metrics)
    return run_id


def open_group(root: Path, name: str, params: dict[str, Any]) -> str:
    """Make a finished run that others can hang below (their PARENT_VARIABLE names it); return its id."""
    client = connect(root)
    run_id = client.create_run(_experiment_id(client, root), run_name=name).info.run_id
    for key, value in params.items():
        client.log_param(run_id, key, str(value))
    client.set_terminated(run_id)
    return run_id


def log_methods(root: Path, metrics: dict[str, float], stage: str = "evaluate") -> None:
    """Share figures {"method/condition/metric": value} of a judging stage out to the runs of the methods' models.

    Those of `search` are named "text/condition/metric": a backbone is judged by both stages.
    """
    if stage == "search":
        metrics = {"/text/".join(key.split("/", 1)): value for key, value in metrics.items() if "/" in key}
    for method, folder in (SEARCHERS if stage == "search" else METHODS).items():
        prefix = f"{method}/"
        own = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
        if folder:  # "saga_refined/...": a variant of the same weights keeps its full name
            own |= {key: value for key, value in metrics.items() if key.startswith(f"{method}_")}
        if own:
            made = weights_sha256(root / folder) if folder else f"{method} of {_data_sha256(root)}"
            log_evaluation(made, own, root, name=method)


def _home(root: Path) -> Path:
    """The repository itself where `root` is a temporary copy of it made by DVC."""
    return Path(os.environ.get("DVC_ROOT") or root).resolve()


def _experiment_id(client: Any, root: Path) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return found.experiment_id
    local = not os.environ.get(URI_VARIABLE)  # a server has its own place for artifacts
    location = (_home(root) / "mlruns" / "artifacts").as_uri() if local else None
    return client.create_experiment(EXPERIMENT, artifact_location=location)


def parents_of(model: str, params: Params) -> tuple[str, ...]:
    """Folders of the weights that a model starts from; the gate's depend on its settings."""
    if model != "gate":
        return PARENTS.get(model, ())
    if params.gate.source == "saga":
        return ("models/saga",)  # which holds a backbone of its own
    if params.gate.trained:
        return PARENTS[params.gate.model]
    return "models/backbone", f"models/finetune/{params.gate.model}"


def _origin(root: Path, model: str, parents: tuple[str, ...]) -> dict[str, str]:
    """Tags that say what a model came from: commit, data, parent weights, enclosing run."""
    tags = {"mlflow.source.git.commit": _git(root, "rev-parse", "HEAD"),
            "reanchor.uncommitted_changes": str(bool(_git(root, "status", "--porcelain", "-uno"))).lower()}
    if model != "backbone":  # which reads no prepared data
        tags["reanchor.data_sha256"] = _data_sha256(root)
    for folder in parents:
        if any((root / folder).rglob("*.safetensors")):
            tags[f"reanchor.parent.{Path(folder).name}"] = weights_sha256(root / folder)
    if os.environ.get(PARENT_VARIABLE):
        tags["mlflow.parentRunId"] = os.environ[PARENT_VARIABLE]
    return tags


def _data_sha256(root: Path) -> str:
    """Hash of the manifest, which holds every image's checksum and split."""
    manifest = root / "data/prepared/manifest.parquet"
    return _file_sha256(manifest) if manifest.is_file() else "none"


def _log_params(client: Any, run_id: str, stage: str, params: Params) -> None:
    from mlflow.entities import Param

    leaves: dict[str, Any] = {}
    for section in SECTIONS.get(stage, ()):
        leaves.update(flatten(getattr(params, section), section))
    leaves.update({"dataset": params.prepare.root, "size": f"{params.prepare.height}x{params.prepare.width}"})
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in leaves.items()])


def _log_metrics(client: Any, run_id: str, metrics: dict) -> None:
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    numbers = [Metric(key, float(value), now, 0)
               for key, value in metrics.items() if not isinstance(value, str)]
    texts = [RunTag(f"reanchor.{key}", value) for key, value in metrics.items() if isinstance(value, str)]
    for start in range(0, len(numbers), _BATCH):
        client.log_batch(run_id, metrics=numbers[start:start + _BATCH])
    client.log_batch(run_id, tags=texts)


def _git(root: Path, *arguments: str) -> str:
    answer = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
