"""One batch of pairs as the losses want it: views of the images, words of the sentences.

Legend: B pairs, L slots.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from reanchor.clip.model import ClipSpec
from reanchor.clip.tokenizer import tokenize
from reanchor.methods.tbps.settings import TbpsTerms
from reanchor.methods.tbps.views import as_float, pool_view, random_mirror, simclr_view, standardise
from reanchor.text.masked_words import mask_words
from reanchor.text.pairs import SentencePairs
from reanchor.text.words import delete_words
from reanchor.training.gradient_cache import Batch

VIEWS = {"none": lambda images, _: images, "flip": random_mirror, "pool": pool_view}  # by `TbpsTerms.augment`


@dataclass
class Draws:
    """Draws batches from the pairs; everything random comes from the generator that is passed."""

    pairs: SentencePairs
    spec: ClipSpec
    recipe: TbpsTerms
    occluded: float  # chance of an image's OGor copy
    back: list[str] | None = None  # [P] back translations, "" where there is none

    def batch(self, chosen: np.ndarray, generator: Generator, device: torch.device) -> Batch:
        """Views "image", "second" (MVS), "simclr_1", "simclr_2" (SS) [B, 3, H, W], "tokens" [B, L], and with MLM
        "masked" and "targets" [B, L], on `device`."""
        recipe = self.recipe
        texts = self.texts(chosen, generator)
        images = as_float(torch.from_numpy(self.pairs.take(chosen, self.occluded, generator)))
        if recipe.mixgen:
            images, texts = mix_pairs(images, texts, recipe.mixgen)
        batch = {name: standardise(view, self.spec.mean, self.spec.std)
                 for name, view in self._views(images, generator).items()}
        batch["tokens"] = tokenize(self.pairs.tokenizer, texts, self.pairs.context)
        if recipe.mlm:
            batch["masked"], batch["targets"] = mask_words(batch["tokens"], self.pairs.tokenizer, generator)
        return {name: value.to(device) for name, value in batch.items()}

    def texts(self, chosen: np.ndarray, generator: Generator) -> list[str]:
        """The sentences, some back-translated, then some words deleted."""
        recipe, texts = self.recipe, [self.pairs.texts[pair] for pair in chosen]
        if recipe.back_translation:
            draws = torch.rand(len(chosen), generator=generator)
            texts = [(self.back[pair] or text) if draw < recipe.back_translation else text
                     for pair, text, draw in zip(chosen, texts, draws.tolist(), strict=True)]
        if recipe.deletion:
            rng = random.Random(int(torch.randint(2**62, (), generator=generator)))
            texts = [delete_words(text, recipe.deletion, rng) for text in texts]
        return texts

    def _views(self, images: Tensor, generator: Generator) -> Batch:
        augment = VIEWS[self.recipe.augment]
        views = {"image": augment(images, generator)}
        if self.recipe.multi_view:
            views["second"] = augment(images, generator)
        if self.recipe.ss:
            views |= {name: simclr_view(images, generator) for name in ("simclr_1", "simclr_2")}
        return views


def mix_pairs(images: Tensor, texts: list[str], share: float) -> tuple[Tensor, list[str]]:
    """MixGen (Hao et al., WACV 2023 workshops): the first `share` of a batch become the mean of two images and both
    sentences, one after the other; the partner is the pair as many places on, which stays as it is.

    Images [B, 3, H, W] are not changed in place.
    """
    count = int(share * len(texts))
    images = images.clone()
    images[:count] = (images[:count] + images[count:2 * count]) / 2
    mixed = [f"{text} {other}" for text, other in zip(texts[:count], texts[count:2 * count], strict=True)]
    return images, mixed + texts[count:]
