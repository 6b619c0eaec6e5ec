"""Figures of the judging stages: they join the runs of the models that they judge."""

from pathlib import Path

from reanchor.config.params import Params
from reanchor.hashes import weights_sha256
from reanchor.methods.lineage import parents
from reanchor.methods.method import IMAGE, SENTENCE
from reanchor.methods.registry import judged, methods
from stages.tracking.origin import data_sha256, origin
from stages.tracking.pending import Pending
from stages.tracking.records import Record, add_figures, experiment_id, find, metrics_of
from stages.tracking.run import keep
from stages.tracking.store import Unreachable, store_of

LEFT_OUT = "links to its runs are left out"


def find_run(root: Path, sha256: str) -> str | None:
    """Id of the newest run that made the weights with this hash; None too where MLflow cannot be reached."""
    store = store_of(root)
    try:
        return store.ask(lambda client: find(client, root, sha256))
    except Unreachable:
        store.say(LEFT_OUT)
        return None


def experiment_of(root: Path) -> str | None:
    """Id of the experiment of all runs; None where MLflow cannot be reached."""
    store = store_of(root)
    try:
        return store.ask(lambda client: experiment_id(client, root))
    except Unreachable:
        store.say(LEFT_OUT)
        return None


def log_evaluation(weights_sha256: str, metrics: dict[str, float], root: Path | None = None, name: str = "evaluation",
                   params: Params | None = None, pending: Pending | None = None) -> str | None:
    """Add evaluation figures to the run that made the weights; return its id, None where they are kept in a file.

    A fresh tracking store knows no such run (DVC restored the weights): a run called `name` is made then.
    """
    root = root or Path.cwd()
    tags = {"reanchor.model": name, **origin(root, name, parents(methods()[name], params or Params())
                                             if name in methods() else ())}
    record: Record = {"kind": "figures", "sha256": weights_sha256, "name": name, "tags": tags,
                      "points": metrics_of(metrics)[0]["points"]}
    store = store_of(root)
    try:
        return store.ask(lambda client: add_figures(client, root, record))
    except Unreachable:
        keep(store, pending or Pending(root, name), record)
        return None


def log_methods(root: Path, metrics: dict[str, float], stage: str = "evaluate", params: Params | None = None) -> None:
    """Share figures {"method/condition/metric": value} of a judging stage out to the runs of the methods' models.

    Those of `search` are named "text/condition/metric": a backbone is judged by both stages.
    """
    if stage == "search":
        metrics = {"/text/".join(key.split("/", 1)): value for key, value in metrics.items() if "/" in key}
    pending = Pending(root, stage)
    for name, method in judged(SENTENCE if stage == "search" else IMAGE).items():
        prefix, folder = f"{name}/", method.model
        own = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
        if folder:  # "saga_refined/...": a variant of the same weights keeps its full name
            own |= {key: value for key, value in metrics.items() if key.startswith(f"{name}_")}
        if own:
            made = weights_sha256(root / folder) if folder else f"{name} of {data_sha256(root)}"
            log_evaluation(made, own, root, name, params, pending)
    pending.close()
