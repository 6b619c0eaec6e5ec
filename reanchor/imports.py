"""Which of the repository's files a module imports, directly or through others, found without running it.

A stage depends on these files, and a checkpoint is continued by the same ones.
"""

import ast
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGES = ("reanchor", "stages", "pipelines")

# How settings, files, processes and stages are handled. None of it shapes a result: settings are dependencies of their
# own, records of methods say where code lies, and their schemas what settings there are.
NEUTRAL = (
    "reanchor/errors.py", "reanchor/files.py", "reanchor/hashes.py", "reanchor/imports.py", "reanchor/interruption.py",
    "reanchor/printing.py", "reanchor/workers.py",
    "reanchor/config/", "reanchor/methods/method.py", "reanchor/methods/registry.py", "reanchor/methods/lineage.py",
    "reanchor/methods/dependencies.py",
    "stages/",
)


def shaping(root: Path, *modules: str) -> list[str]:
    """The files of `closure` that can shape a result: neither NEUTRAL nor a package's docstring; sorted."""
    found = set().union(*(closure(root, module) for module in modules))
    return sorted(file for file in found if not file.startswith(NEUTRAL) and not is_record(Path(file))
                  and not file.endswith("__init__.py"))


def closure(root: Path, module: str) -> set[str]:
    """Files (posix, relative to `root`) that importing `module` can read, its packages' __init__ included."""
    found: dict[str, Path] = {}
    queue = [module]
    while queue:
        name = queue.pop()
        file = _file(root, name)
        if name in found or file is None:
            continue
        found[name] = file
        queue += _parents(name) + list(_imported(name, file))
    return {file.relative_to(root).as_posix() for file in found.values()}


def imported_by(file: Path) -> set[str]:
    """Top-level packages that one file's import statements name, wherever they stand."""
    return {name.partition(".")[0] for name in _statements(ast.walk(ast.parse(file.read_text())))}


def imported_eagerly(root: Path, module: str) -> set[str]:
    """Outside packages that `import module` loads; imports inside functions do not count."""
    found, outside, queue = set(), set(), [module]
    while queue:
        name = queue.pop()
        file = _file(root, name)
        if file is None:
            outside.add(name.partition(".")[0])
        elif file not in found:
            found.add(file)
            queue += _parents(name) + list(_statements(ast.parse(file.read_text()).body))
    return outside - set(PACKAGES)


def is_record(file: Path) -> bool:
    """Whether a file tells of a method what others must know, and of its settings; .dvcignore leaves the same out."""
    return file.parent.parent.name == "methods" and file.name in ("method.py", "settings.py")


def _file(root: Path, name: str) -> Path | None:
    if name.partition(".")[0] not in PACKAGES:
        return None
    path = root / name.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


@functools.cache
def _imported(name: str, file: Path) -> tuple[str, ...]:
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    return tuple(_statements(ast.walk(ast.parse(file.read_text())), package))


def _statements(nodes: Iterable[ast.AST], package: str = "") -> Iterator[str]:
    """Dotted names of import statements; `from a import b` gives a and a.b, which may be a module."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                anchor = package.split(".")[:len(package.split(".")) - node.level + 1]
                base = ".".join([*anchor, base] if base else anchor)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
