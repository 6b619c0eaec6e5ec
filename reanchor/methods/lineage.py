"""What a method's model stands on, under given settings."""

import re

from reanchor.config.load import flatten
from reanchor.config.params import Params
from reanchor.methods.method import Method, code

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def parents(method: Method, params: Params) -> tuple[str, ...]:
    """Folders of the weights that a method's model starts from, under these settings."""
    if method.parents:
        return code(method.parents)(params)
    return tuple(folder for folder in filled(method.reads, params) if folder.startswith("models/"))


def filled(reads: tuple[str, ...], params: Params) -> tuple[str, ...]:
    """Files and folders with ${setting} filled in."""
    values = flatten(params)
    return tuple(_REFERENCE.sub(lambda found: str(values[found[1]]), path) for path in reads)
