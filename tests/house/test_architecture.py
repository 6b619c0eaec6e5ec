"""Who may import whom, and what DVC must know about each stage."""

import ast
import subprocess
import sys

import pytest
from places import ROOT

from reanchor.config.load import flatten
from reanchor.config.params import Params
from reanchor.imports import imported_by, imported_eagerly
from stages.compose import composition
from stages.graph import graph
from stages.inputs import definitions


def _paths(entries: list) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


STAGES = definitions(ROOT)


DOOR = ROOT / "reanchor/__init__.py"  # the one package that shows a name


@pytest.mark.parametrize("file", sorted({*(ROOT / "reanchor").rglob("__init__.py")} - {DOOR}),
                         ids=lambda file: file.parent.name)
def test_a_package_says_what_it_is_and_imports_nothing(file):
    statements = ast.parse(file.read_text()).body
    assert len(statements) == 1 and ast.get_docstring(ast.parse(file.read_text())), file


def test_the_door_shows_load_and_opens_when_it_is_asked_for():
    kinds = [type(statement) for statement in ast.parse(DOOR.read_text()).body]
    assert kinds == [ast.Expr, ast.Import, ast.FunctionDef] and ast.get_docstring(ast.parse(DOOR.read_text()))
    script = ("import sys, reanchor\nprint(*sorted({'torch', 'numpy', 'typer'} & set(sys.modules)))\n"
              "print(reanchor.load.__module__, 'torch' in sys.modules)\n"
              "try: reanchor.lod\nexcept AttributeError as error: print(error)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["", "reanchor.api True", "module 'reanchor' has no attribute 'lod'"]


def test_dvc_yaml_is_as_declared_and_imported():
    assert (ROOT / "dvc.yaml").read_text() == graph(ROOT), "run `python -m stages.graph`"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_bears_one_name_throughout(name):
    assert STAGES[name]["cmd"] in (f"python -m stages.{name}", f"python -m stages.train {name}")
    assert _paths(STAGES[name]["metrics"]) == [f"reports/{name}/metrics.json"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_settings_that_exist_and_none_of_runtime(name):
    known = flatten(Params())
    for key in STAGES[name].get("params", []):
        assert any(leaf == key or leaf.startswith(f"{key}.") for leaf in known), key
        assert not key.startswith("runtime")


def test_every_setting_but_runtime_is_read_by_a_stage():
    listed = {key for name, stage in STAGES.items() if name != "report" for key in stage.get("params", ())}
    for leaf in flatten(Params()):
        read = any(leaf == key or leaf.startswith(f"{key}.") for key in listed)
        assert read or leaf.partition(".")[0] in ("runtime", "report"), f"no stage lists {leaf}"


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


UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "torch.jit",
              "torch.package", "torch.hub"}  # modules that run what a file says
CODE = [*sorted((ROOT / "reanchor").rglob("*.py")), *sorted((ROOT / "stages").rglob("*.py")),
        *sorted((ROOT / "pipelines").rglob("*.py"))]


def _unpickles(source: str) -> list[str]:
    """Places of a source text that could run what a file holds."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name in UNPICKLERS]
        elif isinstance(node, ast.ImportFrom):
            names = {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
            found += [str(name) for name in names & {*UNPICKLERS, "torch.load"}]
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in UNPICKLERS | {"pickle.load", "pickle.loads"}:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Call):
            words = [ast.unparse(word) for word in node.keywords]
            careless = ast.unparse(node.func) == "torch.load" and "weights_only=True" not in words
            found += [ast.unparse(node)] if careless else [word for word in words if word == "allow_pickle=True"]
    return found


@pytest.mark.parametrize("file", CODE, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_model_files_are_never_unpickled(file):
    assert not _unpickles(file.read_text())


@pytest.mark.parametrize("line", [
    "import pickle", "from pickle import load", "import torch.jit", "from torch import jit", "from torch import load",
    "torch.jit.load(path)", "torch.load(path)", "torch.load(path, weights_only=False)", "torch.hub.load(path)",
    "np.load(path, allow_pickle=True)", "import joblib", "torch.package.PackageImporter(path)",
])
def test_each_way_of_unpickling_is_seen(line):
    assert _unpickles(line)
    assert not _unpickles("torch.load(path, weights_only=True); np.load(path); import pickletools")


def test_weight_files_are_read_in_one_place():
    """Elsewhere a reader would lack the bounds of `reanchor.weight_files`."""
    inside = ROOT / "reanchor/weight_files"
    for file in CODE:
        if inside not in file.parents:
            names = {each.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)
                     for each in node.names if (node.module or "").startswith("safetensors")}
            assert not names & {"load_file", "load", "safe_open"}, file
