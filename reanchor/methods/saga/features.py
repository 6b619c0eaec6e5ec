"""Test features out of SAGA's three parts: refined tokens, [CLS], its projection.

Shapes: B images, D_i width of a part, K text anchors, F feature width. All results have unit length; the numbers of the
authors' code are in `tests/golden/E_saga_fusion.npz`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def fuse(parts: list[Tensor], weights: list[float]) -> Tensor:
    """One feature whose dot product is the weighted mean of the parts' cosine similarities.

    Args:
        parts: [B, D_i] each; weights: one per part, not all zero.
    Returns: [B, sum D_i] of unit length.
    """
    total = sum(weights)
    return torch.cat([(weight / total) ** 0.5 * F.normalize(part.float(), dim=1)
                      for part, weight in zip(parts, weights, strict=True)], dim=1)


def concat(parts: list[Tensor]) -> Tensor:
    """Side by side as they are, then normalised: each counts by its squared norm; [B, sum D_i]."""
    return F.normalize(torch.cat([part.float() for part in parts], dim=1), dim=1)


def orthogonal(refined: Tensor, cls: Tensor, beta: float = 0.3) -> Tensor:
    """normalise(r + beta (c - (c.r) r)) of unit r and c: what [CLS] has beyond the refined feature; [B, D]."""
    r, c = F.normalize(refined.float(), dim=1), F.normalize(cls.float(), dim=1)
    return F.normalize(r + beta * (c - (c * r).sum(1, keepdim=True) * r), dim=1)


def side_by_side(anchor_features: Tensor, mass: Tensor, top: int = 0) -> Tensor:
    """Unit anchor features [B, K, F] side by side, [B, K F]; with `top`, the others of each image are zeroed.

    The `top` anchors with the most attention mass [B, K] stay, so only anchors that both images
    show add to their dot product.
    """
    if top:
        kept = torch.zeros_like(mass).scatter_(1, mass.topk(min(top, mass.shape[1]), dim=1).indices, 1.0)
        anchor_features = anchor_features * kept.unsqueeze(-1)
    return F.normalize(anchor_features.float().flatten(1), dim=1)
