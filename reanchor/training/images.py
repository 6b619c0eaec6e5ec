"""Training images as the stages' losses want them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from reanchor.clip.model import ClipSpec
from reanchor.clip.resnet import CnnEncoder
from reanchor.clip.vision import ImageEncoder
from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore
from reanchor.formats.manifest import Manifest
from reanchor.formats.suites import open_set
from reanchor.training.augment import normalise, random_crop, random_erase, random_flip


class Augmentation(Protocol):
    """The settings of a recipe that `augment` reads."""

    flip: float  # chance of a mirrored image
    pad: int  # pixels of padding before the random crop
    erase: float  # chance of random erasing


@dataclass
class TrainingImages:
    """The training rows, in the order of `labels`; n rows of a store of N images."""

    images: np.ndarray  # uint8 [N, H, W, 3], possibly a memory map
    rows: np.ndarray  # int64 [n] rows of `images`
    labels: np.ndarray  # int64 [n] 0-based identities
    cameras: np.ndarray  # int64 [n] camids, 1-based
    views: np.ndarray  # int64 [n] viewids, 1-based; 0: unknown
    occluded: np.ndarray | None = None  # uint8 [M, H, W, 3]: OGor copies
    occluded_of: np.ndarray | None = None  # int64 [n]: index into `occluded`, -1 where there is none
    interpolation: str = ""  # of the dataset's test images
    kind: str = ""  # person or vehicle, where the dataset's card says it

    @classmethod
    def open(cls, prepared: Path, occluded: Path | None = None) -> "TrainingImages":
        """Read the split `train`, and its OGor copies when `occluded` is given.

        Raises:
            ReanchorError: when there are fewer than two training identities, or the copies have changed.
        """
        manifest, store = Manifest.read(prepared / "manifest.parquet"), ImageStore.open(prepared / "images.arrow")
        rows = manifest.rows("train")
        if not len(rows):
            raise ReanchorError(f"{prepared}: {manifest.metadata.get('card', 'the dataset')} has no training split, so "
                                "nothing can be trained on it; choose a method that trains nothing, or train on "
                                "another dataset")
        pids, labels = np.unique(manifest.pid[rows], return_inverse=True)
        if len(pids) < 2:
            raise ReanchorError(f"{prepared}: {len(pids)} training identities; at least 2 are needed: "
                                "check prepare.root, or lower prepare.validation_share")
        data = cls(store.images, rows, labels, manifest.camid[rows].astype(np.int64),
                   manifest.viewid[rows].astype(np.int64), interpolation=manifest.interpolation,
                   kind=manifest.metadata.get("kind", ""))
        if occluded is not None and (occluded / "train").is_dir():  # absent when occlude.train_share is 0
            copies = open_set(occluded, "train")
            place = {int(row): number for number, row in enumerate(copies.rows)}
            data.occluded = copies.images
            data.occluded_of = np.array([place.get(int(row), -1) for row in rows])
        return data

    @property
    def identities(self) -> int:
        """How many identities there are."""
        return int(self.labels.max()) + 1

    @property
    def camera_count(self) -> int:
        """The highest camera number."""
        return int(self.cameras.max())

    @property
    def view_count(self) -> int:
        """The highest view number."""
        return int(self.views.max())

    def take(self, chosen: np.ndarray, occluded: float, generator: Generator) -> np.ndarray:
        """uint8 [B, H, W, 3]; an image that has an occluded copy is replaced by it with this chance."""
        images = self.images[self.rows[chosen]]
        if self.occluded is None or not occluded:
            return images
        draw = torch.rand(len(chosen), generator=generator).numpy() < occluded
        copies = np.where(draw, self.occluded_of[chosen], -1)
        images[copies >= 0] = self.occluded[copies[copies >= 0]]
        return images


def augment(images: np.ndarray, config: Augmentation, spec: ClipSpec, generator: Generator) -> Tensor:
    """Flip, pad and crop, normalise, random erasing (CLIP-ReID's training transform), [B, 3, H, W]."""
    x = random_flip(torch.from_numpy(images), config.flip, generator)
    x = random_crop(x, config.pad, generator)
    return random_erase(normalise(x, spec.mean, spec.std), config.erase, generator)


@torch.inference_mode()
def plain_features(encoder: ImageEncoder | CnnEncoder, data: TrainingImages, spec: ClipSpec, device: str,
                   batch: int = 256) -> Tensor:
    """Projected feature of every training image without augmentation, [n, E]: stage 1's cache."""
    parts = []
    for start in range(0, len(data.rows), batch):
        images = torch.from_numpy(data.images[data.rows[start:start + batch]])
        parts.append(encoder(normalise(images, spec.mean, spec.std).to(device)).projected)
    return torch.cat(parts).float().clone()


def average_features(images: Tensor, labels: Tensor) -> Tensor:
    """Mean feature of every identity, [N, E], from features [n, E] (CLIP-ReID eq. 10's V)."""
    sums = images.new_zeros(int(labels.max()) + 1, images.shape[1]).index_add_(0, labels, images)
    return sums / labels.bincount().unsqueeze(1)
