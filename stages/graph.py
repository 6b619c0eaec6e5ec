"""Write dvc.yaml: stages as declared, with the code that each of them imports.

    python -m stages.graph           # after an import, a method or a stage has changed
    python -m stages.graph --check   # 1 where dvc.yaml is out of date

A folder stands for its files where a stage imports at least three quarters of them.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from reanchor.files import atomic_path
from reanchor.imports import is_record
from reanchor.methods.dependencies import code_of
from stages.declared import Stage, stages

WIDTH = 116  # columns
HEADER = """\
# Written by `python -m stages.graph` from stages/declared.py, the records of the methods
# (reanchor/methods/*/method.py) and the imports of each stage's code: do not edit. Settings are listed section by
# section, so that a change re-runs only what it can alter; `runtime` is listed nowhere.
stages:
"""


def graph(root: Path) -> str:
    """The text of dvc.yaml for the code under `root`."""
    return HEADER + "\n".join(_block(stage, root) for stage in stages())


def _block(stage: Stage, root: Path) -> str:
    own = [] if stage.code else [f"stages/{stage.name}.py"]
    code = [*own, *folded(code_of(root, *stage.modules), root)]
    plots = [f"{table}: {{cache: false, x: {x}, y: {y}}}" for table, (x, y) in stage.plots.items()]
    return "".join([f"  {stage.name}:\n    cmd: {stage.command or f'python -m stages.{stage.name}'}\n",
                    _list("deps", stage.reads, code), _list("params", stage.settings), _list("outs", stage.writes),
                    _list("metrics", [f"reports/{stage.name}/metrics.json: {{cache: false}}"]), _list("plots", plots)])


def _list(title: str, *groups: Iterable[str]) -> str:
    """A flow list, each group from a new line on; nothing where all groups are empty."""
    start = f"    {title}: ["
    lines: list[str] = []
    for group in groups:
        for number, entry in enumerate(map(_quoted, group)):
            if number and len(start) + len(lines[-1]) + len(entry) < WIDTH:
                lines[-1] += f" {entry},"
            else:
                lines.append(f"{entry},")
    return start + f"\n{' ' * len(start)}".join(lines)[:-1] + "]\n" if lines else ""


def _quoted(value: str) -> str:
    return f'"{value}"' if "$" in value else value


def folded(files: list[str], root: Path) -> list[str]:
    """The same files, folders in their place where most of a folder is meant, and of each one in it."""
    every = [path.relative_to(root).as_posix() for path in sorted((root / "reanchor").rglob("*.py"))
             if path.name != "__init__.py" and not is_record(path)]
    return sorted(_fold("reanchor", {*files}, every))


def _fold(folder: str, wanted: set[str], every: list[str]) -> list[str]:
    inside = [file for file in every if file.startswith(f"{folder}/")]
    kept = [file for file in inside if file in wanted and file.count("/") == folder.count("/") + 1]
    below = sorted({"/".join(file.split("/")[:folder.count("/") + 2]) for file in inside} - {*inside})
    for child in below:
        if any(file.startswith(f"{child}/") for file in wanted):
            kept += [child] if _mostly(child, wanted, every) else _fold(child, wanted, every)
    return kept


def _mostly(folder: str, wanted: set[str], every: list[str]) -> bool:
    inside = [file for file in every if file.startswith(f"{folder}/")]
    below = {"/".join(file.split("/")[:folder.count("/") + 2]) for file in inside} - {*inside}
    return (4 * len(wanted.intersection(inside)) >= 3 * len(inside)
            and all(_mostly(child, wanted, every) for child in below))


def main(arguments: list[str] | None = None) -> int:
    """Write dvc.yaml in the current folder, or say whether it is up to date."""
    parser = argparse.ArgumentParser(prog="python -m stages.graph", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where dvc.yaml is out of date")
    check = parser.parse_args(arguments).check
    target, text = Path("dvc.yaml"), graph(Path.cwd())
    current = target.is_file() and target.read_text() == text
    if not current and not check:
        with atomic_path(target) as temporary:
            temporary.write_text(text)
    print(f"dvc.yaml {'is up to date' if current else 'is out of date' if check else 'written'}")
    return int(check and not current)


if __name__ == "__main__":
    sys.exit(main())
