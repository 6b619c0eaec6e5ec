"""Rules that bind several settings, as more than one section needs them: each gives one complaint, or none."""

import functools
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from reanchor.config.towers import is_resnet, vision_blocks
from reanchor.methods.registry import global_pooling

if TYPE_CHECKING:
    from reanchor.config.params import Params

Complaints = Iterator[str]


def value_of(params: "Params", key: str) -> Any:
    """The setting or section of a dotted name."""
    return functools.reduce(getattr, key.split("."), params)


def ascending(params: "Params", key: str, what: str) -> Complaints:
    """The setting is a list in which each value is above the one before it."""
    values = value_of(params, key)
    if any(left >= right for left, right in pairwise(values)):
        yield f"{key}: got {values}; allowed: ascending {what}, each once"


def each_once(params: "Params", key: str, allowed: str) -> Complaints:
    """The setting is a list of different values, at least one."""
    values = value_of(params, key)
    if not values or len(set(values)) < len(values):
        yield f"{key}: got {values}; allowed: {allowed}"


def at_most(params: "Params", key: str, limit: str) -> Complaints:
    """The setting is not above another one."""
    value, most = value_of(params, key), value_of(params, limit)
    if value > most:
        yield f"{key}: got {value}; allowed: at most {limit}, which is {most}"


def blocks_exist(params: "Params", key: str) -> Complaints:
    """The setting is a list of blocks, or a number of blocks, that the backbone has."""
    value, blocks = value_of(params, key), vision_blocks(params)
    listed = isinstance(value, list)
    if blocks is not None and (max(value, default=1) if listed else value) > blocks:
        yield (f"{key}: got {value}; allowed: {'1 to' if listed else 'at most'} {blocks}, the blocks of "
               f"backbone.source {params.backbone.source!r}")


def needs_patches(params: "Params", switch: str) -> Complaints:
    """What reads patch tokens is not trained on a ResNet."""
    if value_of(params, switch) and is_resnet(params):
        yield (f"{switch}: got true with backbone.model {params.backbone.model!r}; allowed: false, since a ResNet has "
               f"no patch tokens to read (choose method={global_pooling()})")


def needs_training(params: "Params", switch: str, because: str) -> Complaints:
    """What another one stands on is trained too."""
    if not value_of(params, switch):
        yield f"{switch}: got false; allowed: true, since {because}"
