"""The code that can shape a result, imports by dotted path included."""

from pathlib import Path

from reanchor.imports import shaping
from reanchor.methods.registry import methods

USES = {"reanchor/methods/embedders.py": "embed", "reanchor/methods/searchers.py": "search"}


def code_of(root: Path, *modules: str) -> list[str]:
    """Files that can shape what these modules make, sorted; who loads any model depends on the code of all kinds."""
    found = {*shaping(root, *modules)}
    for file, use in USES.items():
        if file in found:
            paths = (getattr(method, use) for method in methods().values())
            found |= {*shaping(root, *(path.partition(":")[0] for path in paths if path))}
    return sorted(found)
