"""Training images with the sentences that describe them.

Legend: n training images, P pairs of one image and one of its sentences, B pairs of a batch, L slots of the context.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from reanchor.clip.model import ClipSpec
from reanchor.clip.tokenizer import Tokenizer, tokenize
from reanchor.errors import ReanchorError, Skipped
from reanchor.formats.manifest import Manifest
from reanchor.formats.sentences import untrainable
from reanchor.text.words import clean_sentence
from reanchor.training.images import TrainingImages


def require_captions(prepared: Path) -> None:
    """Raise Skipped where the dataset's captions are too few to train a text-based method and to choose it."""
    if reason := untrainable(Manifest.read(prepared / "manifest.parquet")):
        raise Skipped(reason)


@dataclass
class SentencePairs:
    """Every (image, sentence) pair of the split `train`, in the order of rows and captions."""

    images: TrainingImages
    owner: np.ndarray  # int64 [P]: which of the n training images
    number: np.ndarray  # int64 [P]: which of its sentences
    texts: list[str]  # [P]
    tokens: Tensor  # int64 [P, L]
    long: np.ndarray  # bool [P]: sentences that lose their end
    tokenizer: Tokenizer

    @classmethod
    def open(cls, prepared: Path, occluded: Path | None, spec: ClipSpec, context: int = 0,
             clean: bool = False) -> "SentencePairs":
        """Read the training images (with their OGor copies where `occluded` is given) and their captions.

        Args:
            context: slots of a sentence, [SOS] and [EOS] included; 0: the backbone's.
            clean: drop most punctuation (`reanchor.text.words.clean_sentence`).

        Raises:
            ReanchorError: no training split, fewer than two identities, or no captions.
        """
        images = TrainingImages.open(prepared, occluded)
        captions = Manifest.read(prepared / "manifest.parquet").captions
        written = [(place, number, text) for place, row in enumerate(images.rows)
                   for number, text in enumerate(captions[row])]
        if not written:
            raise ReanchorError(f"{prepared}: none of {len(images.rows)} training images has a caption; text-based "
                                "search needs some: add captions.json to prepare.root, or choose a dataset with text")
        tokenizer, texts = spec.tokenizer(), [clean_sentence(text) if clean else text for _, _, text in written]
        context = context or spec.architecture["text_cfg"]["context_length"]
        long = np.array([len(tokenizer.encode(text)) > context - 2 for text in texts])
        if long.any():
            warnings.warn(f"{prepared}: {long.sum()} of {len(texts)} training sentences are longer than the context of "
                          f"{context} tokens and lose their end", stacklevel=2)
        owner, number = np.array([pair[:2] for pair in written], np.int64).T
        return cls(images, owner, number, texts, tokenize(tokenizer, texts, context), long, tokenizer)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def labels(self) -> np.ndarray:
        """0-based identities, int64 [P]."""
        return self.images.labels[self.owner]

    @property
    def cut(self) -> int:
        """How many sentences lose their end."""
        return int(self.long.sum())

    @property
    def context(self) -> int:
        """Slots of a sentence (L)."""
        return self.tokens.shape[1]

    def subset(self, chosen: np.ndarray) -> "SentencePairs":
        """Only the pairs `chosen`; identities keep their labels."""
        texts = [self.texts[pair] for pair in chosen]
        return replace(self, owner=self.owner[chosen], number=self.number[chosen], texts=texts,
                       tokens=self.tokens[torch.from_numpy(chosen)], long=self.long[chosen])

    def take(self, chosen: np.ndarray, occluded: float, generator: Generator) -> np.ndarray:
        """The images of pairs `chosen`, uint8 [B, H, W, 3]; see `TrainingImages.take`."""
        return self.images.take(self.owner[chosen], occluded, generator)


def pair_batches(pairs: int, batch: int, seed: int) -> Callable[[int], list[np.ndarray]]:
    """Of an epoch's number: all pairs in a seeded order, in batches of `batch`; the incomplete last one is dropped.

    Fewer pairs than `batch` make one batch.
    """
    def batches(epoch: int) -> list[np.ndarray]:
        order = np.random.default_rng([seed, epoch]).permutation(pairs)
        count = max(1, pairs // batch)
        return [order[start * batch:(start + 1) * batch] for start in range(count)]

    return batches
