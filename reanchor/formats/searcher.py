"""What judging needs of a text-based method: sentences and images in, similarities out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from reanchor.formats.preprocessing import Preprocessing

# What one pass over N items yields, by name; every value is [N, ...]. A method that selects tokens gives
# "patch_index" [N, kept] (0-based, row by row, [CLS] not counted) with images and "word_index" [N, kept]
# (0-based behind [SOS]) with sentences.
Encoded = dict[str, Tensor]


class Tokens(Protocol):
    """A tokenizer, as far as sentences are measured by it."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text's tokens, without [SOS] and [EOS]."""
        ...


class Searcher:
    """A text-based method at test time. Encoding is per item: a gallery is encoded once for all sentences."""

    name: str
    grid: tuple[int, int] | None = None  # rows and columns of patch tokens
    preprocessing: Preprocessing | None = None  # the images it reads; None: any
    tokenizer: Tokens | None = None  # None: it does not tell
    context: int | None = None  # token slots of its text tower

    def images(self, images: np.ndarray) -> Encoded:
        """Encode uint8 RGB images [B, H, W, 3]."""
        raise NotImplementedError

    def read(self, sentence: str) -> str:
        """A sentence as it is tokenised."""
        return sentence

    def sentences(self, sentences: Sequence[str]) -> Encoded:
        """Encode B sentences; those longer than the context lose their end."""
        raise NotImplementedError

    def similarity(self, sentences: Encoded, images: Encoded) -> Tensor:
        """fp32 [sentences, images]; higher is more alike. Callers pass blocks that memory can hold."""
        raise NotImplementedError


def cut_sentences(searcher: Searcher, texts: Sequence[str]) -> int:
    """How many sentences have more tokens than fit between [SOS] and [EOS]; 0 where the searcher tells no context."""
    if searcher.tokenizer is None or searcher.context is None:
        return 0
    return sum(len(searcher.tokenizer.encode(searcher.read(text))) > searcher.context - 2 for text in texts)
