"""One batch of pairs as IRRA's losses want it.

Legend: B pairs, L slots, H rows, W columns.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from reanchor.clip.model import ClipSpec
from reanchor.methods.irra.settings import Irra
from reanchor.text.masked_words import mask_words
from reanchor.text.pairs import SentencePairs
from reanchor.training.augment import normalise, random_crop, random_erase, random_flip

ERASED_AREA, ERASED_ASPECT = (0.02, 0.4), (0.3, 3.3)


@dataclass
class Draws:
    """Draws batches from the pairs; everything random comes from the generator that is passed."""

    pairs: SentencePairs
    spec: ClipSpec
    config: Irra

    def batch(self, chosen: np.ndarray, generator: Generator, device: torch.device) -> dict[str, Tensor]:
        """"image" [B, 3, H, W], "tokens" [B, L], "labels" [B], and with MLM "masked" and "targets" [B, L]."""
        images = torch.from_numpy(self.pairs.take(chosen, self.config.occluded, generator))
        batch = {"image": augment(images, self.config, self.spec, generator),
                 "tokens": self.pairs.tokens[torch.from_numpy(chosen)],
                 "labels": torch.from_numpy(self.pairs.labels[chosen])}
        if self.config.mlm:
            batch["masked"], batch["targets"] = mask_words(batch["tokens"], self.pairs.tokenizer, generator)
        return {name: value.to(device) for name, value in batch.items()}


def augment(images: Tensor, config: Irra, spec: ClipSpec, generator: Generator) -> Tensor:
    """Flip, pad with black and crop, normalise, erase: uint8 [B, H, W, 3] -> float [B, 3, H, W]."""
    moved = random_crop(random_flip(images, config.flip, generator), config.pad, generator)
    return erase(normalise(moved, spec.mean, spec.std), config.erase, spec.mean, generator)


def erase(images: Tensor, probability: float, filling: tuple[float, ...], generator: Generator) -> Tensor:
    """Random erasing of normalised images [B, 3, H, W], which are not changed.

    The authors fill with the mean that images were normalised by, as it is: among normalised values it stands for a
    colour above that mean.
    """
    whole = random_erase(torch.ones_like(images), probability, generator, ERASED_AREA, ERASED_ASPECT, noise=False)
    return torch.where(whole > 0, images, images.new_tensor(filling).view(3, 1, 1))


def epoch_batches(pairs: int, batch: int, seed: int) -> Callable[[int], list[np.ndarray]]:
    """Of an epoch's number: all pairs in a seeded order, in batches of `batch`; the last one holds what is left."""
    def batches(epoch: int) -> list[np.ndarray]:
        order = np.random.default_rng([seed, epoch]).permutation(pairs)
        return [order[start:start + batch] for start in range(0, pairs, batch)]

    return batches
