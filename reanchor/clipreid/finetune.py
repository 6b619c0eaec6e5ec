"""CLIP-ReID stage 2; with the text weight 0 it is the no-text baseline."""

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from reanchor.clip.model import ClipSpec
from reanchor.clipreid.data import TrainingImages, augment
from reanchor.clipreid.model import ReidModel, camera_index
from reanchor.config.sections import Finetune, LossWeights
from reanchor.data.sampler import IdentitySampler
from reanchor.losses import batch_hard_triplet, identity_cross_entropy, image_to_text_cross_entropy
from reanchor.training.loop import Job
from reanchor.training.schedule import warmup_multistep, warmup_then


def stage2_losses(model: ReidModel, images: Tensor, labels: Tensor, cameras: Tensor | None, weights: LossWeights,
                  texts: Tensor | None, smoothing: float, margin: float) -> dict[str, Tensor]:
    """Weighted L_id (two heads), L_tri (three features) and L_i2tce (CLIP-ReID eq. 6 to 9).

    Terms are sums over heads and features, as in the authors' code. `texts`: [C, E].
    """
    out = model(images, cameras)
    terms = {
        "id": sum(identity_cross_entropy(score, labels, smoothing) for score in out.scores),
        "triplet": sum(batch_hard_triplet(feature, labels, margin) for feature in out.features),
    }
    total = weights.id * terms["id"] + weights.triplet * terms["triplet"]
    if weights.text:
        terms["i2t"] = image_to_text_cross_entropy(out.features[2], texts, labels, smoothing)
        total = total + weights.text * terms["i2t"]
    if model.token_block:
        score, mean = model.token_scores(out)
        terms["token"] = identity_cross_entropy(score, labels, smoothing) + batch_hard_triplet(mean, labels, margin)
        total = total + weights.token * terms["token"]
    return {**terms, "loss": total}


def optimizer_of(config: Finetune, model: ReidModel) -> torch.optim.Optimizer:
    """One group per parameter, as the authors': biases at `bias_lr_factor` x, heads at `head_lr_factor` x."""
    heads = {id(head.weight) for head in model.heads()}
    groups = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = config.bias_lr_factor if "bias" in name else 1.0
        factor *= config.head_lr_factor if id(parameter) in heads else 1.0
        groups.append({"params": [parameter], "lr": config.lr * factor, "weight_decay": config.weight_decay})
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer](groups)


def lr_factor(config: Finetune, epoch: int, step: int, steps: int) -> float:
    """Published: per epoch, warm-up times multi-step. Cosine: per step."""
    if config.schedule == "multistep":
        return warmup_multistep(epoch + 1, config.milestones, 0.1, config.warmup_epochs, config.warmup_factor)
    return warmup_then(epoch + step / steps, config.warmup_epochs, config.epochs, 0.01)


def finetune_job(name: str, config: Finetune, weights: LossWeights, model: ReidModel, data: TrainingImages,
                 texts: Tensor | None, spec: ClipSpec, validate: Callable[[], dict[str, float]]) -> Job:
    """Stage 2 as a `Job`."""
    sampler = IdentitySampler(data.labels, config.identities, config.images, config.seed)
    device = next(model.parameters()).device

    def losses(chosen: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        images = augment(data.take(chosen, config.occluded, generator), config, spec, generator)
        labels, cameras = torch.from_numpy(data.labels[chosen]).to(device), None
        if model.camera is not None:
            cameras = camera_index(data.cameras[chosen], len(model.camera)).to(device)
        return stage2_losses(model, images.to(device), labels, cameras, weights, texts, config.label_smoothing,
                             config.margin)

    return Job(name, model, optimizer_of(config, model), config.epochs, sampler.batches, losses,
               functools.partial(lr_factor, config), config.seed, config.identities * config.images, validate,
               config.validate_epochs, config.precision)
