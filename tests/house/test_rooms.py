"""The house's plan: who may import whom, where a method is named, how large things may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

from reanchor.methods.registry import methods

LIBRARY = sorted((ROOT / "reanchor").rglob("*.py"))
CODE = [*LIBRARY, *sorted((ROOT / "stages").rglob("*.py")), *sorted((ROOT / "pipelines").rglob("*.py"))]
EVERY = [*CODE, *sorted((ROOT / "benchmarks").rglob("*.py")), *sorted((ROOT / "tests").rglob("*.py"))]

FLOORS = (  # from the ground up: a room imports rooms of lower floors only
    {"errors", "imports", "printing"},
    {"files", "hashes", "interruption", "workers", "weight_files", "records"},
    {"config"},
    {"formats", "streetfolk"},
    {"data", "clip"},
    {"doctor", "occlusion", "training"},
    {"backbone", "text"},
    {"retrieval"},
    {"methods"},  # a method may stand on another one
    {"models"},  # whatever method made them
    {"report", "api", "imported"},  # imported: a method that verifies models of every other
    {"feature_files"},
    {"cli"},
    {"__main__"},
)
MODELS = ("embedders", "searchers", "embedder_factories", "searcher_factories", "kinds", "flip", "lineage",
          "dependencies")


def room(file: Path) -> str:
    """A package or a file at the top. Of `methods`, the records and what loads any model are rooms of their own."""
    parts = file.relative_to(ROOT / "reanchor").with_suffix("").parts
    if parts[0] != "methods":
        return parts[0]
    if len(parts) > 2:
        return "records" if parts[2] == "method" else "imported" if parts[1] == "imported" else "methods"
    return "models" if parts[1] in MODELS else "records"


def imported(file: Path) -> Iterator[Path]:
    """The library's files that a file imports, wherever its statements stand."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reanchor"):
            base = ROOT / node.module.replace(".", "/")
            for path in (base.with_suffix(".py"), *((base / name.name).with_suffix(".py") for name in node.names)):
                if path.is_file():
                    yield path


@pytest.mark.parametrize("file", [file for file in LIBRARY if file.name != "__init__.py"],
                         ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_room_imports_lower_floors_only(file):
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    own = room(file)
    above = {path.relative_to(ROOT).as_posix() for path in imported(file)
             if room(path) != own and floor[room(path)] >= floor[own]}
    assert not above, f"{file.relative_to(ROOT)} ({own}) imports {sorted(above)}"


FAMILIES = {path.parent.name for path in (ROOT / "reanchor/methods").glob("*/method.py")}


def named(file: Path) -> list[str]:
    """Methods and their families that a file names: in imports, as settings' sections, as words of their own."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reanchor.methods."):
            found += [node.module] if node.module.split(".")[2] in FAMILIES else []
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("params"):
            found += [ast.unparse(node)] if node.attr in FAMILIES | {*methods()} else []
        elif isinstance(node, ast.Constant) and node.value in FAMILIES | {*methods()}:
            found.append(repr(node.value))
    return found


COMMANDS = {ROOT / "reanchor/cli/import_.py", ROOT / "reanchor/cli/export.py"}  # the door of method `imported`


@pytest.mark.parametrize("file", [file for file in CODE if file not in COMMANDS and (
    len(file.relative_to(ROOT).parts) < 4 or file.relative_to(ROOT).parts[1] != "methods")],
                         ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_method_is_named_in_its_folder_alone(file):
    assert not named(file)


@pytest.mark.parametrize("line", ["from reanchor.methods.saga.head import SagaHead", "params.saga",
                                  "run.params.gate.train", "methods['mgcc']", "{'clip_reid': 3}"])
def test_each_way_of_naming_a_method_is_seen(tmp_path, line):
    (tmp_path / "file.py").write_text(line)
    assert named(tmp_path / "file.py")


@pytest.mark.parametrize("file", EVERY, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_files_and_functions_are_of_a_size_to_be_read(file):
    source = file.read_text()
    assert source.count("\n") <= 330, "split it by idea"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 50, node.name


LONG = {"stage2_losses", "stage2_terms", "stage4_job", "finetune_job", "visibility_job", "joint_job", "stage4_losses",
        "save_saga",
        "saga_job", "cover", "paste_over",
        "weave"}  # older ones, no more may come


@pytest.mark.parametrize("file", CODE, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_functions_take_few_arguments_by_place(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            needed = len(node.args.args) - len(node.args.defaults) - (node.args.args[:1] != [] and node.args.args[0].arg
                                                                      in ("self", "cls"))
            assert needed <= 6 or node.name in LONG, node.name
