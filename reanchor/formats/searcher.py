"""What judging needs of a text-based method: sentences and images in, similarities out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

# What one pass over N items yields, by name; every value is [N, ...]. A method that selects tokens gives
# "patch_index" [N, kept] (0-based, row by row, [CLS] not counted) with images and "word_index" [N, kept]
# (0-based behind [SOS]) with sentences.
Encoded = dict[str, Tensor]


class Searcher(Protocol):
    """A text-based method at test time. Encoding is per item: a gallery is encoded once for all sentences."""

    name: str
    grid: tuple[int, int] | None  # rows and columns of patch tokens

    def images(self, images: np.ndarray) -> Encoded:
        """Encode uint8 RGB images [B, H, W, 3]."""
        ...

    def sentences(self, sentences: Sequence[str]) -> Encoded:
        """Encode B sentences; those longer than the context lose their end."""
        ...

    def similarity(self, sentences: Encoded, images: Encoded) -> Tensor:
        """fp32 [sentences, images]; higher is more alike. Callers pass blocks that memory can hold."""
        ...


def cut_sentences(searcher: Searcher, texts: Sequence[str]) -> int:
    """How many sentences have more tokens than fit between [SOS] and [EOS]; 0 where the searcher tells no context.

    Optional attributes of a searcher: `tokenizer`, `context` (token slots of its text tower) and `read` (str -> str,
    the sentence as it is tokenised).
    """
    tokenizer, context = getattr(searcher, "tokenizer", None), getattr(searcher, "context", None)
    if tokenizer is None or context is None:
        return 0
    read = getattr(searcher, "read", str)
    return sum(len(tokenizer.encode(read(text))) > context - 2 for text in texts)
