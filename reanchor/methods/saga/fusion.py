"""Fusion weights, chosen on validation identities with equal score spreads.

A part whose cosines spread widely would outvote the others at equal weights, so each part's
weight is first divided by the standard deviation of its query-gallery cosines.
"""

import itertools

import torch.nn.functional as F
from torch import Tensor

from reanchor.methods.saga.features import fuse
from reanchor.retrieval.validation import Validation

Parts = list[Tensor]  # refined, [CLS], projection: [N, D_i] each


def spread(queries: Parts, gallery: Parts) -> list[float]:
    """Standard deviation of the query-gallery cosines of each part."""
    return [(F.normalize(q.float(), dim=1) @ F.normalize(g.float(), dim=1).T).std().item()
            for q, g in zip(queries, gallery, strict=True)]


def equal_spreads(weights: list[float], spreads: list[float]) -> tuple[float, float, float]:
    """Weights for parts whose cosines are scaled to equal spreads, as weights of the raw cosines; they sum to 1."""
    raw = [weight / spread for weight, spread in zip(weights, spreads, strict=True)]
    return tuple(weight / sum(raw) for weight in raw)


def choose_weights(validation: Validation, queries: dict[str, Parts], gallery: Parts, grid: list[float]
                   ) -> tuple[tuple[float, float, float], dict[str, float]]:
    """Try 1 : c : p for all c, p of `grid`; return raw weights and the figures of the best.

    Ties go to the earlier pair, so the simplest fusion wins.
    """
    spreads = spread(queries["whole"], gallery)
    best, best_figures = None, {"score": float("-inf")}
    for cls, projected in itertools.product(grid, grid):
        weights = equal_spreads([1.0, cls, projected], spreads)
        figures = validation.score_features(
            fuse(gallery, list(weights)).cpu().numpy(),
            {name: fuse(parts, list(weights)).cpu().numpy() for name, parts in queries.items()})
        if figures["score"] > best_figures["score"]:
            best, best_figures = weights, figures
    return best, best_figures
