"""Which methods there are: the records of all folders beside this file.

Nothing is entered here. A folder with a `method.py` is found; its code is imported when it is used.
"""

import functools
import importlib
from pathlib import Path

from reanchor.methods.method import Method


@functools.cache
def methods() -> dict[str, Method]:
    """Every record by name, in the order of tables."""
    found = []
    for file in sorted(Path(__file__).parent.glob("*/method.py")):
        found += importlib.import_module(f"{__package__}.{file.parent.name}.method").METHODS
    return {method.name: method for method in sorted(found, key=lambda method: (method.place, method.name))}


def judged(query: str) -> dict[str, Method]:
    """The methods that queries of this kind ("image", "sentence") are answered by."""
    return {name: method for name, method in methods().items() if query in method.queries}


def trained() -> dict[str, Method]:
    """The methods that a stage of their own name makes, parents before those that start from them."""
    return {name: method for name, method in methods().items() if method.train}


def rows() -> list[str]:
    """Rows of the tables in their order: the judged methods, each with its named variants behind it."""
    return [row for name, method in methods().items() if method.queries
            for row in (name, *(f"{name}_{variant}" for variant in method.variants))]


def global_pooling() -> str:
    """The method whose feature is a plain [CLS]: leads under occlusion are told against it."""
    return next(name for name, method in methods().items() if method.global_pooling)


def untrained() -> str:
    """The method that trains nothing and has a model: the backbone as it comes, whose option is the way out without
    training data."""
    return next(name for name, method in methods().items() if method.queries and method.model and not method.train)


def of_row(row: str) -> tuple[Method | None, str]:
    """The method that a row of the tables is of, and its variant: "saga_refined" is SAGA's "refined"."""
    if row in methods():
        return methods()[row], ""
    name = max((name for name in methods() if row.startswith(f"{name}_")), key=len, default="")
    return methods().get(name), row.removeprefix(f"{name}_") if name else ""


def of_stage(stage: str) -> Method | None:
    """The method whose model a DVC stage makes."""
    return next((method for method in methods().values() if method.stage == stage), None)
