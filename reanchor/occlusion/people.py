"""Distractors: another person pasted in front or behind, at a given share of the image.

The stranger keeps the height and vertical place of its own photograph and walks in from a random
side until it covers the share asked for. Where it stands just beside the middle and that is not
enough, it comes nearer: it grows, its head stays in view and its legs leave the frame. The other
side of the original person stays visible as long as the share permits. A stranger behind is seen
only where the original person is not, and that is the share that counts.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from reanchor.errors import ReanchorError
from reanchor.formats.occlusion import (
    RATIO_TOLERANCE,
    STRANGER,
    Box,
    Occlusion,
    bounding_box,
    check_ratio,
    visible_mask,
)
from reanchor.occlusion.draws import generator

REACH = (0.18, 0.34)  # where a stranger stops, as a share of the width: off the middle
TRIES = 8  # strangers looked at before the nearest share is taken
NEAREST = 6.0  # largest magnification
PRECISION = 0.002  # of the bisection, in the image's area
STEPS = 12  # of the bisection at most
FEATHER = 0.02  # blur of a feathered edge, its deviation as a share of the height


@dataclass(frozen=True)
class Stranger:
    """A person cut out of its photograph: `pixels` [H, W, 4] uint8 RGBA, opaque inside `box` only."""

    image_id: str
    pixels: np.ndarray
    box: Box


@dataclass(frozen=True)
class Walk:
    """How a stranger enters: left or right side, how far, and how tall it is beside its photograph."""

    right: bool
    reach: float  # where it stops, as a share of the width from that side
    scale: float


def silhouette(height: int, width: int) -> np.ndarray:
    """An upright person's outline, bool [height, width], for datasets without person masks."""
    y, x = np.mgrid[:height, :width]
    y, x = (y + 0.5) / height, (x + 0.5) / width
    parts = ((0.12, 0.10, 0.15), (0.38, 0.24, 0.30), (0.72, 0.27, 0.22))  # centre y, half height and width
    ellipses = [((y - centre) / tall) ** 2 + ((x - 0.5) / wide) ** 2 <= 1 for centre, tall, wide in parts]
    return np.any(ellipses, 0)


def cut_out(image_id: str, image: np.ndarray, person: np.ndarray | None) -> Stranger | None:
    """The person of image [H, W, 3] by its mask [H, W] (None: by a silhouette); None if nobody is there."""
    shape = silhouette(*image.shape[:2]) if person is None else person > 0
    if not shape.any():
        return None
    alpha = np.where(shape, 255, 0).astype(np.uint8)
    return Stranger(image_id, np.dstack([image, alpha]), bounding_box(shape))


def transform(stranger: Stranger, walk: Walk, progress: float) -> tuple[float, ...]:
    """The affine map, frame to photograph, of a stranger after `progress` in [0, 1].

    The first half of the progress is the way in, the second the growth from `walk.scale` to NEAREST
    times that.
    """
    height, width = stranger.pixels.shape[:2]
    x0, y0, x1, y1 = stranger.box
    scale = walk.scale * NEAREST ** max(0.0, 2 * progress - 1)
    half, tall = scale * (x1 - x0) / 2, scale * (y1 - y0)
    centre = -half + min(1.0, 2 * progress) * (walk.reach * width + half)
    if walk.right:
        centre = width - centre
    depth = y0 / max(1, height - (y1 - y0))  # how low it stands in the free height
    top = max(0.0, height - tall) * depth
    return 1 / scale, 0.0, (x0 + x1) / 2 - centre / scale, 0.0, 1 / scale, y0 - top / scale


@dataclass(frozen=True)
class Pasting:
    """How strangers are pasted: the side they come from, the layer, the edge of the cut-out, their size."""

    come_from: str = "random"  # or left, right
    layer: str = "front"  # or behind the target
    edge: str = "soft"  # half-mixed pixels; hard: all or nothing, jagged; feathered: fading inward
    size: float = 1.0  # beside the height in their own photograph


