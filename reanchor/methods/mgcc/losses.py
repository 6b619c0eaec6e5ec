"""MGCC's objective."""

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(logits: Tensor, reduction: str = "sum", same: Tensor | None = None) -> dict[str, Tensor]:
    """InfoNCE in both directions over similarities [B, B] of images and sentences (eq. 13 to 15).

    The diagonal holds the pairs; other pairs of one person count as negatives, as published.

    Args:
        reduction: "sum" of the directions (the paper) or their "mean" (the authors' code).
        same: bool [B, B]; where given, these pairs off the diagonal are left out of the negatives.

    Returns:
        "i2t", "t2i" and their "loss".
    """
    logits = logits.float()
    if same is not None:
        own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(same & ~own, float("-inf"))
    target = torch.arange(len(logits), device=logits.device)
    terms = {"i2t": F.cross_entropy(logits, target), "t2i": F.cross_entropy(logits.T, target)}
    total = terms["i2t"] + terms["t2i"]
    return {**terms, "loss": total if reduction == "sum" else total / 2}
