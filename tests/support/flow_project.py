"""DVC projects small enough to run in seconds, for flows to work on."""

import os
import subprocess
import sys
from pathlib import Path

from places import ROOT

STAGE = """
import json, pathlib, sys
name, source = sys.argv[1], pathlib.Path(sys.argv[2])
if not source.is_file() or "broken" in source.read_text():
    sys.exit(f"{name}: {source}: got a broken file")
if "edit" in source.read_text():  # what a user does meanwhile
    pathlib.Path("params.yaml").write_text("saga: {seed: 9}")
pathlib.Path(name + ".txt").write_text(source.read_text() + name)
folder = pathlib.Path("reports", name)
folder.mkdir(parents=True, exist_ok=True)
print("working on", name)
letters = len(source.read_text())
(folder / "metrics.json").write_text(json.dumps({"saga/whole/mAP": 51.5, "letters": letters}))
"""
DVC_YAML = """
stages:
  evaluate:
    cmd: python stage.py evaluate prepare.txt
    deps: [prepare.txt, stage.py]
    outs: [evaluate.txt]
    metrics: [{reports/evaluate/metrics.json: {cache: false}}]
  prepare:
    cmd: python stage.py prepare source.txt
    deps: [source.txt, stage.py]
    outs: [prepare.txt]
    metrics: [{reports/prepare/metrics.json: {cache: false}}]
"""
# Trains for a minute; on SIGTERM it takes a while to save, as a real one does, and goes on from there next time.
TRAINING = """
import os, pathlib, signal, sys, time
def save(number, frame):
    time.sleep(1.0)
    pathlib.Path("checkpoint").write_text("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
pathlib.Path("stage.pid").write_text(str(os.getpid()))
time.sleep(0 if pathlib.Path("checkpoint").exists() else 60)
pathlib.Path("trained.txt").write_text("trained")
"""
TRAINING_YAML = """
stages:
  train: {cmd: python training.py, deps: [training.py], params: [saga.seed], outs: [trained.txt]}
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
               "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


def make_project(folder: Path, **files: str) -> Path:
    """A git and DVC repository in `folder`, with these files ("." in a name written as "_")."""
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


def training_project(folder: Path) -> Path:
    """A workspace with one long stage, and with what a flow or `compose` reads: conf/ and the code."""
    make_project(folder, training_py=TRAINING, dvc_yaml=TRAINING_YAML, params_yaml="saga:\n  seed: 1\n")
    (folder / "conf").mkdir()
    (folder / "conf/config.yaml").write_text("saga:\n  seed: 1\n")
    (folder / "models/shipped").mkdir(parents=True)
    (folder / "models/shipped/streetfolk.safetensors").touch()
    for name in ("reanchor", "stages", "pipelines"):
        (folder / name).symlink_to(ROOT / name)
    return folder
