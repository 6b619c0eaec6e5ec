"""Picture files as a model reads them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from reanchor.config.sections.data import Prepare
from reanchor.data.decode import Rejected, decode_image
from reanchor.errors import ReanchorError
from reanchor.formats.embedder import Embedder
from reanchor.formats.searcher import Searcher

INTERPOLATION = "bicubic"  # where a model does not tell its own


def read_images(paths: str | Path | Iterable[str | Path], model: Embedder | Searcher,
                max_pixels: int = Prepare().max_pixels) -> np.ndarray:
    """Pictures for `model.embed` (a searcher's `images`): uint8 RGB [N, H, W, 3], H and W as the model reads.

    Files are turned upright by their EXIF tag and resized as the stage `prepare` does: with the interpolation that
    the model was trained for.

    Args:
        paths: one file or several; JPEG, PNG, TIFF or BMP, 8 bits a channel.
        max_pixels: of one file; larger ones are refused before they are decoded.

    Raises:
        ReanchorError: a file that is absent, no picture, damaged or too large, or a model that reads any size.
    """
    reads = model.preprocessing
    if reads is None:
        raise ReanchorError(f"{model.name}: reads images of any size; allowed are models of one size: resize the "
                            "pictures yourself, to one size")
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    images = np.empty((len(files), reads.height, reads.width, 3), np.uint8)
    for place, file in enumerate(files):
        try:
            decoded = decode_image(Path(file), reads.height, reads.width, max_pixels,
                                   reads.interpolation or INTERPOLATION)
        except Rejected as error:
            raise ReanchorError(f"{file}: {error.reason}: {error.detail}; allowed are JPEG, PNG, TIFF and BMP files of "
                                f"at most {max_pixels} pixels: mend or leave out this file") from error
        images[place] = decoded.pixels
    return images
