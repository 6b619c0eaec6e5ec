"""Occluder libraries: folders of cut-outs, CLASSn.png or CLASS/xx.png (MGCC, section OGor, table 1)."""

import functools
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from reanchor.data.beside import is_system
from reanchor.errors import ReanchorError
from reanchor.occlusion.background import TOLERANCE, without_background

# The paper's three placement sets: O_U, O_M and O_B.
PLACEMENT = {
    **dict.fromkeys(("umbrella", "kite"), "upper"),
    **dict.fromkeys(("bag", "suitcase", "post"), "middle"),
    **dict.fromkeys(("car", "bike", "stone", "motorbike", "bench", "roadsign", "chair", "card",
                     "pedestrian", "firehydrant"), "bottom"),
}
NAME = re.compile(r"(?P<kind>[a-z][a-z _-]*?)[ _-]?\d+\.(png|jpe?g)", re.IGNORECASE)
PICTURES = (".png", ".jpg", ".jpeg")
FORMATS = ("PNG", "JPEG")
MAX_PIXELS = 20_000_000  # of one cut-out
OPAQUE = 128  # alpha of a pixel that covers


@dataclass(frozen=True)
class Cutout:
    """One occluder: `pixels` [h, w, 4] uint8 RGBA, cropped to the object."""

    name: str
    kind: str  # class: lower-case letters only, "roadsign"
    placement: str  # upper, middle or bottom
    pixels: np.ndarray

    @functools.cached_property
    def premultiplied(self) -> Image.Image:
        """The picture that Pillow resizes RGBA through: colours times alpha."""
        return Image.fromarray(self.pixels).convert("RGBa")


def load_library(folder: Path, tolerance: int = TOLERANCE) -> list[Cutout]:
    """All cut-outs of `folder`, by file name: CLASSn.png in it, and any picture in a folder named CLASS.

    A background may be transparent or white; a class outside the paper's table is placed at the
    bottom, with one warning for all such classes.

    Args:
        tolerance: see `without_background`.

    Raises:
        ReanchorError: no such folder, no cut-out in it, or a file that is no picture of an object.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ReanchorError(f"occlude.library: no folder {str(folder)!r}; "
                            "allowed: 'drawn' or a folder of CLASSn.png cut-outs; correct the path")
    files = cutout_files(folder)
    if not files:
        found = sum(1 for _ in folder.iterdir())
        raise ReanchorError(f"occlude.library: none of the {found} files in {str(folder)!r} is named "
                            "CLASSn.png (car1.png, road_sign2.png) or CLASS/xx.png; rename them or choose another "
                            "folder")
    cutouts = [load_cutout(folder / name, kind, name, tolerance) for name, kind in files]
    unknown = sorted({cutout.kind for cutout in cutouts} - PLACEMENT.keys())
    if unknown:
        warnings.warn(f"{folder}: classes {', '.join(unknown)} are not in the paper's table; "
                      "placed at the bottom", stacklevel=2)
    return cutouts


def cutout_files(folder: Path) -> list[tuple[str, str]]:
    """(path below `folder`, class) of every cut-out, sorted by path."""
    found = []
    for path in folder.iterdir():
        if is_system(path.name):
            continue
        if path.is_dir() and (kind := _letters(path.name)):
            found += [(f"{path.name}/{inner.name}", kind) for inner in path.iterdir()
                      if inner.suffix.lower() in PICTURES and not is_system(inner.name)]
        elif match := NAME.fullmatch(path.name):
            found.append((path.name, _letters(match["kind"])))
    return sorted(found)


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def parted(library: Sequence[Cutout], unseen: Sequence[str]) -> tuple[list[Cutout], list[Cutout]]:
    """(seen, unseen) cut-outs: those of the classes `unseen` are kept from training and validation.

    Raises:
        ReanchorError: a class that no cut-out has, or no cut-out left to train with.
    """
    kinds = sorted({cutout.kind for cutout in library})
    for name in unseen:
        if name not in kinds:
            raise ReanchorError(f"occlude.unseen_classes: got {name!r}; allowed: {', '.join(kinds)}; correct the name")
    seen = [cutout for cutout in library if cutout.kind not in unseen]
    if library and not seen:
        raise ReanchorError(f"occlude.unseen_classes: got all {len(kinds)} classes of occlude.library; allowed: fewer; "
                            "leave some to train with")
    return seen, [cutout for cutout in library if cutout.kind in unseen]


def load_cutout(path: Path, kind: str, name: str, tolerance: int = TOLERANCE) -> Cutout:
    """Read one cut-out and crop it to the object.

    Raises:
        ReanchorError: when the file is unreadable or too large, has no background or shows nothing.
    """
    pixels, has_alpha = _read(path)
    if pixels[..., 3].min() >= OPAQUE:
        cut = without_background(pixels, tolerance)
        if cut is None and not has_alpha:  # an alpha channel may say that all of a rectangle is object
            raise ReanchorError(f"occlude.library: {str(path)!r} has neither a transparent nor a white background, so "
                                "nothing tells the object's outline; cut the object out or remove the file")
        pixels = pixels if cut is None else cut
    solid = pixels[..., 3] >= OPAQUE
    if not solid.any():
        raise ReanchorError(f"occlude.library: {str(path)!r} shows no object, every pixel is background; "
                            "replace or remove the file")
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    pixels = pixels[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    return Cutout(name, kind, PLACEMENT.get(kind, "bottom"), pixels)


def _read(path: Path) -> tuple[np.ndarray, bool]:
    """RGBA [h, w, 4] of a file, and whether it tells alpha; its size is read before any pixel."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ReanchorError(f"occlude.library: {str(path)!r} is {picture.width}x{picture.height} pixels; "
                                    f"allowed: {MAX_PIXELS} in all; shrink or remove the file")
            return np.array(picture.convert("RGBA")), picture.has_transparency_data
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ReanchorError(f"occlude.library: cannot read {str(path)!r} as a picture ({error}); "
                            "replace or remove the file") from error
