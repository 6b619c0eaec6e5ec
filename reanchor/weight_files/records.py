"""What the pickle of a weight file is turned into: plain values, and inert records of what torch wrote.

Dictionaries, lists, tuples, strings and numbers stay what they are. They may contain each other without end:
follow them to a bounded depth only, and never compare, hash or print one.
"""

import math
from dataclasses import dataclass, field

import torch

MOST_DIMENSIONS = 64
LARGEST = 2**62  # of any size, stride or offset


@dataclass(frozen=True, eq=False)
class Storage:
    """A block of numbers of one type, by the name it bears in the file."""

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class View:
    """A tensor: how the numbers of a storage are read. All of it is the file's claim until `check` has passed."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.size)

    def check(self, name: str) -> None:
        """Raise ValueError where it does not lie inside its storage."""
        if len(self.size) != len(self.stride) or len(self.size) > MOST_DIMENSIONS:
            raise ValueError(f"its tensor {name} has {len(self.size)} sizes and {len(self.stride)} strides")
        for value in (self.offset, *self.size, *self.stride):
            if type(value) is not int or not 0 <= value < LARGEST:
                raise ValueError(f"its tensor {name} has a size, stride or offset that no tensor has")
        last = self.offset + sum((size - 1) * step for size, step in zip(self.size, self.stride, strict=True))
        if self.elements and (last + 1) * self.dtype.itemsize > self.storage.nbytes:
            raise ValueError(f"its tensor {name} reaches beyond its storage of {self.storage.nbytes} bytes")


@dataclass(eq=False)
class Module:
    """A module of TorchScript, by its attributes; None where only its own code could say what they are."""

    attributes: dict | None = None


@dataclass(frozen=True, eq=False)
class Global:
    """A function or class of torch's or Python's by its name. It is never looked up."""

    name: str


@dataclass(frozen=True, eq=False)
class Unread:
    """Something that is no plain tensor, such as a sparse one, a set or a device."""

    what: str = field(default="an object")
