"""The project's own occluder library: MGCC's 15 classes, four cut-outs each, drawn here."""

from pathlib import Path

import numpy as np
from PIL import Image

from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory, write_json
from reanchor.occlusion.drawings.catalogue import DRAWINGS
from reanchor.occlusion.drawings.pen import Pen

CLASSES = tuple(sorted(DRAWINGS))  # file stems: "roadsign" is the paper's "road sign"
VARIANTS = 4
SIZE = 256  # pixels of the longer side in a written library
_SUPERSAMPLE = 4


def draw_cutout(occluder_class: str, variant: int, size: int = SIZE) -> Image.Image:
    """One cut-out, cropped to the object; the same arguments give the same pixels.

    Args:
        occluder_class: one of `CLASSES`.
        variant: 1 to `VARIANTS`, as in the file names.
        size: pixels of the longer side.

    Returns:
        RGBA, alpha 0 outside the object.

    Raises:
        ReanchorError: an unknown class or variant, or a size below 8.
    """
    if occluder_class not in DRAWINGS:
        raise ReanchorError(f"occluder class: {occluder_class!r}; allowed: {', '.join(CLASSES)}; "
                            "correct the name")
    if not 1 <= variant <= VARIANTS:
        raise ReanchorError(f"{occluder_class} variant: {variant}; allowed: 1 to {VARIANTS}; correct it")
    if size < 8:
        raise ReanchorError(f"{occluder_class} size: {size} pixels; allowed: 8 or more; raise it")
    pen = Pen(size * _SUPERSAMPLE)
    DRAWINGS[occluder_class](pen, variant - 1)
    picture = pen.image.crop(pen.image.getbbox())
    scale = size / max(picture.size)
    shape = tuple(max(1, round(side * scale)) for side in picture.size)
    return _shaded(picture.resize(shape, Image.Resampling.BOX))


def write_library(folder: Path, size: int = SIZE) -> None:
    """Write CLASSn.png for every class and variant, and index.json, into `folder`; whole or not at all."""
    index = []
    with atomic_directory(Path(folder)) as root:
        for name in CLASSES:
            for variant in range(1, VARIANTS + 1):
                picture = draw_cutout(name, variant, size)
                picture.save(root / f"{name}{variant}.png", compress_level=1)  # grain hardly compresses
                index.append({"file": f"{name}{variant}.png", "class": name,
                              "width": picture.width, "height": picture.height})
        write_json(root / "index.json", index)


def _shaded(picture: Image.Image) -> Image.Image:
    """Light from the upper left and a little grain: less flat beside photographs."""
    pixels = np.asarray(picture).astype(np.float32)
    height, width = pixels.shape[:2]
    slope = 1.12 - 0.22 * (np.linspace(0, 1, height)[:, None] + np.linspace(0, 1, width)[None, :]) / 2
    grain = np.random.default_rng(0).normal(0, 2.5, size=(height, width))
    pixels[..., :3] = np.clip(pixels[..., :3] * slope[..., None] + grain[..., None], 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))
