"""OGor, the occlusion generator of MGCC (Algorithm 1 and the text above it).

`ogor-paper` follows the text: occluders of the upper and bottom sets lie at a random horizontal
position. `ogor-literal` follows the algorithm as printed: both at the left edge. Both draw the
middle set's top edge from range(0, H/2 - h_o) and its left edge from range(0, W), and begin anew,
with another occluder and another area, until the box lies inside the image. The printed test is
strict (h_l + h_o < H), which no occluder on the bottom edge can pass; here a box may touch the edge.
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from reanchor.errors import ReanchorError
from reanchor.occlusion.draws import generator
from reanchor.occlusion.image import OBJECT, Box, Occlusion, visible_mask
from reanchor.occlusion.library import Cutout

VARIANTS = ("ogor-paper", "ogor-literal")
TRIES = 2000  # of Algorithm 1's loop; with the paper's 15 classes about three are needed


def occluder_size(area: float, aspect: float) -> tuple[int, int]:
    """(width, height) in whole pixels of a box of `area` pixels and `aspect` = height / width.

    h_o = sqrt(S_o * gamma), w_o = sqrt(S_o / gamma).
    """
    return max(1, round(math.sqrt(area / aspect))), max(1, round(math.sqrt(area * aspect)))


def place(placement: str, variant: str, size: tuple[int, int], frame: tuple[int, int],
          rng: np.random.Generator) -> tuple[int, int] | None:
    """Left and top of a box of `size` (w, h) in a `frame` (W, H) for a placement set; None: does not fit."""
    (width, height), (frame_width, frame_height) = size, frame
    if width > frame_width or height > frame_height:
        return None
    if placement == "middle":
        if frame_height // 2 - height <= 0:  # range(0, H/2 - h_o) is empty
            return None
        top = int(rng.integers(frame_height // 2 - height))
        left = int(rng.integers(frame_width))
        return (left, top) if left + width <= frame_width else None
    left = 0 if variant == "ogor-literal" else int(rng.integers(frame_width - width + 1))
    return left, 0 if placement == "upper" else frame_height - height


def paste_cutout(image: np.ndarray, cutout: np.ndarray, left: int, top: int,
                 width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Resize a cut-out (bicubic, RGBA) and paste it by its own alpha.

    image [H, W, 3] uint8, cutout [h, w, 4] uint8. Returns the new image and covered [H, W] bool,
    True where the pasted alpha is at least one half. Parts outside the image are clipped.
    """
    occluder = Image.fromarray(cutout).resize((width, height), Image.Resampling.BICUBIC)
    canvas = Image.fromarray(image)
    canvas.paste(occluder, (left, top), occluder)
    alpha = Image.new("L", canvas.size)
    alpha.paste(occluder.getchannel("A"), (left, top))
    return np.asarray(canvas), np.asarray(alpha) >= 128


def occlude(image: np.ndarray, person: np.ndarray | None, library: Sequence[Cutout], seed: int, *,
            variant: str = "ogor-paper", ratios: tuple[float, float] = (0.1, 0.6)) -> Occlusion:
    """Algorithm 1: paste one random occluder of area delta * H * W, delta ~ U(ratios).

    image [H, W, 3] uint8; person [H, W], non-zero on the person, or None when unknown.
    `requested_ratio` of the result is delta, the share of the occluder's box.

    Raises:
        ReanchorError: when no occluder of the library fits the image.
    """
    rng = generator(seed)
    frame_height, frame_width = image.shape[:2]
    for _ in range(TRIES):
        cutout = library[rng.integers(len(library))]
        delta = float(rng.uniform(*ratios))
        height, width = cutout.pixels.shape[:2]
        size = occluder_size(delta * frame_height * frame_width, height / width)
        corner = place(cutout.placement, variant, size, (frame_width, frame_height), rng)
        if corner is not None:
            break
    else:
        raise ReanchorError(
            f"occlude.library: none of {len(library)} cut-outs fitted a {frame_width}x{frame_height} image "
            f"at area ratios {ratios[0]} to {ratios[1]} in {TRIES} tries; lower occlude.ratio_low or add "
            "cut-outs nearer to the image's shape")
    pasted, covered = paste_cutout(image, cutout.pixels, *corner, *size)
    box: Box = (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])
    return Occlusion(pasted, visible_mask(person, covered, OBJECT), "ogor", cutout.kind, cutout.name, box,
                     delta, float(covered.mean()), seed)
