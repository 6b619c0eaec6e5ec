"""Settings, code or data that change while a stage runs: its outputs are not believed."""

import os
import sys
import types
from pathlib import Path

import pytest

from reanchor.config.load import load
from stages.inputs import Inputs, definitions
from stages.runner import run_stage

DVC_YAML = """
stages:
  prompts:
    cmd: python -m stages.train prompts
    deps: [data/prepared, "${backbone.path}", reanchor/clip]
    params: [prompts]
  baseline:
    cmd: python -m stages.train baseline
    deps: [reanchor/clip]
    params: [finetune.baseline, finetune.recipe]
  clip_reid:
    cmd: python -m stages.train clip_reid
    deps: [models/prompts]
    params: [finetune.clip_reid, finetune.recipe]
"""


@pytest.fixture
def study(workspace) -> Path:
    (workspace / "dvc.yaml").write_text(DVC_YAML)
    (workspace / "params.yaml").write_text("prompts: {seed: 3}\nbackbone: {path: clip.pt}\n")
    for name in ("data/prepared/images.arrow", "reanchor/clip/model.py", "models/prompts/prompts.safetensors"):
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text("as it was")
    (workspace / "clip.pt").write_text("weights")
    return workspace


def _settings(text: str):
    return lambda root: (root / "params.yaml").write_text(text)


def _write(name: str, text: str = "another"):
    def change(root):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return change


def _body(change):
    def body(run):
        change(run.root)
        return {"score": 1}
    return body


CHANGES = {
    "params.yaml: prompts.seed (read as 3, now 4)": _settings("prompts: {seed: 4}\nbackbone: {path: clip.pt}\n"),
    "data/prepared/images.arrow": _write("data/prepared/images.arrow", "as it wos"),
    "data/prepared/masks.arrow": _write("data/prepared/masks.arrow"),
    "clip.pt": lambda root: (root / "clip.pt").unlink(),
    "reanchor/clip/model.py": _write("reanchor/clip/model.py", "as it wos"),
    "reanchor/clip/new.py": _write("reanchor/clip/new.py"),
}


@pytest.mark.parametrize("named", CHANGES)
def test_what_changed_meanwhile_is_named_and_nothing_is_recorded(study, capsys, named):
    with pytest.raises(SystemExit) as ended:
        run_stage("prompts", _body(CHANGES[named]))
    line = capsys.readouterr().err
    assert ended.value.code == 2 and line.startswith(f"prompts: {named} ") and line.count("\n") == 1
    assert "`dvc repro prompts`" in line
    assert not (study / "reports/prompts/metrics.json").exists()


UNREAD = {
    "a setting of another stage": _settings("prompts: {seed: 3}\nbackbone: {path: clip.pt}\nsaga: {seed: 5}\n"),
    "how to run": _settings("prompts: {seed: 3}\nbackbone: {path: clip.pt}\nruntime: {threads: 1}\n"),
    "the same settings in other words": _settings("backbone: {path: clip.pt}\nprompts:\n  seed: 3\n"),
    "compiled code": _write("reanchor/clip/__pycache__/model.pyc"),
    "data of another stage": _write("models/prompts/prompts.safetensors"),
    "code of which only the time changed": lambda root: os.utime(root / "reanchor/clip/model.py", (1, 1)),
}


@pytest.mark.parametrize("what", UNREAD)
def test_what_the_stage_does_not_read_may_change(study, what):
    run_stage("prompts", _body(UNREAD[what]))
    assert (study / "reports/prompts/metrics.json").is_file()


def test_a_models_own_inputs_are_watched(study):
    (study / "params.yaml").write_text("finetune: {recipe: {seed: 1}}\n")
    watched = {model: Inputs.of(study, f"{model}", load(study / "params.yaml"))
               for model in ("baseline", "clip_reid")}
    (study / "params.yaml").write_text("finetune: {recipe: {seed: 1}, clip_reid: {i2tce: 0.5}}\n")
    watched["baseline"].require_unchanged()
    with pytest.raises(ValueError, match=r"finetune\.clip_reid\.i2tce \(read as .*, now 0\.5\)"):
        watched["clip_reid"].require_unchanged()


def test_links_to_nothing_and_workspaces_without_dvc_are_no_hindrance(study):
    (study / "data/prepared/link").symlink_to("/nowhere")
    Inputs.of(study, "prompts", load(study / "params.yaml")).require_unchanged()
    (study / "dvc.yaml").unlink()
    assert definitions(study) == {}
    Inputs.of(study, "prompts", load(study / "params.yaml")).require_unchanged()


def test_code_that_was_edited_while_it_was_imported_is_refused_at_once(study, capsys, monkeypatch):
    file = study / "reanchor/clip/model.py"
    module = types.ModuleType("a_module_of_the_stage")
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("stages.inputs.BEGAN", file.stat().st_mtime + 1)
    run_stage("prompts", _body(lambda root: None))
    monkeypatch.setattr("stages.inputs.BEGAN", file.stat().st_mtime - 1)
    with pytest.raises(SystemExit):
        run_stage("prompts", lambda run: pytest.fail("the body ran"))
    assert capsys.readouterr().err.startswith("prompts: reanchor/clip/model.py changed while the stage was starting")


def test_inputs_are_compared_once_more_when_mlflow_has_taken_its_time(study, capsys, monkeypatch):
    monkeypatch.setattr("stages.runner.StageRun.close", lambda run, status, metrics: _write("clip.pt")(run.root))
    with pytest.raises(SystemExit):
        run_stage("prompts", _body(lambda root: None))
    assert capsys.readouterr().err.startswith("prompts: clip.pt changed while the stage ran")
