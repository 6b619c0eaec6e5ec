"""The wheel: the library alone, which embeds with what it declares. No network is needed: what is installed serves."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from model_folders import write_model
from packaging.requirements import Requirement
from PIL import Image
from places import ROOT

import reanchor
from reanchor.imports import imported_by

pytestmark = pytest.mark.slow
BASE = [Requirement(line) for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]]
OWN = ("reanchor",)
# The new environment sees the packages of this one, but for those that its own would not hold.
BLOCKER = '''
import sys
from importlib.machinery import PathFinder


class Present(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {blocked} else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Present
'''
EMBED = """
import json, sys
import reanchor

features = reanchor.load(sys.argv[1]).embed(["a.png", "b.png"])
print(json.dumps({"from": reanchor.__file__, "features": features.tolist(),
                  "imported": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def installed_by(requirements: list[Requirement]) -> set[str]:
    """Normalised names of all packages that come with these, by what each installed one declares."""
    found: set[tuple[str, str]] = set()
    queue = [(each.name, extra) for each in requirements for extra in ("", *each.extras)]
    while queue:
        name, extra = queue.pop()
        if (normalised(name), extra) not in found and any(importlib.metadata.distributions(name=name)):
            found.add((normalised(name), extra))
            needed = [Requirement(line) for line in importlib.metadata.requires(name) or ()]
            queue += [(each.name, more) for each in needed for more in ("", *each.extras)
                      if each.marker is None or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    source.mkdir()
    for name in ("reanchor", "stages", "pipelines"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
                    "--disable-pip-version-check", "--wheel-dir", place, source], check=True)
    (made,) = place.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel, and with what the wheel's base requirements would install; its bin folder."""
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    subprocess.run([sys.executable, "-m", "pip", "--python", place / "bin/python", "install", "--quiet", "--no-deps",
                    "--no-index", "--disable-pip-version-check", wheel], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    there = installed_by(BASE)
    blocked = {module for module, owners in importlib.metadata.packages_distributions().items()
               if not {normalised(owner) for owner in owners} & there and module not in OWN}
    assert {"dvc", "mlflow", "prefect", "hydra", "scipy", "matplotlib"} <= blocked
    (packages / "absent.py").write_text(BLOCKER.format(blocked=blocked))
    (packages / "seen.pth").write_text(f"{sysconfig.get_paths()['purelib']}\nimport absent\n")
    return place / "bin"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("workspace")
    write_model("gate", place / "model")
    for number, name in enumerate(("a.png", "b.png")):
        pixels = np.random.default_rng(number).integers(0, 256, (90, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / name)
    return place


def inside(folder: Path, *command: str | Path) -> subprocess.CompletedProcess:
    """A command run in `folder`, where no variable leads to the checkout."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=variables, timeout=300)


def test_it_holds_the_library_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
    assert {file.partition("/")[0] for file in files if ".dist-info/" not in file} == {"reanchor"}
    for name in ("py.typed", "__init__.pyi", "api.py", "report/templates/index.html", "report/templates/style.css"):
        assert f"reanchor/{name}" in files
    assert not [file for file in files if file.endswith((".safetensors", ".yaml"))]


def test_every_library_that_embedding_names_is_declared():
    """What the files of the door import themselves; libraries of theirs may change what they bring along."""
    declared = {normalised(requirement.name) for requirement in BASE}
    owners = importlib.metadata.packages_distributions()
    script = "import sys, reanchor.api, reanchor.feature_files, reanchor.cli.main, reanchor.config.load\n" \
             "from reanchor.methods.registry import methods\nfrom reanchor.methods.method import code\n" \
             "[code(path) for method in methods().values() for path in (method.embed, method.search) if path]\n" \
             "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('reanchor') and m.__file__))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    for file in done.stdout.split():
        for name in imported_by(Path(file)) - set(sys.stdlib_module_names) - {"reanchor"}:
            assert {normalised(owner) for owner in owners[name]} & declared, (file, name)


def test_an_environment_without_the_extra_embeds(environment, workspace):
    done = inside(workspace, environment / "python", "-c", EMBED, "model")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert Path(said["from"]).is_relative_to(environment.parent)
    want = reanchor.load(workspace / "model").embed([workspace / "a.png", workspace / "b.png"])
    assert np.abs(np.array(said["features"], np.float32) - want).max() < 1e-5
    there, owners = installed_by(BASE), importlib.metadata.packages_distributions()
    strange = [name for name in said["imported"] if name in owners and name not in OWN
               and not {normalised(owner) for owner in owners[name]} & there]
    assert strange == []


def test_the_installed_command_embeds_and_names_what_the_extra_brings(environment, workspace):
    done = inside(workspace, environment / "reanchor", "embed", "model", "*.png", "--out", "f.parquet")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert pq.read_table(workspace / "f.parquet")["path"].to_pylist() == ["a.png", "b.png"]
    assert inside(workspace, environment / "reanchor", "doctor").returncode == 0
    done = inside(workspace, environment / "reanchor", "import", "model", "--out", "taken")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    done = inside(workspace, environment / "reanchor", "cutouts", ".", "out")
    assert done.returncode == 2 and "pip install 'reanchor[study]'" in done.stderr and done.stderr.count("\n") == 1
    assert "No module named 'dvc'" in inside(workspace, environment / "python", "-c", "import dvc").stderr
