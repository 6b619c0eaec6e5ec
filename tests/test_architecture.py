"""Who may import whom, and what DVC must know about each stage."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from imports import closure, imported_by, imported_eagerly
from omegaconf import OmegaConf

from reanchor.config import Params, flatten
from stages.compose import composition

ROOT = Path(__file__).resolve().parent.parent

# How a stage is started and logged, and how settings and files are handled. None of it shapes a result:
# the settings themselves reach DVC through `params:`.
NEUTRAL = (
    "stages/__init__.py",
    "stages/runner.py",
    "stages/tracking.py",
    "stages/curves.py",
    "stages/models.py",
    "stages/pyfunc_model.py",
    "stages/pyfunc_prompts.py",
    "reanchor/__init__.py",
    "reanchor/errors.py",
    "reanchor/files.py",
    "reanchor/config/",
)


def _stages() -> dict[str, dict]:
    """dvc.yaml's stages by name, one entry per foreach key, with their ${key} and ${item.x} filled in."""
    found = {}
    written = OmegaConf.to_container(OmegaConf.load(ROOT / "dvc.yaml"), resolve=False)["stages"]
    for name, stage in written.items():
        if "foreach" not in stage:
            found[name] = stage
            continue
        for key, item in stage["foreach"].items():
            names = {"${key}": key, **{f"${{item.{field}}}": value for field, value in item.items()}}
            found[f"{name}@{key}"] = _substitute(stage["do"], names)
    return found


def _substitute(value, names: dict[str, str]):
    if isinstance(value, dict):
        return {_substitute(key, names): _substitute(child, names) for key, child in value.items()}
    if isinstance(value, list):
        return [_substitute(child, names) for child in value]
    if isinstance(value, str):
        for written, meant in names.items():
            value = value.replace(written, meant)
    return value


def _paths(entries: list) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


STAGES = _stages()


def _under(file: str, dependencies: list[str]) -> bool:
    return any(file == path or file.startswith(path.rstrip("/") + "/") for path in dependencies)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_every_file_it_imports(name):
    dependencies = _paths(STAGES[name]["deps"])
    used = closure(ROOT, f"stages.{name.partition('@')[0]}")
    missing = sorted(file for file in used if not _under(file, [*dependencies, *NEUTRAL]))
    assert not missing, f"dvc.yaml: stage {name}: deps lack {missing}"
    code = [path for path in dependencies if path.startswith(("reanchor", "stages"))]
    unused = sorted(path for path in code if not any(_under(file, [path]) for file in used))
    assert not unused, f"dvc.yaml: stage {name}: deps name code that it does not import: {unused}"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_bears_one_name_throughout(name):
    stage, _, item = name.partition("@")
    assert STAGES[name]["cmd"].split()[:3] == ["python", "-m", f"stages.{stage}"]
    assert f"reports/{stage}/{item + '/' if item else ''}metrics.json" in _paths(STAGES[name]["metrics"])
    assert stage in flatten(Params()) or any(key.startswith(f"{stage}.") for key in flatten(Params()))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_settings_that_exist_and_none_of_runtime(name):
    known = flatten(Params())
    for key in STAGES[name].get("params", []):
        assert any(leaf == key or leaf.startswith(f"{key}.") for leaf in known), key
        assert not key.startswith("runtime")


def test_every_setting_but_runtime_is_listed_by_the_stage_that_owns_it():
    for leaf in flatten(Params()):
        section = leaf.partition(".")[0]
        listed = [
            key
            for name, stage in STAGES.items()
            if name.partition("@")[0] == section
            for key in stage["params"]
        ]
        owned = any(leaf == key or leaf.startswith(f"{key}.") for key in listed)
        assert owned or section == "runtime", f"dvc.yaml: no stage {section} lists {leaf}"


@pytest.mark.parametrize("name", STAGES)
def test_a_command_holds_no_setting_and_no_stage_always_runs(name):
    assert "runtime" not in STAGES[name]["cmd"] and "${" not in STAGES[name]["cmd"]
    assert "always_changed" not in STAGES[name]


@pytest.mark.parametrize("name", STAGES)
def test_metrics_and_plots_belong_to_git(name):
    for entry in STAGES[name].get("metrics", []) + STAGES[name].get("plots", []):
        assert next(iter(entry.values()))["cache"] is False


def test_params_yaml_is_the_composition_of_conf():
    assert (ROOT / "params.yaml").read_text() == composition(ROOT, []), "run `python -m stages.compose`"


def test_the_library_imports_no_orchestrator():
    script = "import sys, reanchor\nprint(*sorted({'dvc', 'mlflow', 'prefect', 'hydra'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []
    for file in sorted((ROOT / "reanchor").rglob("*.py")):
        assert not imported_by(file) & {"dvc", "mlflow", "prefect", "hydra"}, file


def test_the_flows_import_no_machine_learning():
    for file in sorted((ROOT / "pipelines").glob("*.py")):
        names = imported_eagerly(ROOT, f"pipelines.{file.stem}")
        assert not names & {"torch", "torchvision", "open_clip", "timm", "numpy"}, file.name


def test_model_files_are_never_unpickled():
    for file in [*sorted((ROOT / "reanchor").rglob("*.py")), *sorted((ROOT / "stages").glob("*.py"))]:
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            assert name not in ("pickle.load", "pickle.loads"), file
            if name == "torch.load":
                assert "weights_only=True" in [ast.unparse(word) for word in call.keywords], file
