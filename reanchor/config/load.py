"""From a YAML file to `Params`; every mistake is one line with key, value and what is allowed.

YAML is read by OmegaConf: PyYAML alone takes `1e-4` for a string.
"""

import dataclasses
import difflib
import functools
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reanchor.config.checks import check_together
from reanchor.config.params import Params
from reanchor.errors import ReanchorError

_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check all settings; keys that the file leaves out keep their defaults.

    Raises:
        ReanchorError: unknown key, wrong type, value out of range, or settings that exclude one another.
    """
    path = Path(path)
    if not path.is_file():
        raise ReanchorError(f"{path}: settings file not found; write it with `python -m stages.compose`")
    try:
        raw = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except Exception as error:  # PyYAML, OmegaConf and decoding errors share no base class
        reason = " ".join(str(error).split())
        raise ReanchorError(f"{path}: not readable as YAML ({reason}); rewrite it with "
                            "`python -m stages.compose`") from error
    return from_mapping(raw, source=path.name)


def from_mapping(raw: Any, source: str = "settings") -> Params:
    """Check a nested mapping of plain values (as `load` does a file's); `source` opens each message."""
    params = section(Params, raw, "", source)
    check_together(params, source)
    return params


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves of a section or mapping under dotted names: {'baseline.i2tce': 0.0, 'epochs': 12}."""
    if dataclasses.is_dataclass(value):
        value = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if not isinstance(value, Mapping):
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for name, child in value.items():
        leaves.update(flatten(child, f"{prefix}.{name}" if prefix else str(name)))
    return leaves


def value_of(params: Params, key: str) -> Any:
    """The setting or section of a dotted name."""
    return functools.reduce(getattr, key.split("."), params)


def section(kind: type, raw: Any, prefix: str, source: str) -> Any:
    """One section `prefix` from a mapping of plain values, checked by itself."""
    if not isinstance(raw, Mapping):
        where = prefix or "the whole file"
        raise ReanchorError(f"{source}: {where}: got {raw!r}; allowed: a mapping of "
                            f"{', '.join(item.name for item in dataclasses.fields(kind))}")
    types = typing.get_type_hints(kind)
    _reject_unknown(raw, list(types), prefix, source)
    values = {}
    for item in dataclasses.fields(kind):
        if item.name in raw:
            key = f"{prefix}.{item.name}" if prefix else item.name
            values[item.name] = _value(item, types[item.name], raw[item.name], key, source)
    return kind(**values)


def _reject_unknown(raw: Mapping, known: list[str], prefix: str, source: str) -> None:
    for name in raw:
        if name in known:
            continue
        key = f"{prefix}.{name}" if prefix else str(name)
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ReanchorError(f"{source}: {key}: unknown key (value {raw[name]!r}); {hint}"
                            f"allowed: {', '.join(known)}")


def _value(item: dataclasses.Field, kind: Any, raw: Any, key: str, source: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return section(kind, raw, key, source)
    value = _typed(kind, raw, key, source)
    for element in value if isinstance(value, list) else [value]:
        _check_bounds(item.metadata, element, key, source)
    return value


def _typed(kind: Any, raw: Any, key: str, source: str) -> Any:
    """Convert by OmegaConf's own rules (1 -> 1.0, "1e-4" -> 0.0001; 1.5 is no int, "yes" no number)."""
    schema = dataclasses.make_dataclass("Schema", [("value", kind)])
    try:
        node = OmegaConf.structured(schema)
        node.value = raw
        return OmegaConf.to_container(node)["value"]
    except OmegaConfBaseException as error:
        element = typing.get_args(kind)
        allowed = f"a list, each {_TYPE_NAMES[element[0]]}" if element else _TYPE_NAMES[kind]
        raise ReanchorError(f"{source}: {key}: got {raw!r}; allowed: {allowed}") from error


def _check_bounds(rule: Mapping, value: Any, key: str, source: str) -> None:
    low, high, choices = rule.get("low"), rule.get("high"), rule.get("choices")
    if choices is not None and value not in choices:
        near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ReanchorError(f"{source}: {key}: got {value!r}; allowed: {', '.join(map(str, choices))}{hint}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ReanchorError(f"{source}: {key}: got {value!r}; allowed: a finite number")
    if (low is not None and value < low) or (high is not None and value > high):
        limits = [f"at least {low}" if low is not None else "", f"at most {high}" if high is not None else ""]
        raise ReanchorError(f"{source}: {key}: got {value!r}; allowed: {' and '.join(filter(None, limits))}")
