"""What pydantic found, as one line: key, value, what is allowed."""

import difflib
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from reanchor.config.setting import Setting, settings_of

_UNKNOWN = ("unexpected_keyword_argument", "invalid_key")
_BOUNDS = ("greater_than_equal", "less_than_equal")
_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def complaint(kind: type, found: ValidationError, raw: Any, prefix: str = "") -> str:
    """The first mistake in the mapping `raw` of the section `prefix`; unknown keys go before others."""
    errors = found.errors(include_url=False)
    error = next((each for each in errors if each["type"] in _UNKNOWN), errors[0])
    names = [str(part) for part in error["loc"] if not isinstance(part, int) or error["type"] == "invalid_key"]
    key = ".".join([*([prefix] if prefix else []), *names]) or "the whole file"
    if error["type"] in _UNKNOWN:
        return _unknown_key(_at(kind, names[:-1]).kind, key, error["input"])
    return f"{key}: {_wrong_value(_at(kind, names), error, raw, names)}"


def _at(kind: Any, names: Sequence[str]) -> Setting:
    found = Setting(kind=kind)
    for name in names:
        found = settings_of(found.kind)[name]
    return found


def _unknown_key(kind: type, key: str, value: Any) -> str:
    known = list(settings_of(kind))
    near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{key}: unknown key (value {value!r}); {hint}allowed: {', '.join(known)}"


def _wrong_value(each: Setting, error: ErrorDetails, raw: Any, names: Sequence[str]) -> str:
    value = error["input"]
    if error["type"] == "literal_error":
        near = difflib.get_close_matches(str(value), each.choices, n=1)
        allowed = ", ".join(each.choices) + (f" (did you mean {near[0]!r}?)" if near else "")
    elif error["type"] in _BOUNDS:
        limits = (("at least", each.low), ("at most", each.high))
        allowed = " and ".join(f"{words} {limit}" for words, limit in limits if limit is not None)
    elif error["type"] == "finite_number":
        allowed = "a finite number"
    elif settings_of(each.kind):
        allowed = f"a mapping of {', '.join(settings_of(each.kind))}"
    else:
        for name in names:  # a list is shown whole where an element has the wrong type
            raw = raw[name]
        value, allowed = raw, _type(each.kind)
    return f"got {value!r}; allowed: {allowed}"


def _type(kind: Any) -> str:
    (element,) = typing.get_args(kind) or (kind,)
    return f"a list, each {_TYPES[element]}" if typing.get_origin(kind) is list else _TYPES[element]
