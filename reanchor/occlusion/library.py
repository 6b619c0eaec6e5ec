"""Occluder libraries: folders of cut-outs named CLASSn.png (MGCC, section OGor, table 1)."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from reanchor.errors import ReanchorError

# The paper's three placement sets: O_U, O_M and O_B.
PLACEMENT = {
    **dict.fromkeys(("umbrella", "kite"), "upper"),
    **dict.fromkeys(("bag", "suitcase", "post"), "middle"),
    **dict.fromkeys(("car", "bike", "stone", "motorbike", "bench", "roadsign", "chair", "card",
                     "pedestrian", "firehydrant"), "bottom"),
}
NAME = re.compile(r"(?P<kind>[a-z][a-z _-]*?)[ _-]?\d+\.png", re.IGNORECASE)
WHITE = 240  # least channel value of a white background
PALE = 200  # the same for the half-mixed pixels along the object's edge


@dataclass(frozen=True)
class Cutout:
    """One occluder: `pixels` [h, w, 4] uint8 RGBA, cropped to the object."""

    name: str
    kind: str  # class: lower-case letters only, "roadsign"
    placement: str  # upper, middle or bottom
    pixels: np.ndarray


def load_library(folder: Path) -> list[Cutout]:
    """All cut-outs of `folder`, by file name.

    A background may be transparent or white; a class outside the paper's table is placed at the
    bottom, with one warning for all such classes.

    Raises:
        ReanchorError: no such folder, no CLASSn.png in it, or a file that is no picture of an object.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ReanchorError(f"occlude.library: no folder {str(folder)!r}; "
                            "allowed: 'drawn' or a folder of CLASSn.png cut-outs; correct the path")
    files = sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))
    if not files:
        found = sum(1 for _ in folder.iterdir())
        raise ReanchorError(f"occlude.library: none of the {found} files in {str(folder)!r} is named "
                            "CLASSn.png (car1.png, road_sign2.png); rename them or choose another folder")
    cutouts = [load_cutout(path) for path in files]
    unknown = sorted({cutout.kind for cutout in cutouts} - PLACEMENT.keys())
    if unknown:
        warnings.warn(f"{folder}: classes {', '.join(unknown)} are not in the paper's table; "
                      "placed at the bottom", stacklevel=2)
    return cutouts


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


def load_cutout(path: Path) -> Cutout:
    """Read one CLASSn.png.

    Raises:
        ReanchorError: when the file is unreadable or shows nothing.
    """
    try:
        with Image.open(path) as picture:
            pixels = np.array(picture.convert("RGBA"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ReanchorError(f"occlude.library: cannot read {str(path)!r} as a picture ({error}); "
                            "replace or remove the file") from error
    if pixels[..., 3].min() == 255:
        pixels[..., 3][white_background(pixels[..., :3])] = 0
    solid = pixels[..., 3] >= 128
    if not solid.any():
        raise ReanchorError(f"occlude.library: {str(path)!r} shows no object, every pixel is background; "
                            "replace or remove the file")
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    pixels = pixels[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    kind = re.sub("[^a-z]", "", NAME.fullmatch(path.name)["kind"].lower())
    return Cutout(path.name, kind, PLACEMENT.get(kind, "bottom"), pixels)


def white_background(rgb: np.ndarray) -> np.ndarray:
    """Where [h, w, 3] uint8 is a white background: white and joined to the border by white.

    White inside the object stays. An image whose border is mostly not white has no white
    background: nothing is removed.
    """
    least = rgb.min(-1)
    border = np.concatenate([least[0], least[-1], least[:, 0], least[:, -1]])
    if np.mean(border >= WHITE) < 0.5:
        return np.zeros(least.shape, bool)
    regions, _ = ndimage.label(least >= WHITE)
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    background = np.isin(regions, np.unique(edge[edge > 0]))
    rim = ndimage.binary_dilation(background, np.ones((3, 3), bool))
    return background | (rim & (least >= PALE))
