"""Which part of the body each anchor looks at, on whole queries.

An anchor's attention is spread over patch tokens, a token's share evenly over the pixels of its patch
(`reanchor.retrieval.tokens`), and pixels are summed by body part.

Shapes: B images, H rows, W columns, K anchors, T patch tokens, P parts.
"""

from collections.abc import Callable

import numpy as np

from reanchor.formats.embedder import Embedder
from reanchor.retrieval.study import Study
from reanchor.retrieval.tokens import mask_shares

# Labels of the part masks of rendered people, in their order (`reanchor.streetfolk.PARTS`).
PARTS = ("background", "head", "torso", "arms", "legs", "feet", "bag")
SIXTHS = ("background", "1st sixth", "2nd sixth", "3rd sixth", "4th sixth", "5th sixth", "6th sixth")
MOST_QUERIES = 2000  # spread evenly over all


def anchor_parts(name: str, embedder: Embedder, study: Study, batch: int = 256) -> list[dict]:
    """Rows of anchor_parts.json: method, anchor (1-based), part, the mean over whole queries of the share of the
    anchor's attention on that part, its standard deviation over queries, and the part's mean share of the area.

    Empty for an embedder that is not `anchored`.
    """
    if not embedder.anchored:
        return []
    rows = study.query_rows
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_QUERIES)).astype(int)]
    names, label = body_parts(None if study.parts is None else study.parts[rows])
    found, areas = [], []
    for start in range(0, len(rows), batch):
        chosen = rows[start:start + batch]
        seen = study.labels[chosen]
        attention = embedder.anchor_attention(np.ascontiguousarray(study.images[chosen]), seen.camids, seen.viewids)
        masks = np.ones((len(chosen), *study.images.shape[1:3]), np.uint8) if study.parts is None else (
            study.parts[chosen])
        shares = mask_shares(label(masks), range(len(names)), embedder.grid, embedder.patch, embedder.stride)
        found.append(attention.astype(np.float64) @ shares)
        areas.append(shares.mean(1))
    found, areas = np.concatenate(found), np.concatenate(areas).mean(0)
    return [{"method": name, "anchor": k + 1, "part": part, "share": float(found[:, k, p].mean()),
             "deviation": float(found[:, k, p].std()), "area": float(areas[p])}
            for k in range(found.shape[1]) for p, part in enumerate(names)]


def body_parts(masks: np.ndarray | None) -> tuple[tuple[str, ...], Callable[[np.ndarray], np.ndarray]]:
    """Names of the parts, and how masks [B, H, W] become their labels.

    Part masks (labels 1 to 6) stay as they are. Masks that tell no parts, or none: horizontal sixths of the box around
    the person, or of the picture.
    """
    if masks is not None and 1 < masks.max() < len(PARTS):
        return PARTS, np.asarray
    return SIXTHS, lambda masks: np.stack([_sixths(mask > 0) for mask in masks])


def _sixths(person: np.ndarray) -> np.ndarray:
    """[H, W] bool -> labels 1 to 6 from the top of its box to the bottom, 0 outside."""
    rows = np.flatnonzero(person.any(1))
    if not len(rows):
        return np.zeros(person.shape, np.uint8)
    height = rows[-1] + 1 - rows[0]
    label = 1 + 6 * (np.arange(len(person)) - rows[0]) // height
    return np.where(person, np.clip(label, 1, 6)[:, None], 0).astype(np.uint8)
