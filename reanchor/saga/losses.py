"""Losses of SAGA's stages 3 and 4 (the authors' code; the paper at hand has no equations).

Shapes: B images, K anchors, F feature width, C identities.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from reanchor.config.sections import Saga
from reanchor.losses import (
    batch_hard_triplet,
    identity_cross_entropy,
    image_to_text_cross_entropy,
    off_diagonal_cosine,
)
from reanchor.saga.head import Aggregated, SagaHead

STAGE2_ID = 0.25  # SAGA's stage 2 weighs ID .25, triplet 1, image to texts 1


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


def stage2_cls_losses(scores: Tensor, cls: Tensor, projected: Tensor, texts: Tensor, labels: Tensor,
                      config: Saga) -> dict[str, Tensor]:
    """SAGA's stage-2 losses: .25 ID + triplet on [CLS] after ln_post, image to all texts on its projection.

    Args:
        scores: [B, C] behind the neck; cls: [B, D]; projected: [B, E]; texts: [C, E].
    """
    terms = {
        "cls_id": identity_cross_entropy(scores, labels, config.label_smoothing),
        "cls_triplet": batch_hard_triplet(cls, labels, config.margin),
        "cls_i2tce": image_to_text_cross_entropy(projected, texts, labels, config.label_smoothing),
    }
    return {**terms, "loss": STAGE2_ID * terms["cls_id"] + terms["cls_triplet"] + terms["cls_i2tce"]}
