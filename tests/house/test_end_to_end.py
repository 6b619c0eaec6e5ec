"""The main job at toy size, as a stranger runs it: `dvc repro` in a fresh folder, twice."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from places import ROOT

pytestmark = pytest.mark.slow

PARTS = ("conf", "reanchor", "stages", "pipelines", "dvc.yaml", ".dvc/config", ".dvcignore", "models/shipped")


def run(folder: Path, *command: str) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "DVC_NO_ANALYTICS": "1", "CI": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A finished smoke study."""
    folder = tmp_path_factory.mktemp("study")
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            shutil.copy(source, target)
    for command in (("git", "init", "-q"), (sys.executable, "-m", "stages.compose", "profile=smoke"), ("dvc", "repro")):
        done = run(folder, *command)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def test_every_output_is_there(study):
    table = pq.read_table(study / "reports/evaluate/results.parquet").to_pydict()
    assert set(table["method"]) >= {"histogram", "zero_shot", "baseline", "clip_reid", "saga"}
    assert set(table["condition"]) >= {"whole", "ogor", "masking-0.30", "people-0.30"}
    triples = zip(table["low"], table["value"], table["high"], strict=True)
    assert all(low <= value <= high for low, value, high in triples)
    assert (study / "reports/index.html").stat().st_size > 50_000
    json.loads((study / "reports/summary.json").read_text())
    for model in ("saga", "tbps_clip", "mgcc"):
        assert (study / "models" / model / "weights.safetensors").is_file()
    for model in ("clip_tuned", "sdm"):  # not asked for
        assert json.loads((study / f"models/{model}/skipped.json").read_text())["reason"].endswith("is false")
    searched = pq.read_table(study / "reports/search/results.parquet").to_pydict()
    assert set(searched["method"]) == {"zero_shot", "tbps_clip", "mgcc"}
    assert set(searched["condition"]) == {"whole", "gallery-ogor"} and set(searched["metric"]) >= {"R1", "mAP", "mINP"}
    assert all(low <= value <= high for low, value, high in zip(
        searched["low"], searched["value"], searched["high"], strict=True))
    assert set(json.loads((study / "reports/search/cost.json").read_text())) == set(searched["method"])
    assert 'id="search"' in (study / "reports/index.html").read_text()


def test_a_second_run_does_nothing(study):
    done = run(study, "dvc", "repro")
    assert done.returncode == 0
    assert "up to date" in done.stdout + done.stderr and "Running stage" not in done.stdout


def test_metrics_are_dvc_metrics(study):
    shown = run(study, "dvc", "metrics", "show", "--json")
    assert shown.returncode == 0, shown.stderr
    assert any("evaluate" in name for name in json.loads(shown.stdout)[""]["data"])


def test_training_again_from_scratch_gives_the_same_weights(study):
    before = digest(study / "models/clip_reid/weights.safetensors")
    shutil.rmtree(study / ".checkpoints", ignore_errors=True)
    done = run(study, sys.executable, "-m", "stages.train", "clip_reid")
    assert done.returncode == 0, done.stderr
    assert digest(study / "models/clip_reid/weights.safetensors") == before


def test_a_killed_training_ends_with_the_same_weights(study):
    """SIGKILL as soon as the first checkpoint is there; then run again."""
    before = digest(study / "models/saga/weights.safetensors")
    shutil.rmtree(study / ".checkpoints", ignore_errors=True)
    environment = {**os.environ, "PYTHONPATH": str(study)}
    victim = subprocess.Popen([sys.executable, "-m", "stages.train", "saga"], cwd=study, env=environment,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while victim.poll() is None and not list((study / ".checkpoints").glob("saga-3a-*.pt")):
        time.sleep(0.005)
    victim.kill()
    victim.wait()
    done = run(study, sys.executable, "-m", "stages.train", "saga")
    assert done.returncode == 0, done.stderr
    assert digest(study / "models/saga/weights.safetensors") == before


def test_a_model_folder_says_what_it_was_trained_with_and_on(study):
    values = json.loads((study / "models/clip_reid/model.json").read_text())
    assert values["spec"]["interpolation"] == "bicubic" and values["spec"]["image_size"] == [96, 48]
    assert values["config"]["finetune"]["recipe"]["epochs"] == 2 and values["config"]["prompts"]["epochs"] == 2
    assert "baseline" not in values["config"]["finetune"] and values["config"]["prepare"]["root"] == "data/streetfolk"
    baseline = json.loads((study / "models/baseline/model.json").read_text())["config"]
    assert set(baseline) == {"prepare", "finetune"} and baseline["finetune"]["baseline"]["i2tce"] == 0
    assert json.loads((study / "models/saga/model.json").read_text())["config"]["saga"]["epochs_a"] == 1
    assert json.loads((study / "models/imported/skipped.json").read_text())["reason"]


def test_an_exported_model_is_evaluated_alike_with_nothing_trained(study):
    """The last test of this file: it leaves another study in the folder."""
    before = figures(study, "clip_reid")
    reanchor = (sys.executable, "-m", "reanchor")
    done = run(study, *reanchor, "export", "models/clip_reid", "--to", "clip-reid", "--out", "theirs.pth")
    assert done.returncode == 0, done.stderr
    flags = done.stdout.partition("import it again: ")[2].splitlines()[0].replace("-", "_").split("__")[1:]
    settings = [f"imported.{flag.strip().replace(' ', '=')}" for flag in flags]
    done = run(study, sys.executable, "-m", "stages.compose", "profile=smoke", "method=imported",
               "imported.path=theirs.pth", *settings)
    assert done.returncode == 0, done.stderr
    assert "train: true" not in (study / "params.yaml").read_text()
    done = run(study, "dvc", "repro", "-s", "imported", "evaluate", "report")  # not the stages that would skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert figures(study, "imported") == before
    assert json.loads((study / "models/imported/model.json").read_text())["imported"]["source"] == "theirs.pth"
    assert "Imported model" in (study / "reports/index.html").read_text()


def figures(study: Path, method: str) -> dict[str, float]:
    """What `evaluate` measured of one method, without intervals."""
    rows = pq.read_table(study / "reports/evaluate/results.parquet").to_pylist()
    return {f"{row['condition']}/{row['metric']}": row["value"] for row in rows if row["method"] == method}