@dataclass(frozen=True)
class Frame:
    """Where a stranger counts: not where `hidden` by the target; `taken` pixels are covered anyway. bool [H, W]."""

    hidden: np.ndarray | None = None
    taken: np.ndarray | None = None

    def covered(self, alpha: np.ndarray) -> np.ndarray:
        """Where a pasted alpha [H, W] uint8 is seen, bool [H, W]."""
        covered = alpha >= 128
        return covered if self.hidden is None else covered & ~self.hidden

    def share(self, alpha: np.ndarray) -> float:
        """Of the image: what the stranger covers and what is covered anyway."""
        covered = self.covered(alpha)
        return float((covered if self.taken is None else covered | self.taken).mean())

    @functools.cached_property
    def _free(self) -> tuple[Image.Image | None, int]:
        """Where a stranger adds to the share (None: everywhere), and how many pixels are covered without it."""
        if self.hidden is None and self.taken is None:
            return None, 0
        never = np.zeros((), bool)
        blocked = (never if self.hidden is None else self.hidden) | (never if self.taken is None else self.taken)
        return Image.fromarray(~blocked), 0 if self.taken is None else np.count_nonzero(self.taken)

    def share_of(self, alpha: Image.Image) -> float:
        """`share` of an alpha that is still Pillow's."""
        free, taken = self._free
        return (sum(alpha.histogram(free)[128:]) + taken) / (alpha.width * alpha.height)


def find_progress(stranger: Stranger, walk: Walk, ratio: float, frame: Frame, edge: str = "soft") -> float:
    """The progress at which about `ratio` of the frame is covered, by bisection.

    Coverage by the stranger is 0 at progress 0; it rises on the way, but for the gaps between limbs.
    """
    alpha = Image.fromarray(stranger.pixels[..., 3])
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        moved = _move(alpha, transform(stranger, walk, middle))
        faded = Image.fromarray(_edged(np.asarray(moved), edge)) if edge == "feathered" else moved
        excess = frame.share_of(faded) - ratio
        if abs(excess) <= PRECISION:
            return middle
        low, high = (middle, high) if excess < 0 else (low, middle)
    return (low + high) / 2


def paste_person(image: np.ndarray, stranger: Stranger, walk: Walk, progress: float, frame: Frame,
                 edge: str = "soft") -> tuple[np.ndarray, np.ndarray]:
    """Paste into image [H, W, 3] uint8; returns the new image and the pasted alpha [H, W] uint8."""
    moved = np.asarray(_move(Image.fromarray(stranger.pixels), transform(stranger, walk, progress)))
    alpha = _edged(moved[..., 3], edge)
    if frame.hidden is not None:
        alpha = np.where(frame.hidden, np.uint8(0), alpha)
    canvas = Image.fromarray(image)
    canvas.paste(Image.fromarray(moved[..., :3]), (0, 0), Image.fromarray(alpha))
    return np.asarray(canvas), alpha


def _edged(alpha: np.ndarray, edge: str) -> np.ndarray:
    """The alpha [H, W] of a moved stranger with another edge. What fades stays inside the outline, since
    beyond it lies the stranger's own background."""
    if edge == "hard":
        return np.where(alpha >= 128, np.uint8(255), np.uint8(0))
    if edge == "feathered":
        blurred = Image.fromarray(alpha).filter(ImageFilter.GaussianBlur(FEATHER * len(alpha)))
        return np.clip(2 * np.asarray(blurred, np.int16) - 255, 0, alpha).astype(np.uint8)
    return alpha


