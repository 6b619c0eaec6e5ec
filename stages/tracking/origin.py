"""What a model came from: commit, data, parent weights, settings."""

import os
import subprocess
from pathlib import Path
from typing import Any

from reanchor.config.load import flatten
from reanchor.config.params import Params
from reanchor.config.rules import value_of
from reanchor.hashes import file_sha256, weights_sha256
from reanchor.methods.registry import of_stage

PARENT_VARIABLE = "REANCHOR_PARENT_RUN"  # MLFLOW_RUN_ID would resume that run instead
PARENT_TAG = "mlflow.parentRunId"


def data_sha256(root: Path) -> str:
    """Hash of the manifest, which holds every image's checksum and split."""
    manifest = root / "data/prepared/manifest.parquet"
    return file_sha256(manifest) if manifest.is_file() else "none"


def origin(root: Path, model: str, parents: tuple[str, ...]) -> dict[str, str]:
    """Tags that say what a model came from: commit, data, parent weights, enclosing run."""
    tags = {"mlflow.source.git.commit": _git(root, "rev-parse", "HEAD"),
            "reanchor.uncommitted_changes": str(bool(_git(root, "status", "--porcelain", "-uno"))).lower()}
    if model != "backbone":  # which reads no prepared data
        tags["reanchor.data_sha256"] = data_sha256(root)
    for folder in parents:
        if any((root / folder).rglob("*.safetensors")):
            tags[f"reanchor.parent.{Path(folder).name}"] = weights_sha256(root / folder)
    if os.environ.get(PARENT_VARIABLE):
        tags[PARENT_TAG] = os.environ[PARENT_VARIABLE]
    return tags


def settings_of(stage: str, params: Params) -> dict[str, str]:
    """A run's params: the sections of params.yaml that shape its model, dataset and image size."""
    leaves: dict[str, Any] = {}
    method = of_stage(stage)
    for section in method.settings if method else ():
        leaves.update(flatten(value_of(params, section), section))
    leaves.update({"dataset": params.prepare.root, "size": f"{params.prepare.height}x{params.prepare.width}"})
    return {key: str(value) for key, value in leaves.items()}


def _git(root: Path, *arguments: str) -> str:
    """What git prints; nothing outside a repository or without git."""
    try:
        answer = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return answer.stdout.strip()
