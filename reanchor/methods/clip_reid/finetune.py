"""CLIP-ReID stage 2; with the text weight 0 it is the no-text baseline."""

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor, nn

from reanchor.clip.model import ClipSpec
from reanchor.methods.clip_reid.model import ReidModel, Stage2Output
from reanchor.methods.clip_reid.settings import FinetuneRecipe, LossWeights
from reanchor.methods.clip_reid.texts import LearnedTexts, Texts
from reanchor.training.images import TrainingImages, augment
from reanchor.training.loop import Job
from reanchor.training.losses import (
    batch_hard_triplet,
    identity_cross_entropy,
    image_to_text_cross_entropy,
    supervised_contrastive,
)
from reanchor.training.sampler import IdentitySampler
from reanchor.training.schedule import warmup_multistep, warmup_then


def stage2_losses(model: ReidModel, images: Tensor, labels: Tensor, sides: Tensor | None, weights: LossWeights,
                  texts: Texts | None, smoothing: float, margin: float | None, early_triplet: bool = True,
                  heads: str = "both") -> dict[str, Tensor]:
    """Weighted L_id (two heads), L_tri (three features) and the text terms (CLIP-ReID eq. 6 to 9, Table 6).

    Terms are sums over heads and features, as in the authors' code.

    Args:
        sides: rows of the SIE table, [B].
        margin: of the triplets; None: a soft one.
        early_triplet: whether L_tri is taken before the last block (or layer4) too (Table 9).
        heads: "cls": L_id and L_tri on the last feature alone, as SAGA-ReID's code has it.
    """
    return stage2_terms(model, model(images, sides), labels, weights, texts, smoothing, margin, early_triplet, heads)


def stage2_terms(model: ReidModel, out: Stage2Output, labels: Tensor, weights: LossWeights, texts: Texts | None,
                 smoothing: float, margin: float | None, early_triplet: bool = True, heads: str = "both"
                 ) -> dict[str, Tensor]:
    """`stage2_losses` of a pass that was made."""
    scores, features = out.scores, out.features if early_triplet else out.features[1:]
    if heads == "cls":
        scores, features = scores[:1], out.features[1:2]
    terms = {
        "id": sum(identity_cross_entropy(score, labels, smoothing) for score in scores),
        "triplet": sum(batch_hard_triplet(feature, labels, margin) for feature in features),
    }
    terms |= text_losses(out.features[2], labels, weights, texts, smoothing)
    if weights.token:
        score, mean = model.token_scores(out)
        terms["token"] = identity_cross_entropy(score, labels, smoothing) + batch_hard_triplet(mean, labels, margin)
    return {**terms, "loss": sum(getattr(weights, name) * value for name, value in terms.items())}


def text_losses(projected: Tensor, labels: Tensor, weights: LossWeights, texts: Texts | None,
                smoothing: float) -> dict[str, Tensor]:
    """The terms of Table 6 that have a weight: over all identities' texts, or those of the batch."""
    terms = {}
    if weights.i2tce:
        terms["i2tce"] = image_to_text_cross_entropy(projected, texts.all(), labels, smoothing)
    if weights.i2t or weights.t2i:
        batch = texts.of(labels)
    if weights.i2t:
        terms["i2t"] = supervised_contrastive(projected, batch, labels, labels)
    if weights.t2i:
        terms["t2i"] = supervised_contrastive(batch, projected, labels, labels)
    return terms


def optimizer_of(config: FinetuneRecipe, model: ReidModel,
                 prompts: nn.Parameter | None = None) -> torch.optim.Optimizer:
    """The authors' rates: biases at `bias_lr_factor` x, heads at `head_lr_factor` x; a group for each rate.

    `prompts`: the context that is learned along (one-stage training), at a rate of its own.
    """
    heads = {id(head.weight) for head in model.heads()}
    by_rate: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = config.bias_lr_factor if "bias" in name else 1.0
        factor *= config.head_lr_factor if id(parameter) in heads else 1.0
        by_rate.setdefault(config.lr * factor, []).append(parameter)
    groups = [{"params": members, "lr": rate, "weight_decay": config.weight_decay}
              for rate, members in by_rate.items()]
    if prompts is not None:
        groups.append({"params": [prompts], "lr": config.prompt_lr, "weight_decay": config.weight_decay})
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer](groups, fused=True)


def lr_factor(config: FinetuneRecipe, epoch: int, step: int, steps: int) -> float:
    """Published: per epoch, warm-up times multi-step. SAGA's: per step, of warm-up and milestones. Cosine: per step."""
    if config.warmup_steps:
        milestones = [milestone * steps for milestone in config.milestones]
        return warmup_multistep(epoch * steps + step, milestones, 0.1, config.warmup_steps, config.warmup_factor)
    if config.schedule == "multistep":
        return warmup_multistep(epoch + 1, config.milestones, 0.1, config.warmup_epochs, config.warmup_factor)
    return warmup_then(epoch + step / steps, config.warmup_epochs, config.epochs, 0.01)


def finetune_job(name: str, config: FinetuneRecipe, weights: LossWeights, model: ReidModel, data: TrainingImages,
                 texts: Texts | None, spec: ClipSpec, validate: Callable[[], dict[str, float]] | None) -> Job:
    """Stage 2 as a `Job`; prompts that are learned along are a part of its module."""
    sampler = IdentitySampler(data.labels, config.identities, config.images, config.seed)
    device = next(model.parameters()).device
    learner = texts.learner if isinstance(texts, LearnedTexts) else None

    def losses(chosen: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        images = augment(data.take(chosen, config.occluded, generator), config, spec, generator)
        labels, sides = torch.from_numpy(data.labels[chosen]).to(device), None
        if model.side is not None:
            sides = model.side.index(data.cameras[chosen], data.views[chosen]).to(device)
        return stage2_losses(model, images.to(device), labels, sides, weights, texts, config.label_smoothing,
                             None if config.soft_margin else config.margin, config.early_triplet, config.heads)

    return Job(name, nn.ModuleList([model, learner]) if learner else model,
               optimizer_of(config, model, learner.context if learner else None), config.epochs, sampler.batches,
               losses, functools.partial(lr_factor, config), config.seed, config.identities * config.images, validate,
               config.validate_epochs, config.precision)
