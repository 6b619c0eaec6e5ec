"""README and the pages of docs/: what they name is there, what they tell to type works, and the site builds."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages.compose import composition

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [ROOT / "README.md", *PAGES]
OPEN = ("NAME", "<", "centre=")  # commands for the reader to fill in, or of what a how-to adds


def _navigation(part: object) -> list[str]:
    if isinstance(part, str):
        return [part]
    return [page for each in (part.values() if isinstance(part, dict) else part) for page in _navigation(each)]


def test_the_navigation_holds_every_page_once():
    pages = _navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(pages) == sorted(str(page.relative_to(ROOT / "docs")) for page in PAGES)


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(text):
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text.read_text())
    assert [link for link in links if not (text.parent / link).is_file()] == []
    assert "(docs/" not in text.read_text() or text.name == "README.md"


def test_readme_is_a_front_door():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    (picture,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    content = (ROOT / picture).read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    assert content.startswith(b"\x89PNG") and len(content) <= 60_000 and width <= 800 and height <= 400


def test_readmes_figures_are_those_of_the_lab_book():
    def rows(path: str) -> list[str]:
        lines = (ROOT / path).read_text().splitlines()
        begin = next(number for number, line in enumerate(lines) if line.startswith("| | whole body | OGor |"))
        return [line for line in lines[begin:begin + 10] if line.startswith("|")]

    shown, measured = rows("README.md"), rows("docs/lab/default_study.md")
    assert len(shown) == 5 and set(shown) <= set(measured)  # head, rule, three methods


def test_the_studies_that_pages_tell_to_run_compose():
    commands = {command for text in TEXTS for command in re.findall(r'make run SET="([^"]+)"', text.read_text())}
    closed = [command for command in commands if not any(word in command for word in OPEN)]
    assert len(closed) >= 20
    for command in closed:
        composition(ROOT, command.split())


def test_the_modules_that_pages_tell_to_run_exist():
    named = {name.rstrip(".") for text in TEXTS for name in re.findall(r"python -m ([\w.]+)", text.read_text())}
    named = {name for name in named if name.partition(".")[0] in ("reanchor", "stages", "pipelines", "benchmarks")}
    assert len(named) >= 20
    files = [ROOT / name.replace(".", "/") for name in named]
    assert [str(file) for file in files if not (file.with_suffix(".py").is_file() or file.is_dir())] == []


def test_the_commands_of_make_are_listed_as_make_lists_them():
    rules = dict(re.findall(r"^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    page = (ROOT / "docs/reference/commands.md").read_text()
    listed = re.findall(r"^make ([a-z-]+) {2,}(.*)$", page, re.MULTILINE)
    assert {name for name, _ in listed} == set(rules)
    assert {name: told for name, told in listed if rules[name] != told} == {}


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # ruff sets signatures
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
                          cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PATH": path},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    built = {str(page.relative_to(tmp_path).with_suffix(".md")) for page in tmp_path.rglob("*.html")} - {"404.md"}
    assert built == {str(page.relative_to(ROOT / "docs")) for page in PAGES}
    python = (tmp_path / "reference/api.html").read_text()
    names = ("reanchor.api.load", "reanchor.training.losses.batch_hard_triplet")
    assert all(f'id="{name}"' in python for name in names)
