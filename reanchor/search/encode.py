"""Encoding, batch by batch: a gallery once for all sentences, an occluded one by what was replaced."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from tqdm import tqdm

from reanchor.formats.searcher import Encoded, Searcher


def encode_images(searcher: Searcher, images: np.ndarray, rows: np.ndarray, batch: int, label: str) -> Encoded:
    """`images[rows]`, every value [len(rows), ...]; at most `batch` of a memory map are read at a time."""
    return _encode(lambda part: searcher.images(np.ascontiguousarray(images[rows[part]])), len(rows), batch, label)


def encode_sentences(searcher: Searcher, texts: Sequence[str], batch: int, label: str) -> Encoded:
    """All sentences, every value [S, ...]."""
    return _encode(lambda part: searcher.sentences(texts[part]), len(texts), batch, label)


def _encode(encode: Callable[[slice], Encoded], count: int, batch: int, label: str) -> Encoded:
    whole: Encoded = {}
    for start in tqdm(range(0, count, batch), desc=label, leave=False, disable=None):
        part = slice(start, min(start + batch, count))
        with torch.no_grad():
            encoded = encode(part)
        for name, values in encoded.items():
            if name not in whole:  # nothing is ever held twice
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
