"""What a stage reads, as it stood when the stage began, held against what stands when it ends.

DVC hashes a stage's inputs after its command has ended. Settings, code or data changed meanwhile would be recorded
as what the outputs were made from, and `dvc status` would call them up to date.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from reanchor.config.load import flatten, load
from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.imports import is_record
from reanchor.methods.lineage import filled
from stages import BEGAN

CODE = ("reanchor/", "stages/")
_NO_INPUTS = ("__pycache__", ".pyc", ".partial")  # as .dvcignore has it

Trace = str | tuple[int, int]  # of code its SHA-256; of data, which may be large, size and time of change


@dataclass(frozen=True)
class Inputs:
    """Settings and files that dvc.yaml names for a stage."""

    root: Path
    label: str  # the stage
    keys: tuple[str, ...]  # sections or leaves of params.yaml
    settings: dict[str, Any]
    paths: tuple[str, ...]  # relative to root
    files: dict[str, Trace]

    @classmethod
    def of(cls, root: Path, label: str, params: Params) -> "Inputs":
        """Note what stands now; nothing where the workspace has no such stage."""
        stage = definitions(root).get(label, {})
        keys, values = tuple(stage.get("params", ())), flatten(params)
        paths = filled(tuple(stage.get("deps", ())), params)
        return cls(root, label, keys, _chosen(values, keys), paths, _traces(root, paths))

    def require_as_imported(self) -> None:
        """Imports take seconds, and come before `of`.

        Raises:
            ReanchorError: a module of this process was edited since it began.
        """
        loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        for name in sorted(self.files):
            file = self.root / name
            if str(file) in loaded and file.stat().st_mtime > BEGAN:
                raise ReanchorError(f"{name} changed while the stage was starting: it may run with the code of before; "
                                    f"run `dvc repro {self.label}` again")

    def require_unchanged(self) -> None:
        """Compare with what stands now.

        Raises:
            ReanchorError: a setting or file differs; the first one is named.
        """
        if what := self._changed_setting() or self._changed_file():
            raise ReanchorError(f"{what} changed while the stage ran, which had read it as it was before; its outputs "
                                f"are not recorded; run `dvc repro {self.label}` again, and change settings, code and "
                                "data only between runs (put back, a training goes on from its checkpoint)")

    def _changed_setting(self) -> str:
        now = _chosen(flatten(load(self.root / "params.yaml")), self.keys)
        for key, value in self.settings.items():
            if now[key] != value:
                return f"params.yaml: {key} (read as {value!r}, now {now[key]!r})"
        return ""

    def _changed_file(self) -> str:
        now = _traces(self.root, self.paths)
        return next((path for path in sorted(self.files.keys() | now.keys())
                     if self.files.get(path) != now.get(path)), "")


def definitions(root: Path) -> dict[str, dict]:
    """dvc.yaml's stages by name; none without the file."""
    path = root / "dvc.yaml"
    return OmegaConf.to_container(OmegaConf.load(path), resolve=False)["stages"] if path.is_file() else {}


def _chosen(leaves: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {leaf: value for leaf, value in leaves.items()
            if any(leaf == key or leaf.startswith(f"{key}.") for key in keys)}


def _traces(root: Path, paths: tuple[str, ...]) -> dict[str, Trace]:
    return {name: trace for path in paths for name, trace in _trace(root, path)}


def _trace(root: Path, path: str) -> Iterator[tuple[str, Trace]]:
    code = path.startswith(CODE)
    for file in _files(root / path):
        if file.name.endswith(_NO_INPUTS) or is_record(file):
            continue
        try:
            status = file.stat()
        except OSError:  # a link to nothing, or gone this moment
            continue
        name = os.path.relpath(file, root) if file.is_relative_to(root) else str(file)
        yield name, hashlib.sha256(file.read_bytes()).hexdigest() if code else (status.st_size, status.st_mtime_ns)


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name not in _NO_INPUTS]
        yield from (Path(folder, name) for name in names)
