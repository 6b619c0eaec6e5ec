"""A word changed in the code: which stages DVC calls stale, and which checkpoints are continued."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

from stages.declared import stages

pytestmark = pytest.mark.slow

EDITS = {  # file -> the stages that read it, and no others
    "reanchor/data/datasets/market1501.py": {"prepare"},
    "reanchor/occlusion/drawings/street.py": {"occlude"},
    "reanchor/streetfolk/dress.py": {"render", "occlude", "backbone"},
    "reanchor/report/words.py": {"report"},
    "reanchor/methods/mgcc/model.py": {"mgcc", "search"},
    "reanchor/methods/gate/replay.py": {"gate", "imported", "evaluate"},
    "reanchor/methods/saga/fusion.py": {"saga"},
    "reanchor/methods/tbps/losses.py": {"clip_tuned", "sdm", "tbps_clip"},
    "reanchor/cli/doctor.py": set(),
    "reanchor/methods/saga/method.py": set(),
    "stages/tracking/run.py": set(),
}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """The repository's code with an output of every stage, all of them up to date for DVC."""
    folder = tmp_path_factory.mktemp("study")
    for name in ("reanchor", "stages", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "models/shipped").mkdir(parents=True)
    (folder / "models/shipped/streetfolk.safetensors").write_text("weights")
    for stage in stages():
        for output in (*stage.writes, *stage.plots, f"reports/{stage.name}/metrics.json"):
            path = folder / output
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
    _dvc(folder, "init", "--no-scm", "--quiet")
    _dvc(folder, "commit", "--force", "--quiet")
    return folder


def _dvc(folder: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def stale(folder: Path) -> set[str]:
    """The stages whose own inputs have changed."""
    return {name for name, changes in json.loads(_dvc(folder, "status", "--json")).items()
            if any("changed deps" in change for change in changes)}


def test_nothing_is_stale_at_first(study):
    assert stale(study) == set()


@pytest.mark.parametrize("file", EDITS)
def test_only_what_reads_the_code_is_stale(study, file):
    path = study / file
    before = path.read_text()
    path.write_text(before + "\n# another word\n")
    try:
        assert stale(study) == EDITS[file]
    finally:
        path.write_text(before)


def fingerprint(folder: Path, module: str) -> str:
    """Under which a training that `module` does keeps its checkpoints, by the code in `folder`."""
    script = f"from reanchor.training.checkpoint import fingerprint; print(fingerprint({module!r}, 'settings'))"
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": str(folder), "PATH": "/usr/bin"})
    return done.stdout.strip()


@pytest.mark.parametrize(("file", "same"), [
    ("reanchor/methods/mgcc/model.py", True), ("reanchor/methods/gate/replay.py", True),
    ("reanchor/report/words.py", True), ("reanchor/data/datasets/market1501.py", True),
    ("reanchor/occlusion/ogor.py", True), ("reanchor/methods/saga/head.py", False),
    ("reanchor/methods/clip_reid/model.py", False), ("reanchor/training/loop.py", False)])
def test_a_half_trained_saga_goes_on_unless_its_own_code_changed(study, file, same):
    module, path = "reanchor.methods.saga.run", study / file
    before, mark = path.read_text(), fingerprint(study, module)
    path.write_text(before + "\n# another word\n")
    try:
        assert (fingerprint(study, module) == mark) == same
    finally:
        path.write_text(before)
