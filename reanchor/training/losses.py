"""Loss terms of the four published systems; distances and softmaxes in fp32.

Shapes: B samples, C classes, D feature width, K anchors.
"""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def in_fp32(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Leave autocast, which would cast a product's operands down again, and lift float arguments to fp32."""
    @functools.wraps(loss)
    def lifted(*values: Tensor | float) -> Tensor:
        with torch.autocast(values[0].device.type, enabled=False):
            return loss(*(v.float() if isinstance(v, Tensor) and v.is_floating_point() else v for v in values))

    return lifted


@in_fp32
def supervised_contrastive(anchors: Tensor, others: Tensor, anchor_labels: Tensor,
                           other_labels: Tensor) -> Tensor:
    """Mean over rows of -(1/|P|) sum over positives of log softmax (CLIP-ReID eq. 4, both directions).

    Args:
        anchors: [A, D]; others: [B, D]; dot products are taken as they are (temperature 1).
    """
    log_p = F.log_softmax(anchors @ others.T, dim=1)
    positive = (anchor_labels[:, None] == other_labels[None]).float()
    return -((positive * log_p).sum(1) / positive.sum(1)).mean()


@in_fp32
def identity_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Label-smoothed cross entropy, q = (1-eps) onehot + eps/C (CLIP-ReID eq. 6 and 8)."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


@in_fp32
def image_to_text_cross_entropy(images: Tensor, texts: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """L_i2tce over all identities' text features [C, D], un-normalised products (CLIP-ReID eq. 8)."""
    return F.cross_entropy(images @ texts.T, labels, label_smoothing=smoothing)


@in_fp32
def text_to_average_cross_entropy(texts: Tensor, averages: Tensor, labels: Tensor) -> Tensor:
    """L_t2ice: each text [B, D] against all identities' mean image features [N, D] (CLIP-ReID eq. 10)."""
    return F.cross_entropy(texts @ averages.T, labels)


@in_fp32
def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """[A, D], [B, D] -> Euclidean distances [A, B], clamped at 1e-6 so that gradients stay finite."""
    squared = a.square().sum(1)[:, None] + b.square().sum(1)[None] - 2 * a @ b.T
    return squared.clamp(min=1e-12).sqrt()


@in_fp32
def batch_hard_triplet(features: Tensor, labels: Tensor, margin: float | None) -> Tensor:
    """Batch-hard triplet loss on un-normalised features [B, D] (CLIP-ReID eq. 7).

    The hardest positive may be the anchor itself, as in the authors' code. Without a margin it is soft:
    log(1 + exp(positive - negative)).
    """
    distance = euclidean(features, features)
    same = labels[:, None] == labels[None]
    positive = distance.masked_fill(~same, float("-inf")).amax(1)
    negative = distance.masked_fill(same, float("inf")).amin(1)
    gap = positive - negative
    return (F.softplus(gap) if margin is None else F.relu(gap + margin)).mean()


@in_fp32
def off_diagonal_cosine(rows: Tensor) -> Tensor:
    """Mean squared off-diagonal cosine between rows [K, D] (SAGA's diversity terms)."""
    unit = F.normalize(rows, dim=1)
    cosine = unit @ unit.T
    off = ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    return cosine[off].square().mean()


@in_fp32
def clip_contrastive(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """CLIP's symmetric InfoNCE on normalised features; the diagonal holds the pairs."""
    logits = scale * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
