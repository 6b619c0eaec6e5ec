"""Loss terms that contrast sentences and images; distances and softmaxes in fp32.

Features need not be of unit length where the docstring says "normalised here".
Shapes: B pairs, E joint width.
"""

import torch.nn.functional as F
from torch import Tensor

from reanchor.training.losses import in_fp32


def same_identity(labels: Tensor) -> Tensor:
    """Rows of equal identity, each row summing to 1: fp32 [B, B] of labels [B]."""
    same = (labels[:, None] == labels[None]).float()
    return same / same.sum(1, keepdim=True)


def reversed_divergence(logits: Tensor, identity: Tensor, eps: float) -> Tensor:
    """KL(p || identity + eps) of p = softmax(logits), mean over rows, summed over both directions; all [B, B]."""
    log_q = (identity + eps).log()
    return sum((one.softmax(1) * (one.log_softmax(1) - log_q)).sum(1).mean() for one in (logits, logits.T))


@in_fp32
def similarity_distribution_matching(images: Tensor, texts: Tensor, labels: Tensor, temperature: float = 0.02,
                                     eps: float = 1e-8) -> Tensor:
    """IRRA's SDM: KL(p || q + eps) of p = softmax(cosine / temperature) and q the identity's share, summed over
    both directions (Jiang and Ye, "Cross-Modal Implicit Relation Reasoning and Aligning", CVPR 2023, eq. 1 to 4).

    Features [B, E], normalised here.
    """
    logits = F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T / temperature
    return reversed_divergence(logits, same_identity(labels), eps)
