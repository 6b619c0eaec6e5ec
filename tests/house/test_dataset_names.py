"""Generic code knows no dataset: what is true of one alone stands in its file."""

import ast
import re
from pathlib import Path

import pytest
from places import ROOT

from reanchor.data.catalogue import DATASETS, READERS

OWN = {name for name in READERS if not DATASETS[name].source}  # plain words too: forbidden as whole strings only
STREET = {"streetfolk", "Streetfolk"}  # rendered here, a room of its own
DEFAULT = ("reanchor/config/sections/data.py", "market1501")  # the layout of the built-in street
ROOMS = ("reanchor/data/", "reanchor/doctor/", "reanchor/config/")  # where nothing at all may be named
DATASET_FILES = ROOT / "reanchor/data/datasets"
FILES = [file for file in sorted((ROOT / "reanchor").rglob("*.py")) if DATASET_FILES not in file.parents]


def strings(file: Path) -> list[str]:
    """The string constants of a file, docstrings apart."""
    tree = ast.parse(file.read_text())
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    docstrings = {id(node.body[0].value) for node in documented if ast.get_docstring(node) is not None}
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
            and id(node) not in docstrings]


def named(file: str, texts: list[str]) -> list[str]:
    words = set(READERS) - OWN
    words |= {DATASETS[name].title for name in words} if file.startswith((*ROOMS, "reanchor/cli/")) else set()
    found = [word for word in sorted(words - STREET) for text in texts
             if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) and (file, word) != DEFAULT]
    return found + [text for text in texts if text in OWN and file.startswith(ROOMS)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_dataset_is_named(file):
    assert not named(file.relative_to(ROOT).as_posix(), strings(file))


def test_each_way_of_naming_is_seen(tmp_path):
    (tmp_path / "a.py").write_text('"""Of market1501."""\nif x == "market1501" or f"see {y} MSMT17" or z in ("csv",):\n'
                                   '    """veri776"""\n    p = "data/csv"\n')
    assert named("reanchor/data/a.py", strings(tmp_path / "a.py")) == ["MSMT17", "market1501", "veri776", "csv"]
    assert named("reanchor/report/a.py", strings(tmp_path / "a.py")) == ["market1501", "veri776"]
