"""TBPS-CLIP's loss terms ("An Empirical Study of CLIP for Text-based Person Search", AAAI 2024).

Every term leaves autocast: products, softmaxes and divergences are taken in fp32. Features need not be of
unit length where the docstring says "normalised here".
Shapes: B pairs, E joint width, C identities, V views.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from reanchor.text.losses import reversed_divergence, same_identity
from reanchor.training.losses import in_fp32

MAX_SCALE = 100.0


def clamped_scale(log_scale: Tensor) -> Tensor:
    """CLIP's temperature exp(log_scale), at most 100 in the forward pass only.

    The authors clamp the stored value, so the gradient is the unclamped exponential's: it still moves the
    parameter while the clamp holds.
    """
    scale = log_scale.exp()
    return scale + (scale.clamp(max=MAX_SCALE) - scale).detach()


def soft_targets(logits: Tensor, identity: Tensor, alpha: float) -> Tensor:
    """alpha of the model's own softmax over logits [B, B], without gradient, the rest `identity` [B, B]."""
    return alpha * logits.detach().softmax(1) + (1 - alpha) * identity


def alpha_at(epoch: int, step: int, steps: int, alpha: float) -> float:
    """The share of soft labels: linear from 0 within the first epoch, then `alpha` (the authors' code)."""
    return alpha * step / steps if epoch == 0 else alpha


@in_fp32
def normalised_itc(images: Tensor, texts: Tensor, labels: Tensor, scale: Tensor, alpha: float) -> Tensor:
    """N-ITC: cross entropy of scaled cosines against soft targets, the mean of both directions.

    Args:
        images, texts: features [B, E], normalised here.
        scale: the temperature's inverse.
        alpha: share of the model's own similarities in the target.
    """
    identity = same_identity(labels)
    logits = scale * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T
    directions = [F.cross_entropy(one, soft_targets(one, identity, alpha)) for one in (logits, logits.T)]
    return sum(directions) / 2


@in_fp32
def reversed_itc(images: Tensor, texts: Tensor, labels: Tensor, scale: Tensor, eps: float = 1e-2) -> Tensor:
    """R-ITC: KL(predicted || identity + eps), the mean of both directions; the target is not normalised again.

    Features [B, E], normalised here.
    """
    logits = scale * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T
    return reversed_divergence(logits, same_identity(labels), eps) / 2


@in_fp32
def cyclic_itc(images: Tensor, texts: Tensor, in_modal: float = 0.25, cross_modal: float = 0.25) -> Tensor:
    """C-ITC: mean squared difference of the two in-modal cosine matrices, and of the cross-modal one and its
    transpose (CyCLIP's two terms), without the temperature. Features [B, E], normalised here."""
    images, texts = F.normalize(images, dim=1), F.normalize(texts, dim=1)
    cross = images @ texts.T
    within = (images @ images.T - texts @ texts.T).square().mean()
    return in_modal * within + cross_modal * (cross - cross.T).square().mean()


@in_fp32
def simclr(first: Tensor, second: Tensor, temperature: float = 0.1) -> Tensor:
    """NT-Xent over the 2B projections of two views [B, E], normalised here (Chen et al., SimCLR, ICML 2020, eq. 1)."""
    both = F.normalize(torch.cat([first, second]), dim=1)
    logits = both @ both.T / temperature
    logits = logits.masked_fill(torch.eye(len(both), dtype=torch.bool, device=both.device), float("-inf"))
    partner = torch.arange(len(both), device=both.device).roll(len(first))
    return F.cross_entropy(logits, partner)
