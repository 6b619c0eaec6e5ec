"""Pictures as a model reads them: files, images that Pillow has opened, or arrays."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from reanchor.config.sections.data import Prepare
from reanchor.data.decode import Rejected, decode_image, fit_image
from reanchor.data.listing import IMAGE_SUFFIXES
from reanchor.errors import ReanchorError
from reanchor.formats.embedder import Embedder
from reanchor.formats.incoming import checked_images
from reanchor.formats.preprocessing import Preprocessing
from reanchor.formats.searcher import Searcher

INTERPOLATION = "bicubic"  # where a model does not tell its own
MAX_PIXELS: int = Prepare().max_pixels  # of one picture; larger ones are refused before they are decoded

Picture = str | Path | Image.Image | np.ndarray  # a file, an opened image, or uint8 RGB [H, W, 3]


def read_images(pictures: Picture | Iterable[Picture], model: Embedder | Searcher, max_pixels: int = MAX_PIXELS,
                first: int = 0) -> np.ndarray:
    """Pictures for `model.embed` (a searcher's `images`): uint8 RGB [N, H, W, 3], H and W as the model reads.

    They are turned upright by their EXIF tag and resized as the stage `prepare` does: with the interpolation that
    the model was trained for.

    Args:
        pictures: one or several, as `read_image` takes them.
        max_pixels: of one picture; larger ones are refused before they are decoded.
        first: the number of the first picture, for messages about those without a path.

    Raises:
        ReanchorError: a picture that is absent, no picture, damaged or too large, or a model that reads any size.
    """
    reads = size_read_by(model)
    each = listed(pictures)
    images = np.empty((len(each), reads.height, reads.width, 3), np.uint8)
    for place, picture in enumerate(each):
        try:
            images[place] = read_image(picture, reads, max_pixels)
        except Rejected as error:
            name = picture if isinstance(picture, str | Path) else f"picture {first + place}"
            raise ReanchorError(f"{name}: {error.reason}: {error.detail}; allowed are JPEG, PNG, TIFF and BMP pictures "
                                f"of at most {max_pixels} pixels: mend or leave out this one") from error
    return images


def read_image(picture: Picture, reads: Preprocessing, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """One picture as uint8 RGB [H, W, 3], upright, of the size that is read.

    Args:
        picture: a file (JPEG, PNG, TIFF or BMP, 8 bits a channel), Pillow's image, or a uint8 RGB array [H, W, 3] of
            any size.

    Raises:
        Rejected: absent, no picture, damaged or too large.
        ReanchorError: an array of another dtype or layout, or something that is none of these.
    """
    wanted = (reads.height, reads.width, max_pixels, reads.interpolation or INTERPOLATION)
    if isinstance(picture, str | Path):
        return decode_image(Path(picture), *wanted).pixels
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(checked_images(picture[None], None, "embed")[0])
    if isinstance(picture, Image.Image):
        return fit_image(picture, *wanted)
    raise ReanchorError(f"pictures: got {type(picture).__name__}; allowed are paths, Pillow's images and uint8 arrays "
                        "[H, W, 3]: give one of these")


def size_read_by(model: Embedder | Searcher) -> Preprocessing:
    """The size and the resize that a model was trained for.

    Raises:
        ReanchorError: it reads images of any size.
    """
    reads = model.preprocessing
    if reads is None:
        raise ReanchorError(f"{model.name}: reads images of any size; allowed are models of one size: resize the "
                            "pictures yourself, to one size")
    return reads


def listed(pictures: Picture | Iterable[Picture]) -> list[Picture]:
    """The pictures as a list, a single one too; an array [N, H, W, 3] is N of them."""
    if isinstance(pictures, str | Path | Image.Image) or (isinstance(pictures, np.ndarray) and pictures.ndim < 4):
        return [pictures]
    if not isinstance(pictures, Iterable):
        raise ReanchorError(f"pictures: got {type(pictures).__name__}; allowed are paths, Pillow's images and uint8 "
                            "arrays [H, W, 3], one or several: give a list of them")
    return list(pictures)


def find_pictures(named: Sequence[str]) -> list[str]:
    """Paths of all picture files that these name, sorted and each once.

    Args:
        named: files, whatever their suffix; folders, searched to the bottom for IMAGE_SUFFIXES, hidden files left out;
            and globs, where `**` goes through folders.

    Raises:
        ReanchorError: one of them names no file.
    """
    found: set[str] = set()
    for name in named:
        files = _files_of(name)
        if not files:
            allowed = f"a folder that holds {', '.join(IMAGE_SUFFIXES)} files" if os.path.isdir(name) else (
                "files, folders and globs that match a file")
            raise ReanchorError(f"{name}: names no picture; allowed: {allowed}; mend it or leave it out")
        found.update(os.path.normpath(file) for file in files)
    return sorted(found)


def _files_of(name: str) -> list[str]:
    if os.path.isdir(name):
        return list(_pictures_below(name))
    if os.path.lexists(name):
        return [name]
    return [file for file in glob.glob(name, recursive=True) if os.path.isfile(file)]


def _pictures_below(folder: str) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]  # which os.walk then leaves out
        for name in files:
            if not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES):
                yield os.path.join(place, name)
