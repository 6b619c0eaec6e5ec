"""What the methods bring: sections of `params.yaml`, rules, and which of them the study judges by default."""

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from reanchor.methods.registry import judged, methods


def sections() -> dict[str, type]:
    """The sections of all methods by name, in the order of tables."""
    return {name: kind for module in _modules() for name, kind in module.SECTIONS.items()}


def rules() -> list[Callable]:
    """What binds several settings of a method: Params -> complaints."""
    return [rule for module in _modules() for rule in module.RULES]


def studied(query: str) -> list[str]:
    """The methods that are judged by default: those whose training is switched on, and those that need none."""
    return [name for name, method in judged(query).items()
            if not method.train or (method.switch and _default(method.switch))]


@functools.cache
def _modules() -> tuple[ModuleType, ...]:
    names = dict.fromkeys(method.schema for method in methods().values() if method.schema)
    return tuple(importlib.import_module(name) for name in names)


def _default(key: str) -> Any:
    """What the schema holds for a dotted name of a method's setting."""
    first, *names = key.split(".")
    return functools.reduce(getattr, names, sections()[first]())