def _move(picture: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


class Crowd:
    """The strangers of one split: who may be pasted over whom.

    Args:
        images [N, H, W, 3] uint8 and masks [N, H, W] or None: the prepared store.
        rows: the store's rows to draw from; image_ids, pids [N], camids [N] are the manifest's columns.
    """

    def __init__(self, images, masks, rows: np.ndarray, image_ids, pids: np.ndarray, camids: np.ndarray):
        rows = [int(row) for row in rows if pids[row] > 0]
        # By name, so that the draw does not depend on the manifest's order.
        self.rows = np.array(sorted(rows, key=lambda row: image_ids[row]), np.int64)
        self.images, self.masks, self.image_ids = images, masks, image_ids
        self.pids, self.camids = pids[self.rows], camids[self.rows]

    def candidates(self, pid: int, camid: int) -> np.ndarray:
        """Rows of other people, under the same camera where there are any.

        Raises:
            ReanchorError: when nobody else is in the split.
        """
        other = self.pids != pid
        if not other.any():
            raise ReanchorError(f"occlude.people_ratios: pid {pid} is the only identity of its split, "
                                "but a second one is to be pasted over it; add identities or set "
                                "occlude.people_ratios to []")
        near = other & (self.camids == camid)
        return self.rows[near if near.any() else other]

    def stranger(self, row: int) -> Stranger | None:
        return cut_out(self.image_ids[row], self.images[row],
                       None if self.masks is None else self.masks[row])


def unknown_outline() -> ReanchorError:
    """What a place behind the target fails with where nothing tells its outline."""
    return ReanchorError("occlude.people_layers: 'behind' needs person masks, which data/prepared lacks; give "
                         "occlude.masks, or leave 'behind' out")


def paste_over(image: np.ndarray, person: np.ndarray | None, pid: int, camid: int, crowd: Crowd, ratio: float,
               seed: int, how: Pasting | None = None, taken: np.ndarray | None = None) -> Occlusion:
    """Paste a random other person into image [H, W, 3] so that `ratio` of the pixels is covered; 0: unchanged.

    person [H, W], non-zero on the target, or None when unknown. `taken` [H, W] bool are pixels that
    something else will cover and that count. Up to TRIES strangers are drawn until one comes within RATIO_TOLERANCE;
    else the nearest stays, and `area_ratio` says what it covers.

    Raises:
        ReanchorError: a ratio outside 0 to 0.9, nobody else to paste, or a place behind a person whose outline is
            unknown.
    """
    check_ratio("people ratio", ratio)
    how = how or Pasting()
    if how.layer == "behind" and person is None:
        raise unknown_outline()
    if ratio == 0:
        nothing = np.zeros(image.shape[:2], bool)
        return Occlusion(image, visible_mask(person, nothing, STRANGER), "people", "person", "", (0, 0, 0, 0), ratio,
                         0.0, seed)
    rng = generator(seed)
    right = bool(rng.integers(2))  # drawn in any case: all strangers of a seed walk alike
    walk = Walk(right if how.come_from == "random" else how.come_from == "right", float(rng.uniform(*REACH)),
                how.size * math.exp(rng.uniform(-0.1, 0.1)))
    rows = crowd.candidates(pid, camid)
    frame = Frame(person > 0 if how.layer == "behind" else None, taken)
    best = None
    for row in rows[rng.integers(len(rows), size=TRIES)]:
        stranger = crowd.stranger(int(row))
        if stranger is None:
            continue
        progress = find_progress(stranger, walk, ratio, frame, how.edge)
        pasted, alpha = paste_person(image, stranger, walk, progress, frame, how.edge)
        error = abs(frame.share(alpha) - ratio)
        if best is None or error < best[0]:
            best = error, stranger, pasted, alpha
        if error <= RATIO_TOLERANCE:
            break
    if best is None:
        raise ReanchorError(f"occlude.people_ratios: {TRIES} images beside pid {pid} have empty person "
                            "masks; check the dataset's masks or set occlude.people_ratios to []")
    _, stranger, pasted, alpha = best
    return Occlusion(pasted, visible_mask(person, frame.covered(alpha), STRANGER), "people", "person",
                     stranger.image_id, bounding_box(alpha > 0), ratio, frame.share(alpha), seed)
