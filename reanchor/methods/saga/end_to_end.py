"""SAGA stage 4 (off by default): backbone and head together, on images."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor, nn

from reanchor.clip.model import ClipSpec
from reanchor.clip.text import TextEncoder
from reanchor.methods.clip_reid.finetune import stage2_terms
from reanchor.methods.clip_reid.model import ReidModel, Stage2Output
from reanchor.methods.clip_reid.settings import FinetuneRecipe, LossWeights
from reanchor.methods.clip_reid.texts import FixedTexts
from reanchor.methods.saga.batch import tapped_blocks, token_batch
from reanchor.methods.saga.head import SagaHead
from reanchor.methods.saga.losses import stage3_losses
from reanchor.methods.saga.settings import Saga
from reanchor.methods.saga.train import head_groups
from reanchor.training.images import TrainingImages, augment
from reanchor.training.loop import Job
from reanchor.training.sampler import IdentitySampler
from reanchor.training.schedule import warmup_then

STAGE2 = LossWeights(id=0.25, triplet=1.0, i2tce=1.0, i2t=0.0, t2i=0.0, token=0.0)  # as in their stage 2


def backbone_parameters(reid: ReidModel, neck_bias: bool = False) -> list[nn.Parameter]:
    """What stage 4 trains beside the head: encoder, camera embedding, and the neck and classifier of [CLS].

    `neck_bias`: the neck's bias too (`finetune.recipe.neck_bias`).
    """
    modules = [reid.encoder, reid.neck, reid.classifier, *([reid.side] if reid.side is not None else [])]
    return [parameter for module in modules for parameter in module.parameters()
            if neck_bias or parameter is not reid.neck.bias]


def stage4_losses(head: SagaHead, reid: ReidModel, text: TextEncoder, images: Tensor, labels: Tensor,
                  sides: Tensor | None, cameras: Tensor, texts: Tensor, config: Saga) -> dict[str, Tensor]:
    """Stage 3's loss + `stage2_weight` x SAGA's stage-2 losses on [CLS], in one pass.

    Args:
        images: normalised [B, 3, H, W]; sides: rows of the SIE table [B]; cameras: camids [B];
            texts: every identity's text feature [C, E].
    """
    blocks = tapped_blocks(config.token_blocks, reid.encoder.depth)
    encoded = reid.encode(images, sides, blocks)
    terms = stage3_losses(head(token_batch(encoded, blocks, cameras), head.anchors(text)), labels, head, config)
    out = Stage2Output([reid.classifier(reid.neck(encoded.cls))], [*encoded.features.values()], encoded)
    before = stage2_terms(reid, out, labels, STAGE2, FixedTexts(texts), config.label_smoothing, config.margin,
                          heads="cls")
    named = {f"cls_{name}": value for name, value in before.items() if name != "loss"}
    return {**named, **terms, "loss": terms["loss"] + config.stage2_weight * before["loss"]}


def stage4_job(config: Saga, recipe: FinetuneRecipe, head: SagaHead, reid: ReidModel, text: TextEncoder,
               data: TrainingImages, texts: Tensor, spec: ClipSpec,
               validate: Callable[[], dict[str, float]] | None) -> Job:
    """Stage 4 as a `Job`; the backbone's gradients are switched on, so freeze it again afterwards.

    The cosine after the warm-up ends at `min_lr_ratio`, as in 3b.
    """
    sampler = IdentitySampler(data.labels, config.identities, config.images, config.seed + 2)
    backbone = backbone_parameters(reid, recipe.neck_bias)
    for parameter in backbone:
        parameter.requires_grad_(True)
    groups = [{"params": backbone, "lr": config.lr_4_backbone}, *head_groups(head, config.lr_4, config)]
    device = next(head.parameters()).device

    def losses(chosen: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        images = augment(data.take(chosen, recipe.occluded, generator), recipe, spec, generator).to(device)
        side, seen = reid.side, (data.cameras[chosen], data.views[chosen])
        sides = None if side is None else side.index(*seen).to(device)
        labels, cameras = (torch.from_numpy(values[chosen]).to(device) for values in (data.labels, data.cameras))
        return stage4_losses(head, reid, text, images, labels, sides, cameras, texts, config)

    def lr_factor(epoch: int, step: int, steps: int) -> float:
        return warmup_then(epoch, config.warmup_epochs_4, config.epochs_4, config.min_lr_ratio)

    return Job("saga 4", nn.ModuleDict({"head": head, "reid": reid}),
               torch.optim.AdamW(groups, lr=config.lr_4, weight_decay=config.weight_decay), config.epochs_4,
               sampler.batches, losses, lr_factor, config.seed, config.identities * config.images, validate)
