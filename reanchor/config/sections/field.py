"""A setting and its allowed values."""

import dataclasses
from typing import Any


def field(default: Any, *, low: float | None = None, high: float | None = None,
          choices: tuple | None = None) -> Any:
    """A dataclass field whose value must lie in [low, high] or among `choices`.

    A list-valued field applies the rule to each of its elements.
    """
    metadata = {"low": low, "high": high, "choices": choices}
    if isinstance(default, (list, dict)) or dataclasses.is_dataclass(default):
        return dataclasses.field(default_factory=lambda: _fresh(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _fresh(value: Any) -> Any:
    return dataclasses.replace(value) if dataclasses.is_dataclass(value) else type(value)(value)
