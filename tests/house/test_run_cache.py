"""Going back to settings that were judged before costs nothing: DVC's run cache takes the judging stages in.

DVC leaves a stage out of it for a single plain output with `cache: false`; metrics and plots may stay in git.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages.inputs import definitions

pytestmark = pytest.mark.slow

JUDGING = ("evaluate", "search", "report")
WRITE = """
import pathlib, sys, uuid, yaml
made = f"{yaml.safe_load(open('params.yaml'))} {uuid.uuid4()}"  # another one in every run, as seconds are
for name in sys.argv[1:]:
    pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(name).write_text(made)
"""


def stages(root: Path) -> dict[str, dict]:
    written = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in written.items()}


def path_of(entry: str | dict) -> str:
    return entry if isinstance(entry, str) else next(iter(entry))


def test_no_stage_has_an_output_that_keeps_it_out_of_the_run_cache(root):
    for name, stage in stages(root).items():
        for entry in stage["outs"]:
            flags = {} if isinstance(entry, str) else next(iter(entry.values()))
            assert flags.get("cache", True) and not flags.get("persist"), (name, entry)


def test_git_has_no_file_that_dvc_keeps(root):
    """DVC refuses such a stage, after it has run."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    kept = [path_of(entry) for stage in definitions(root).values() for entry in stage["outs"]]
    assert not [file for file in listed.splitlines() for out in kept if file == out or file.startswith(f"{out}/")]


def test_the_figures_of_a_commit_belong_to_git(root):
    kept = {path_of(entry) for stage in stages(root).values() for entry in stage["metrics"] + stage.get("plots", [])}
    assert {"reports/evaluate/metrics.json", "reports/search/metrics.json"} <= kept


@pytest.fixture
def toy(root, tmp_path) -> Path:
    """A DVC repository whose judging stages have the outputs of the real ones, written by a line of Python."""
    (tmp_path / "write.py").write_text(WRITE)
    found = {}
    for name in JUDGING:
        outputs = {kind: stages(root)[name].get(kind, []) for kind in ("outs", "metrics", "plots")}
        files = [path_of(entry) for entries in outputs.values() for entry in entries]
        found[name] = {"cmd": f"{sys.executable} write.py {' '.join(files)}", "deps": ["write.py"], **outputs}
        found[name] |= {"deps": ["write.py", "reports/evaluate", "reports/search"]} if name == "report" else {
            "params": ["seed"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": found}))
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    return tmp_path


def repro(folder: Path, seed: int) -> tuple[str, dict[str, str]]:
    """What DVC says, and every file under reports/ afterwards."""
    (folder / "params.yaml").write_text(f"seed: {seed}\n")
    command = [sys.executable, "-m", "dvc", "repro"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout, {str(file): file.read_text() for file in (folder / "reports").rglob("*") if file.is_file()}


def test_going_back_to_settings_judged_before_runs_nothing(toy):
    first, made = repro(toy, 1)
    assert "is cached" not in first and len(made) > 15
    _, other = repro(toy, 2)
    assert other != made
    back, restored = repro(toy, 1)
    for name in JUDGING:
        assert f"Stage '{name}' is cached - skipping run, checking out outputs" in back
    assert restored == made
