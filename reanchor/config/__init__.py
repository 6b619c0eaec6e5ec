"""Typed settings: `load(path)` reads `params.yaml` into `Params` or explains why it cannot."""

from reanchor.config.load import flatten, from_mapping, load, section
from reanchor.config.sections import Params

__all__ = ["Params", "flatten", "from_mapping", "load", "section"]
