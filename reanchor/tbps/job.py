"""The losses of text-based search on batches of pairs, as a `Job`."""

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from reanchor.clip.model import ClipSpec
from reanchor.config.sections import Tbps, TextRecipe
from reanchor.data.augment import normalise, random_flip
from reanchor.losses import clip_contrastive
from reanchor.text.pairs import SentencePairs, pair_batches
from reanchor.text.towers import DualEncoder
from reanchor.training.loop import Job
from reanchor.training.schedule import warmup_linear_cosine


def tbps_job(name: str, config: Tbps, recipe: TextRecipe, model: DualEncoder, pairs: SentencePairs, spec: ClipSpec,
             validate: Callable[[], dict[str, float]]) -> Job:
    """The training as a `Job`; an epoch runs over every (image, sentence) pair."""
    def losses(chosen: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        images = random_flip(torch.from_numpy(pairs.take(chosen, config.occluded, generator)), 0.5, generator)
        pixels = normalise(images, spec.mean, spec.std).to(model.device)
        tokens = pairs.tokens[torch.from_numpy(chosen)].to(model.device)
        itc = clip_contrastive(model.images(pixels), model.sentences(tokens), model.log_scale.exp())
        return {"itc": itc, "loss": recipe.itc * itc}

    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, betas=(0.9, 0.98), eps=1e-8,
                                  weight_decay=config.weight_decay)
    return Job(name, model, optimizer, config.epochs, pair_batches(len(pairs), config.batch, config.seed), losses,
               functools.partial(lr_factor, config), config.seed, config.batch, validate, config.validate_epochs,
               config.precision)


def lr_factor(config: Tbps, epoch: int, step: int, steps: int) -> float:
    """The rate of one step as a multiple of `config.lr`."""
    rate = warmup_linear_cosine(epoch * steps + step, config.warmup_epochs * steps, config.epochs * steps, config.lr,
                                config.warmup_lr, config.min_lr)
    return rate / config.lr
