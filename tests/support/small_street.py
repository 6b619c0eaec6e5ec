"""Twelve drawn-by-chance images, pixels by hand and a small CLIP, for tests of CLIP-ReID's stages."""

from dataclasses import replace

import numpy as np
import torch
from golden_files import tiny_clip
from torch import Generator, Tensor

from reanchor.clip.model import Clip, ClipSpec
from reanchor.methods.clip_reid.prompts import PromptLearner
from reanchor.methods.clip_reid.settings import FinetuneRecipe, LossWeights
from reanchor.training.images import TrainingImages

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.25, 0.4)
UNCHANGED = FinetuneRecipe(flip=0.0, pad=0, erase=0.0)
NO_TEXT = LossWeights(i2tce=0.0)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (*shape, 3), dtype=np.uint8)


def by_hand(images: np.ndarray, mean=MEAN, std=STD) -> Tensor:
    """Pixels [..., H, W, 3] as the encoder reads them, [..., 3, H, W]."""
    x = (images / 255 - np.array(mean)) / np.array(std)
    return torch.from_numpy(np.moveaxis(x, -1, -3).astype(np.float32))


def other_clip() -> Clip:
    """The small CLIP with pixel statistics that are not a half."""
    clip = tiny_clip()
    clip.spec = replace(clip.spec, mean=MEAN, std=STD)
    return clip


def street() -> TrainingImages:
    """Three people with four images each, six cameras, two views and two unknown ones; two images are not theirs."""
    rows = np.random.default_rng(1).permutation(14)[:12]
    return TrainingImages(noise(14, 64, 32), rows, np.arange(12) // 4, np.arange(12) * 5 % 6 + 1,
                          np.array([1, 2, 2, 1, 0, 1, 2, 2, 1, 2, 0, 1]))


def learner_of(identities: int) -> PromptLearner:
    clip = tiny_clip()
    learner = PromptLearner(identities, 4, "a photo of a", "person.", clip.text_encoder(), clip.spec.tokenizer())
    learner.initialise(seeded())
    return learner


def spec() -> ClipSpec:
    """Of the small CLIP with its own pixel statistics."""
    return other_clip().spec
