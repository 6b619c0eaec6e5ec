"""A smoke-sized workspace made once; every fault gets a copy of it."""

import shutil
import subprocess
from pathlib import Path

from benchmarks.faults.case import ROOT, python

SETTINGS = ("profile=smoke", "runtime.checkpoint_steps=5")


def make(folder: Path) -> Path:
    """A clone of the repository with the working tree's files, its data and backbone made."""
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
    for name in _changed():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    for step in (("-m", "stages.compose", *SETTINGS), ("-m", "dvc", "repro", "backbone", "occlude")):
        ended = python(folder, *step, limit=600)
        if ended.status:
            raise SystemExit(f"faults: the workspace could not be made: {ended.output[-2000:]}")
    return folder


def copy(made: Path, folder: Path) -> Path:
    """A workspace for one fault; small files, so a real copy."""
    shutil.copytree(made, folder, symlinks=True)
    return folder


def _changed() -> list[str]:
    """Files of the working tree that differ from the last commit, or are new."""
    listed = subprocess.run(["git", "ls-files", "--modified", "--others", "--exclude-standard", "-z"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name]
