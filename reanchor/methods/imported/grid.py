"""Which image size and patch stride a tower's position embeddings were made for.

A checkpoint does not say: it holds one row per patch. The rows are held against the published sizes, or
against what the user says.
"""

from dataclasses import dataclass

from reanchor.clip.resnet import REDUCTION
from reanchor.clip.vision import patch_grid
from reanchor.errors import ReanchorError
from reanchor.methods.imported.settings import Imported

PUBLISHED_SIZES = ((256, 128), (256, 256))  # CLIP-ReID's people and vehicles
OVERLAPPING = 12  # the published stride of overlapping patches


@dataclass(frozen=True)
class Reading:
    """A way to read images: (height, width) in pixels, stride in pixels (0: none, a ResNet), rows and columns."""

    size: tuple[int, int]
    stride: int
    grid: tuple[int, int]

    @property
    def positions(self) -> int:
        """Rows of the position embeddings, the first token's included."""
        return self.grid[0] * self.grid[1] + 1

    def __str__(self) -> str:
        text = f"{self.size[0]}x{self.size[1]}"
        return f"{text} stride {self.stride}" if self.stride else text


def read_grid(positions: int, patch: int | None, asked: Imported, culprit: str) -> tuple[Reading, Reading]:
    """(how the tower was trained, how it is to read): they differ where another size or stride is asked for.

    Args:
        positions: rows of the position embeddings.
        patch: side of a patch in pixels; None for a ResNet, whose cells are 16 pixels wide.
        asked: `height`, `width` and `stride`, 0 where the user does not say.

    Raises:
        ReanchorError: a stride the tower cannot have, or rows that fit no reading, or several.
    """
    _check(asked, patch, culprit)
    sizes = ((asked.height, asked.width),) if asked.height else PUBLISHED_SIZES
    strides = (asked.stride,) if asked.stride else _strides(patch)
    fitting = _fitting(positions, _readings(sizes, strides, patch))
    if len(fitting) > 1:
        raise ReanchorError(f"{culprit}: its {positions} positions fit {' and '.join(map(str, fitting))} alike; "
                            "give --stride (imported.stride)")
    if fitting:
        return fitting[0], fitting[0]
    published = _readings(PUBLISHED_SIZES, _strides(patch), patch)
    trained = _fitting(positions, published)
    if len(trained) != 1:
        tried = dict.fromkeys([*_readings(sizes, strides, patch), *published])
        raise ReanchorError(f"{culprit}: its {positions} positions fit none of "
                            f"{', '.join(f'{each} ({each.positions})' for each in tried)}; give the --height, --width "
                            "and --stride it was trained with (imported.height, imported.width, imported.stride)")
    size = (asked.height, asked.width) if asked.height else trained[0].size
    wanted = _readings((size,), (asked.stride or trained[0].stride,), patch)
    if not wanted:
        raise ReanchorError(f"{culprit}: got --height {size[0]} and --width {size[1]} (imported.height, "
                            f"imported.width); allowed: {patch or 2 * REDUCTION} or more")
    return trained[0], wanted[0]


def _check(asked: Imported, patch: int | None, culprit: str) -> None:
    if asked.stride and (patch is None or asked.stride > patch):
        allowed = "0, a ResNet has no patches" if patch is None else f"1 to {patch}, its patch size, or 0"
        raise ReanchorError(f"{culprit}: got --stride {asked.stride} (imported.stride); allowed: {allowed}")
    if bool(asked.height) != bool(asked.width):
        raise ReanchorError(f"{culprit}: got --height {asked.height} and --width {asked.width} (imported.height, "
                            "imported.width); allowed: both, or neither")


def _strides(patch: int | None) -> tuple[int, ...]:
    if patch is None:
        return (0,)
    return (patch, OVERLAPPING) if patch > OVERLAPPING else (patch,)


def _readings(sizes: tuple, strides: tuple[int, ...], patch: int | None) -> list[Reading]:
    """Every combination whose image holds a patch (or, for a ResNet, two cells a side)."""
    readings = []
    for size in sizes:
        if min(size) < (patch or 2 * REDUCTION):
            continue
        for stride in strides:
            grid = patch_grid(size, (patch, patch), stride) if patch else (size[0] // REDUCTION, size[1] // REDUCTION)
            readings.append(Reading(size, stride, grid))
    return readings


def _fitting(positions: int, readings: list[Reading]) -> list[Reading]:
    return [reading for reading in readings if reading.positions == positions]
