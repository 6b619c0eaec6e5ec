"""Cut-outs from street photographs by torchvision's Mask R-CNN (MGCC, section OGor: Mask R-CNN finds the occluder,
what lies outside its mask is erased).

The weights are a file of the user's, torchvision's `maskrcnn_resnet50_fpn` or its `_v2` trained on COCO; nothing is
downloaded.
"""

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torchvision.models import detection
from tqdm import tqdm

from reanchor.errors import ReanchorError
from reanchor.occlusion.build import SIZE, check_folders, shrunk, write_cutouts
from reanchor.occlusion.library import FORMATS, MAX_PIXELS, PICTURES, PLACEMENT, Cutout
from reanchor.weight_files.read import read_state

# COCO's category ids, as torchvision counts them, of the paper's classes; cards, kerb stones and posts COCO lacks.
CLASSES = {1: "pedestrian", 2: "bike", 3: "car", 4: "motorbike", 11: "firehydrant", 13: "roadsign", 15: "bench",
           27: "bag", 28: "umbrella", 31: "bag", 33: "suitcase", 38: "kite", 62: "chair"}
CATEGORIES = 91
LEAST_SIDE = 32  # pixels of a cut-out's shorter side
INSIDE = 0.5  # mask probability of a pixel of the object


@dataclass(frozen=True)
class Harvest:
    """What is taken: detections of at least `score`, at most `per_class` of each class, the surest first."""

    score: float = 0.8
    per_class: int = 20

    def __post_init__(self):
        if not 0 < self.score <= 1:
            raise ReanchorError(f"--score: got {self.score}; allowed: above 0, at most 1; a usual value is 0.8")
        if self.per_class < 1:
            raise ReanchorError(f"--per-class: got {self.per_class}; allowed: at least 1; raise it")


def load_detector(weights: Path, side: int = 800) -> nn.Module:
    """torchvision's Mask R-CNN with weights from a file, in evaluation mode.

    Args:
        side: pixels that a photograph's shorter side is resized to before detection.

    Raises:
        ReanchorError: no readable weights, or of another network.
    """
    allowed = "torchvision's maskrcnn_resnet50_fpn or maskrcnn_resnet50_fpn_v2 trained on COCO"
    state = read_state(Path(weights), "--detector", allowed)
    second = any(name.startswith("rpn.head.conv.1.") for name in state)
    build = detection.maskrcnn_resnet50_fpn_v2 if second else detection.maskrcnn_resnet50_fpn
    network = build(weights=None, weights_backbone=None, num_classes=CATEGORIES, min_size=side)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        problem = str(error).strip().splitlines()[1].strip()[:160]
        raise ReanchorError(f"--detector: {weights} has the weights of another network ({problem}); allowed are "
                            f"{allowed}") from error
    return network.eval()


def harvest_library(photos: Path, out: Path, detector: nn.Module, wanted: Harvest, size: int = SIZE) -> list[dict]:
    """Detect objects in every photograph of `photos` and write them into the library `out`, whole or not at all.

    Objects that touch the photograph's border, which cuts them off, and small ones are left out. A photograph that
    cannot be read is skipped with a warning.

    Returns:
        What index.json holds, see `build_library`.

    Raises:
        ReanchorError: no photograph, nothing found in any, or an `out` whose files would be lost.
    """
    photos = Path(photos)
    check_folders(photos, out, size)
    paths = photographs(photos)
    found: dict[str, list[tuple[float, Cutout]]] = {}
    for path in tqdm(paths, desc="harvest", unit="photograph", disable=None):
        for score, cutout in _objects(path, detector, wanted.score):
            own = found.setdefault(cutout.kind, [])
            # Now, not when they are written: hundreds of full-size crops do not fit into memory.
            small = np.array(shrunk(Image.fromarray(cutout.pixels), size))
            own.append((score, dataclasses.replace(cutout, pixels=small)))
            own.sort(key=lambda one: (-one[0], one[1].name))  # by name: whatever order files come in
            del own[wanted.per_class:]
    if not found:
        raise ReanchorError(f"--detector: no object of the paper's classes in {len(paths)} photographs of "
                            f"{str(photos)!r} with a score of {wanted.score} or more; give other photographs or lower "
                            "--score")
    return write_cutouts(Path(out).resolve(), [cutout for kind in sorted(found) for _, cutout in found[kind]], size)


def photographs(folder: Path) -> list[Path]:
    """The pictures of a folder, by name.

    Raises:
        ReanchorError: no such folder, or none in it.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES) if folder.is_dir() else []
    if not paths:
        raise ReanchorError(f"source: no photograph in {str(folder)!r}; allowed: a folder of {', '.join(PICTURES)} "
                            "files; correct the path")
    return paths


def _objects(path: Path, detector: nn.Module, least: float) -> Iterator[tuple[float, Cutout]]:
    pixels = _photograph(path)
    if pixels is None:
        return
    with torch.inference_mode():
        (found,) = detector([torch.from_numpy(pixels).permute(2, 0, 1).float() / 255])
    yield from cut_objects(path.name, pixels, found, least)


def _photograph(path: Path) -> np.ndarray | None:
    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"{picture.width}x{picture.height} pixels; allowed: {MAX_PIXELS} in all")
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        warnings.warn(f"{path}: skipped, not readable as a photograph ({error})", stacklevel=2)
        return None


def cut_objects(name: str, pixels: np.ndarray, found: dict[str, Tensor], least: float
                ) -> Iterator[tuple[float, Cutout]]:
    """(score, cut-out) of each usable detection, named NAME#place among the detections.

    Args:
        pixels: the photograph, uint8 [H, W, 3].
        found: what torchvision's Mask R-CNN says: labels [n], scores [n], masks [n, 1, H, W] in 0 to 1.
    """
    columns: Sequence = (found["labels"].tolist(), found["scores"].tolist(), found["masks"][:, 0].cpu().numpy())
    for place, (label, score, mask) in enumerate(zip(*columns, strict=True)):
        inside = mask >= INSIDE
        if label not in CLASSES or score < least or not inside.any():
            continue
        rows, spots = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        (top, bottom), (left, right) = (rows[0], rows[-1] + 1), (spots[0], spots[-1] + 1)
        cut_off = not (top and left and bottom < len(pixels) and right < pixels.shape[1])
        if cut_off or min(bottom - top, right - left) < LEAST_SIDE:
            continue
        box = slice(top, bottom), slice(left, right)
        alpha = np.where(inside[box], 255, 0).astype(np.uint8)
        kind = CLASSES[label]
        yield score, Cutout(f"{name}#{place}", kind, PLACEMENT[kind], np.dstack([pixels[box], alpha]))
