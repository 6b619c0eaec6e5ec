"""Losses of SAGA's stage 3 (the authors' code; the paper at hand has no equations).

Shapes: B images, K anchors, F feature width, C identities.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from reanchor.methods.saga.head import Aggregated, SagaHead
from reanchor.methods.saga.settings import Saga
from reanchor.training.losses import batch_hard_triplet, identity_cross_entropy, off_diagonal_cosine


def stage3_losses(out: Aggregated, labels: Tensor, head: SagaHead, config: Saga) -> dict[str, Tensor]:
    """Mean ID loss over classifiers + triplet + diversity of anchors and of classifiers + anchor triplet."""
    terms = {
        "id": torch.stack([identity_cross_entropy(score, labels, config.label_smoothing)
                           for score in out.scores]).mean(),
        "triplet": batch_hard_triplet(out.feature, labels, config.margin),
        "anchor_diversity": off_diagonal_cosine(out.anchors),
    }
    total = terms["id"] + terms["triplet"] + config.anchor_diversity * terms["anchor_diversity"]
    if len(head.classifiers) > 1:
        terms["classifier_diversity"] = off_diagonal_cosine(
            torch.stack([classifier.weight.flatten() for classifier in head.classifiers]))
        total = total + config.classifier_diversity * terms["classifier_diversity"]
    if config.anchor_triplet:
        terms["anchor_triplet"] = anchor_triplet(*head.anchor_features(out), labels, config.margin)
        total = total + config.anchor_triplet * terms["anchor_triplet"]
    return {**terms, "loss": total}


def anchor_triplet(features: Tensor, mass: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Batch-hard triplet on cosines of each anchor's own features, weighted by attention mass.

    Args:
        features: unit features [B, K, F]; mass: [B, K], of which each anchor's largest in the batch counts 1.
    Returns: the weighted mean over images and anchors. An identity with a single image has no
        positive: its loss is 0, its weight counts. No gradient flows through the weights.
    """
    unit_KBF = features.float().transpose(0, 1)
    cosine_KBB = unit_KBF @ unit_KBF.mT
    same_BB = labels[:, None] == labels[None]
    itself_BB = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive_KB = cosine_KBB.masked_fill(~same_BB | itself_BB, float("inf")).amin(2)
    negative_KB = cosine_KBB.masked_fill(same_BB, float("-inf")).amax(2)
    weight_KB = (mass / mass.amax(0).clamp(min=1e-6)).T.detach()
    return (weight_KB * F.relu(negative_KB - positive_KB + margin)).sum() / weight_KB.sum().clamp(min=1e-6)
