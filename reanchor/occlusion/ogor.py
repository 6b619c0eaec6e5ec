"""OGor, the occlusion generator of MGCC (Algorithm 1 and the text above it).

`ogor-paper` follows the text: occluders of the upper and bottom sets lie at a random horizontal
position. `ogor-literal` follows the algorithm as printed: both at the left edge. Both draw the
middle set's top edge from range(0, H/2 - h_o) and its left edge from range(0, W), and begin anew,
with another occluder and another area, until the box lies inside the image. The printed test is
strict (h_l + h_o < H), which no occluder on the bottom edge can pass; here a box may touch the edge.

`ogor-released` does as the authors' code: a class, then one of its cut-outs, is drawn; area and corner
belong to the class, nothing is tried again, and what lies outside the image is clipped.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from reanchor.errors import ReanchorError
from reanchor.formats.occlusion import OBJECT, Box, Occlusion, check_ratio, visible_mask
from reanchor.occlusion.draws import generator
from reanchor.occlusion.library import Cutout

TRIES = 2000  # of Algorithm 1's loop; with the paper's 15 classes about three are needed
# The authors' code: area ratio and corner by class, in the order that classes are drawn from.
RELEASED = {
    "bench": (0.4, "bottom left"), "bike": (0.6, "bottom left"), "car": (0.45, "bottom left"),
    "card": (0.2, "bottom left"), "chair": (0.65, "bottom left"), "firehydrant": (0.2, "bottom right"),
    "motorbike": (0.5, "bottom left"), "pedestrian": (0.5, "bottom right"), "post": (0.5, "bottom left"),
    "roadsign": (0.4, "bottom right"), "stone": (0.15, "bottom left"), "bag": (0.2, "middle left"),
    "kite": (0.4, "top left"), "suitcase": (0.1, "middle right"), "umbrella": (0.25, "top left"),
}


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


def draw_released(library: Sequence[Cutout], rng: np.random.Generator) -> Cutout:
    """A class, then one of its cut-outs, each evenly.

    Raises:
        ReanchorError: a class that the authors' code has no area and corner for.
    """
    unknown = sorted({cutout.kind for cutout in library} - RELEASED.keys())
    if unknown:
        raise ReanchorError(f"occlude.library: class {unknown[0]!r} has no area ratio in ogor-released; allowed: "
                            f"{', '.join(sorted(RELEASED))}; rename its files, or set occlude.variant=ogor-paper")
    present = {cutout.kind for cutout in library}
    kinds = [kind for kind in RELEASED if kind in present]
    kind = kinds[rng.integers(len(kinds))]
    own = [cutout for cutout in library if cutout.kind == kind]
    return own[rng.integers(len(own))]


def place_released(kind: str, size: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int]:
    """Left and top of a box of `size` (w, h) in a `frame` (W, H): negative where it is larger than the image.

    A box in the middle ends at half the height.
    """
    (width, height), (frame_width, frame_height) = size, frame
    vertical, horizontal = RELEASED[kind][1].split()
    left = 0 if horizontal == "left" else frame_width - width
    return left, {"top": 0, "middle": frame_height // 2 - height, "bottom": frame_height - height}[vertical]


def paste_cutout(image: np.ndarray, cutout: Cutout, left: int, top: int,
                 width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Resize a cut-out (bicubic, RGBA) and paste it by its own alpha.

    image [H, W, 3] uint8. Returns the new image and covered [H, W] bool,
    True where the pasted alpha is at least one half. Parts outside the image are clipped.
    """
    occluder = cutout.premultiplied.resize((width, height), Image.Resampling.BICUBIC).convert("RGBA")
    canvas = Image.fromarray(image)
    canvas.paste(occluder, (left, top), occluder)
    alpha = Image.new("L", canvas.size)
    alpha.paste(occluder.getchannel("A"), (left, top))
    return np.asarray(canvas), np.asarray(alpha) >= 128


def occlude(image: np.ndarray, person: np.ndarray | None, library: Sequence[Cutout], seed: int, *,
            variant: str = "ogor-paper", ratios: tuple[float, float] = (0.1, 0.6)) -> Occlusion:
    """Paste one random occluder: Algorithm 1 with an area of delta * H * W, delta ~ U(ratios), or as released.

    image [H, W, 3] uint8; person [H, W], non-zero on the person, or None when unknown.
    `requested_ratio` of the result is delta (released: the class's), the share of the occluder's box.

    Raises:
        ReanchorError: when no occluder of the library fits the image, or its class is unknown as released; a ratio
            outside 0 (excluded) to 0.9, or the range turned about.
    """
    for ratio in ratios:
        check_ratio("OGor ratio", ratio, zero=False)
    if ratios[0] > ratios[1]:
        raise ReanchorError(f"OGor ratios: got {ratios[0]:g} to {ratios[1]:g}; allowed: the lower one first; swap them")
    frame, rng = (image.shape[1], image.shape[0]), generator(seed)
    draw = _released if variant == "ogor-released" else functools.partial(_algorithm_1, variant=variant, ratios=ratios)
    cutout, delta, size, corner = draw(library, frame, rng)
    pasted, covered = paste_cutout(image, cutout, *corner, *size)
    box: Box = (max(0, corner[0]), max(0, corner[1]), min(frame[0], corner[0] + size[0]),
                min(frame[1], corner[1] + size[1]))
    return Occlusion(pasted, visible_mask(person, covered, OBJECT), "ogor", cutout.kind, cutout.name, box,
                     delta, float(covered.mean()), seed)


Placed = tuple[Cutout, float, tuple[int, int], tuple[int, int]]  # occluder, area ratio, (w, h), (left, top)


def _algorithm_1(library: Sequence[Cutout], frame: tuple[int, int], rng: np.random.Generator, variant: str,
                 ratios: tuple[float, float]) -> Placed:
    for _ in range(TRIES):
        cutout = library[rng.integers(len(library))]
        delta = float(rng.uniform(*ratios))
        height, width = cutout.pixels.shape[:2]
        size = occluder_size(delta * frame[0] * frame[1], height / width)
        corner = place(cutout.placement, variant, size, frame, rng)
        if corner is not None:
            return cutout, delta, size, corner
    raise ReanchorError(
        f"occlude.library: none of {len(library)} cut-outs fitted a {frame[0]}x{frame[1]} image "
        f"at area ratios {ratios[0]} to {ratios[1]} in {TRIES} tries; lower occlude.ratio_low or add "
        "cut-outs nearer to the image's shape")


def _released(library: Sequence[Cutout], frame: tuple[int, int], rng: np.random.Generator) -> Placed:
    cutout = draw_released(library, rng)
    delta, (height, width) = RELEASED[cutout.kind][0], cutout.pixels.shape[:2]
    size = occluder_size(delta * frame[0] * frame[1], height / width)
    return cutout, delta, size, place_released(cutout.kind, size, frame)
