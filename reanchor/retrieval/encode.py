"""Encoding, batch by batch: a gallery once for all queries, an occluded one by what was replaced."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from tqdm import tqdm

from reanchor.formats.embedder import Embedder
from reanchor.formats.labels import Labels
from reanchor.formats.searcher import Encoded, Searcher

FEATURE, TOKEN_WEIGHTS = "feature", "token_weights"  # of an embedder; its variants are "feature_VARIANT"


def encode_pictures(embedder: Embedder, images: np.ndarray, index: np.ndarray, labels: Labels, batch: int, label: str,
                    weights: bool = True) -> Encoded:
    """`images[index]` through an embedder: "feature" [N, D], its variants and, where asked for, "token_weights" [N, T].

    Of the labels [N] only cameras and views are read. At most `batch` of a memory map are read at a time.
    """
    def encode(part: slice) -> Encoded:
        seen = labels[part]
        found = embedder.embed(np.ascontiguousarray(images[index[part]]), seen.camids, seen.viewids)
        values = found.rows(FEATURE)
        if weights and found.token_weights is not None:
            values[TOKEN_WEIGHTS] = found.token_weights
        return {name: torch.from_numpy(value) for name, value in values.items()}

    return in_batches(encode, len(index), batch, label)


def encode_images(searcher: Searcher, images: np.ndarray, index: np.ndarray, batch: int, label: str) -> Encoded:
    """`images[index]` through a searcher, every value [N, ...]; at most `batch` of a memory map are read at a time."""
    return in_batches(lambda part: searcher.images(np.ascontiguousarray(images[index[part]])), len(index), batch, label)


def encode_sentences(searcher: Searcher, texts: Sequence[str], batch: int, label: str) -> Encoded:
    """All sentences, every value [S, ...]."""
    return in_batches(lambda part: searcher.sentences(texts[part]), len(texts), batch, label)


def in_batches(encode: Callable[[slice], Encoded], count: int, batch: int, label: str) -> Encoded:
    """`encode` of all `count` items; a batch is written into its place, so that nothing is ever held twice."""
    whole: Encoded = {}
    for start in tqdm(range(0, count, batch), desc=label, leave=False, disable=None):
        part = slice(start, min(start + batch, count))
        with torch.no_grad():
            encoded = encode(part)
        for name, values in encoded.items():
            if name not in whole:
                whole[name] = values.new_empty((count, *values.shape[1:]))
            whole[name][part] = values
    return whole


def exchange(gallery: Encoded, places: np.ndarray, replaced: Encoded) -> None:
    """Swap the items at `places` of a gallery with `replaced`, in place; a second call undoes it."""
    for name, values in replaced.items():
        index = torch.as_tensor(places, device=values.device)
        kept = gallery[name][index]
        gallery[name][index] = values
        values.copy_(kept)


def part_of(encoded: Encoded, rows: slice | np.ndarray) -> Encoded:
    """Some items of an encoded side."""
    return {name: values[rows if isinstance(rows, slice) else torch.as_tensor(rows, device=values.device)]
            for name, values in encoded.items()}


def size_of(encoded: Encoded) -> int:
    """Bytes."""
    return sum(values.numel() * values.element_size() for values in encoded.values())


def tokens_of(encoded: Encoded) -> int:
    """How many token features each item has, 0 where it is one feature only."""
    return max((values.shape[1] for values in encoded.values() if values.ndim == 3 and values.is_floating_point()),
               default=0)
