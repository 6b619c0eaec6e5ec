"""All pictures of a set through an embedder, batch by batch."""

import numpy as np
from tqdm import tqdm

from reanchor.formats.embedder import Embedder, Embedding


def embed_rows(embedder: Embedder, images: np.ndarray, rows: np.ndarray, camids: np.ndarray,
               batch: int, label: str = "", viewids: np.ndarray | None = None) -> Embedding:
    """Embed `images[rows]` batch by batch; `camids` and `viewids` [len(rows)] belong to the chosen rows.

    `images` may be a memory map: no more than `batch` pictures are read at a time.
    """
    features, weights, variants = None, None, {}
    for start in tqdm(range(0, len(rows), batch), desc=label or embedder.name, leave=False, disable=None):
        part = slice(start, start + batch)
        views = None if viewids is None else viewids[part]
        embedding = embedder.embed(np.ascontiguousarray(images[rows[part]]), camids[part], views)
        features = _put(embedding.features, part, features, len(rows))
        if embedding.token_weights is not None:
            weights = _put(embedding.token_weights, part, weights, len(rows))
        for name, own in embedding.variants.items():
            variants[name] = _put(own, part, variants.get(name), len(rows))
    return Embedding(features, weights, variants)


def _put(values: np.ndarray, part: slice, whole: np.ndarray | None, count: int) -> np.ndarray:
    """Write a batch into its place: a gallery's features are never held twice."""
    whole = np.empty((count, values.shape[1]), np.float32) if whole is None else whole
    whole[part] = values
    return whole
