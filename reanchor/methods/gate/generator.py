"""Training images occluded as they are drawn, with what covers each pixel.

Shapes: B images, H rows, W columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator

from reanchor.config.sections.data import Occlude
from reanchor.formats.images import ImageStore
from reanchor.formats.manifest import Manifest
from reanchor.formats.occlusion import BACKGROUND, STRANGER, Occlusion, visible_mask
from reanchor.formats.suites import require_occluders
from reanchor.methods.gate.settings import Gate
from reanchor.occlusion import masking, ogor, people
from reanchor.occlusion.draws import generator as seeded
from reanchor.occlusion.library import Cutout, load_library, parted
from reanchor.training.images import TrainingImages

KINDS = ("masking", "ogor", "people")


class OcclusionGenerator:
    """Draws occlusions of the rows of one split: masks, objects (OGor) and pasted people.

    Args:
        config: how often each kind, and how many people stand behind.
        occlude: the range of covered area, OGor's variant.
        library: cut-outs.
        manifest, store: the prepared dataset.
        split: whose people may be pasted.
    """

    def __init__(self, config: Gate, occlude: Occlude, library: Sequence[Cutout], manifest: Manifest,
                 store: ImageStore, split: str):
        self.config, self.occlude, self.library = config, occlude, library
        self.manifest, self.store = manifest, store
        self.crowd = people.Crowd(store.images, store.masks, manifest.rows(split), manifest.image_id, manifest.pid,
                                  manifest.camid)
        shares = np.array([getattr(config, kind) for kind in KINDS])
        self.shares = shares / shares.sum()

    @classmethod
    def open(cls, config: Gate, occlude: Occlude, prepared: Path, occluded: Path, split: str) -> "OcclusionGenerator":
        """From the folders that the stages `prepare` and `occlude` made.

        Raises:
            ReanchorError: a folder is missing, the library is unusable, or the sets show other occluders.
        """
        require_occluders(occluded, occlude)
        library = occluded / "library" if occlude.library == "drawn" else Path(occlude.library)
        seen, _ = parted(load_library(library), occlude.unseen_classes)
        return cls(config, occlude, seen, Manifest.read(prepared / "manifest.parquet"),
                   ImageStore.open(prepared / "images.arrow"), split)

    def batch(self, rows: np.ndarray, chance: float, generator: Generator) -> tuple[np.ndarray, np.ndarray]:
        """Images [B, H, W, 3] and labels of their pixels [B, H, W], uint8; each is occluded with this chance.

        The labels are those of `reanchor.occlusion`: without person masks every uncovered pixel is UNKNOWN.
        """
        seeds = torch.randint(2**62, (len(rows),), generator=generator).tolist()
        drawn = [self.draw(int(row), chance, seed) for row, seed in zip(rows, seeds, strict=True)]
        images, masks = zip(*drawn, strict=True)
        return np.stack(images), np.stack(masks)

    def draw(self, row: int, chance: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """One row's image and labels; `seed` alone decides on the occlusion."""
        image, rng = self.store.images[row], seeded(seed)
        person = None if self.store.masks is None else self.store.masks[row]
        if rng.random() >= chance:
            return image, visible_mask(person, np.zeros(image.shape[:2], bool), BACKGROUND)
        kind = KINDS[rng.choice(len(KINDS), p=self.shares)]
        ratio = float(rng.uniform(self.occlude.ratio_low, self.occlude.ratio_high))
        behind = rng.random() < self.config.behind_share
        made = self._occlude(kind, row, image, person, ratio, int(rng.integers(2**62)))
        if kind == "people" and behind and person is not None:
            return put_behind(made, image, person)
        return made.image, made.mask

    def _occlude(self, kind: str, row: int, image: np.ndarray, person: np.ndarray | None, ratio: float,
                 seed: int) -> Occlusion:
        if kind == "masking":
            return masking.erase(image, person, ratio, seed)
        if kind == "ogor":
            return ogor.occlude(image, person, self.library, seed, variant=self.occlude.variant,
                                ratios=(self.occlude.ratio_low, self.occlude.ratio_high))
        manifest = self.manifest
        return people.paste_over(image, person, int(manifest.pid[row]), int(manifest.camid[row]), self.crowd, ratio,
                                 seed, people.Pasting(size=self.occlude.people_size))


def put_behind(occlusion: Occlusion, image: np.ndarray, person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pasted stranger behind the person asked for: image [H, W, 3] and labels [H, W].

    Args:
        occlusion: the stranger pasted over `image`.
        person: [H, W], non-zero on the person asked for.
    """
    whole = visible_mask(person, np.zeros(person.shape, bool), BACKGROUND)
    front = person > 0
    labels = np.where((occlusion.mask == STRANGER) & ~front, np.uint8(STRANGER), whole)
    return np.where(front[..., None], image, occlusion.image), labels


@dataclass(kw_only=True)
class GeneratedImages(TrainingImages):
    """Training images whose occluded copies are made when they are drawn."""

    stream: OcclusionGenerator

    def take(self, chosen: np.ndarray, occluded: float, generator: Generator) -> np.ndarray:
        """uint8 [B, H, W, 3]; an image is occluded with this chance."""
        return self.stream.batch(self.rows[chosen], occluded, generator)[0]
