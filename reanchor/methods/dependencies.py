"""The code that can shape a result, with what is found by its folder or named by a dotted path."""

from pathlib import Path

from reanchor.config.sections.data import DATASET_NAMES
from reanchor.imports import shaping
from reanchor.methods.registry import methods

USES = {"reanchor/methods/embedders.py": "embed", "reanchor/methods/searchers.py": "search"}


CATALOGUE = "reanchor/data/catalogue.py"  # of the files in reanchor/data/datasets


def code_of(root: Path, *modules: str) -> list[str]:
    """Files that can shape what these modules make, sorted.

    Who loads any model depends on the code of all kinds, and who reads any dataset on the files of all datasets.
    """
    found = {*shaping(root, *modules)}
    if CATALOGUE in found:
        found |= {*shaping(root, *(f"reanchor.data.datasets.{name}" for name in DATASET_NAMES))}
    for file, use in USES.items():
        if file in found:
            paths = (getattr(method, use) for method in methods().values())
            found |= {*shaping(root, *(path.partition(":")[0] for path in paths if path))}
    return sorted(found)
