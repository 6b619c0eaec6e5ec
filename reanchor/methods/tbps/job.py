"""Training of text-based search as a `Job`: which terms have a weight, and how they add up."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from reanchor.methods.tbps.batch import Draws
from reanchor.methods.tbps.losses import (
    alpha_at,
    clamped_scale,
    cyclic_itc,
    normalised_itc,
    reversed_itc,
    simclr,
)
from reanchor.methods.tbps.model import TbpsModel, parameter_groups
from reanchor.methods.tbps.settings import TEXT_TERMS, TbpsRecipe, TbpsTerms
from reanchor.text.losses import similarity_distribution_matching
from reanchor.text.pairs import pair_batches
from reanchor.training.gradient_cache import Batch, encode_in_chunks
from reanchor.training.loop import Job
from reanchor.training.losses import clip_contrastive, identity_cross_entropy
from reanchor.training.ranks import gather, own_share
from reanchor.training.schedule import warmup_linear_cosine


def text_losses(model: TbpsModel, features: Batch, labels: Tensor, recipe: TbpsTerms, config: TbpsRecipe, alpha: float
                ) -> dict[str, Tensor]:
    """The terms that have a weight, unweighted, and their weighted sum "loss".

    Args:
        features: of `TbpsModel.encode`, for all pairs that are contrasted.
        labels: identities [B].
        alpha: share of soft labels now.
    """
    images, texts = features["image"], features["text"]
    scale = clamped_scale(model.towers.log_scale)
    views = [features[name] for name in ("image", "second") if name in features]
    terms = {
        "itc": lambda: clip_contrastive(images, texts, scale),
        "nitc": lambda: sum(normalised_itc(view, texts, labels, scale, alpha) for view in views) / len(views),
        "ritc": lambda: reversed_itc(images, texts, labels, scale),
        "citc": lambda: cyclic_itc(images, texts),
        "ss": lambda: simclr(*(model.simclr_mlp(features[name]) for name in ("simclr_1", "simclr_2")),
                             config.ss_temperature),
        "sdm": lambda: similarity_distribution_matching(images, texts, labels, config.temperature),
        "id": lambda: sum(identity_cross_entropy(model.classifier(each), labels, 0.0) for each in (images, texts)) / 2,
        "mlm": lambda: features["mlm"].sum() / features["words"].sum().clamp(min=1),
    }
    weighed = {name: terms[name]() for name in TEXT_TERMS if getattr(recipe, name)}
    return {**weighed, "loss": sum(getattr(recipe, name) * value for name, value in weighed.items())}


class TbpsRun:
    """Batches, losses and rates of one training; an epoch runs over every (image, sentence) pair."""

    def __init__(self, config: TbpsRecipe, recipe: TbpsTerms, model: TbpsModel, draws: Draws):
        self.config, self.recipe, self.model, self.draws = config, recipe, model, draws
        self.epoch, self.steps, self.step = 0, 1, 0

    def job(self, name: str, validate: Callable[[], dict[str, float]] | None) -> Job:
        """The training as a `Job`."""
        config = self.config
        optimizer = torch.optim.AdamW(parameter_groups(self.model, config.weight_decay), lr=config.lr,
                                      betas=(0.9, 0.98), eps=1e-8)
        batches = pair_batches(len(self.draws.pairs), config.batch, config.seed)
        return Job(name, self.model, optimizer, config.epochs, batches, self.losses, self.lr_factor, config.seed,
                   config.batch, validate, config.validate_epochs, config.precision)

    def lr_factor(self, epoch: int, step: int, steps: int) -> float:
        """The rate of one step as a multiple of the configured one; notes where training stands, for alpha."""
        self.epoch, self.step, self.steps = epoch, step, steps
        config = self.config
        rate = warmup_linear_cosine(epoch * steps + step, config.warmup_epochs * steps, config.epochs * steps,
                                    config.lr, config.warmup_lr, config.min_lr)
        return rate / config.lr

    def losses(self, chosen: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        """Terms of one batch, whose features are made in chunks where memory asks for it, by all ranks."""
        chosen = own_share(chosen)
        batch = self.draws.batch(chosen, generator, self.model.towers.device)
        features = encode_in_chunks(self.model.encode, batch, self.config.chunk)
        labels = torch.from_numpy(self.draws.pairs.labels[chosen]).to(self.model.towers.device)
        features, labels = {name: gather(value) for name, value in features.items()}, gather(labels)
        alpha = alpha_at(self.epoch, self.step, self.steps, self.recipe.soft_label)
        return text_losses(self.model, features, labels, self.recipe, self.config, alpha)
