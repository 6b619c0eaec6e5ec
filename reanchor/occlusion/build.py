"""Build an occluder library: cut-outs of any folder, cropped, with alpha, of one size, named CLASSn.png."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory, write_json
from reanchor.occlusion.background import TOLERANCE
from reanchor.occlusion.library import Cutout, load_library

SIZE = 256  # pixels of the longer side at most
TILE = 96  # of the contact sheet
ACROSS = 12
GROUND = (200, 40, 200)  # a colour that cut-outs seldom have


def build_library(source: Path, out: Path, size: int = SIZE, tolerance: int = TOLERANCE) -> list[dict]:
    """Read the cut-outs of `source` and write them into the new folder `out`, whole or not at all.

    Returns:
        What index.json holds: file, class, where it came from, size and SHA-256 of the pixels.

    Raises:
        ReanchorError: see `load_library`; or a size below 8, or an `out` whose files would be lost.
    """
    check_folders(source, out, size)
    return write_cutouts(Path(out).resolve(), load_library(Path(source), tolerance), size)


def check_folders(source: Path, out: Path, size: int) -> None:
    """Raise ReanchorError for a size below 8, or an `out` whose files, or the source's, would be lost."""
    if size < 8:
        raise ReanchorError(f"size: got {size}; allowed: at least 8 pixels; raise it")
    source, out = Path(source), Path(out)
    one, other = source.resolve(), out.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise ReanchorError(f"out: got {str(out)!r}, which holds or lies in the source folder; choose a folder apart "
                            "from it")
    if out.exists() and not _is_library(out):
        raise ReanchorError(f"out: got {str(out)!r}, which holds something else than a library; allowed: a new or "
                            "empty folder, or an earlier library, which is replaced; choose one")


def _is_library(folder: Path) -> bool:
    """Whether a folder is empty or holds what `write_cutouts` wrote, and nothing else."""
    if folder.is_file():
        return False
    names = {path.name for path in folder.iterdir()}
    if not names:
        return True
    try:
        listed = {entry["file"] for entry in json.loads((folder / "index.json").read_text())}
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return names <= listed | {"index.json", "contact_sheet.png"}


def write_cutouts(out: Path, cutouts: Iterable[Cutout], size: int = SIZE) -> list[dict]:
    """Write CLASSn.png, numbered in the order given, index.json and contact_sheet.png into the new folder `out`."""
    counts: dict[str, int] = {}
    index, tiles = [], []
    with atomic_directory(Path(out)) as folder:
        for cutout in cutouts:
            counts[cutout.kind] = counts.get(cutout.kind, 0) + 1
            picture = shrunk(Image.fromarray(cutout.pixels), size)
            name = f"{cutout.kind}{counts[cutout.kind]}.png"
            ImageOps.expand(picture, 1, (0, 0, 0, 0)).save(folder / name)  # a margin: nobody looks for a background
            tiles.append(_tile(picture))
            index.append({"file": name, "class": cutout.kind, "source": cutout.name, "width": picture.width,
                          "height": picture.height, "sha256": hashlib.sha256(picture.tobytes()).hexdigest()})
        write_json(folder / "index.json", index)
        _sheet(tiles).save(folder / "contact_sheet.png")
    return index


def shrunk(picture: Image.Image, size: int) -> Image.Image:
    """The picture with its longer side at most `size`; alpha weighs the colours, so that no background returns."""
    if max(picture.size) <= size:
        return picture
    scale = size / max(picture.size)
    shape = tuple(max(1, round(side * scale)) for side in picture.size)
    return picture.resize(shape, Image.Resampling.BOX)


def _tile(picture: Image.Image) -> np.ndarray:
    tile = Image.new("RGB", (TILE, TILE), GROUND)
    small = shrunk(picture, TILE - 4)
    tile.paste(small, ((TILE - small.width) // 2, (TILE - small.height) // 2), small)
    return np.asarray(tile)


def _sheet(tiles: list[np.ndarray]) -> Image.Image:
    blank = np.full((TILE, TILE, 3), 255, np.uint8)
    lines = [tiles[start:start + ACROSS] for start in range(0, len(tiles), ACROSS)]
    return Image.fromarray(np.vstack([np.hstack(line + [blank] * (ACROSS - len(line))) for line in lines]))
