"""From a YAML file to `Params`; every mistake is one line with key, value and what is allowed.

YAML is read by OmegaConf: PyYAML alone takes `1e-4` for a string.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from pydantic import TypeAdapter, ValidationError

from reanchor.config.checks import check_together
from reanchor.config.complaints import complaint
from reanchor.config.params import Params
from reanchor.errors import ReanchorError

Section = TypeVar("Section")


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
    params = read_section(Params, raw, "", source)
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


def read_section(kind: type[Section], raw: Any, prefix: str, source: str) -> Section:
    """One section `prefix` from a mapping of plain values, checked by itself."""
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        told = complaint(kind, error, raw, prefix)
        raise ReanchorError(f"{source}: {told}") from None  # nobody needs pydantic's own account
