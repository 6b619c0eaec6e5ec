"""What a trained model of the study stands on, kept beside it: with other settings or images it is not reused."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.files import write_json
from reanchor.formats.suites import read_suites
from reanchor.training.checkpoint import file_sha256

SECTIONS = {"reid": ("prompts", "finetune"), "saga": ("prompts", "finetune", "saga"),
            "gate": ("prompts", "finetune", "gate", "occlude")}  # that a training of this kind reads
JUDGED_ONLY = ("test", "sides")  # of suites.json: what comes to them later trains nothing


def record_of(kind: str, params: Params, root: Path, parent: Path | None) -> dict:
    """Settings and SHA-256 of the inputs of a training in the workspace `root`, plain JSON.

    Args:
        parent: folder of the model that it goes on from.
    """
    suites = {key: value for key, value in read_suites(root / "data/occluded").items() if key not in JUDGED_ONLY}
    paths = [root / "data/prepared/manifest.parquet",
             *(folder / name for folder in (root / "models/backbone", parent) if folder is not None
               for name in ("weights.safetensors", "model.json"))]
    hashes = {f"{path.parent.name}/{path.name}": file_sha256(path) for path in paths}
    hashes["occluded"] = hashlib.sha256(json.dumps(suites, sort_keys=True).encode()).hexdigest()
    settings = {section: dataclasses.asdict(getattr(params, section)) for section in SECTIONS[kind]}
    return json.loads(json.dumps({"settings": settings, "inputs": hashes}))


def record_path(folder: Path) -> Path:
    """Where the record of the model in `folder` is."""
    return folder.with_name(f"{folder.name}.record.json")


def keep(folder: Path, record: dict) -> None:
    """Write it, before the training begins."""
    write_json(record_path(folder), record)


def require_same(folder: Path, record: dict) -> None:
    """Refuse a finished model that was trained otherwise; one without a record is taken, with a line that says so.

    Raises:
        ReanchorError: the first setting or input that differs.
    """
    path = record_path(folder)
    if not path.is_file():
        print(f"{folder}: taken as it is, nothing tells what it was trained with", flush=True)
        return
    was, now = (dict(_leaves(one)) for one in (json.loads(path.read_text()), record))
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            raise ReanchorError(f"--out: {folder} was trained with {name} {was.get(name)!r}, which is now "
                                f"{now.get(name)!r}; allowed: the same; give another --out, or remove that folder")


def _leaves(values: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
