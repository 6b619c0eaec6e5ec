"""IRRA's training as a `Job`: its three terms and how they add up."""

from collections.abc import Callable

import numpy as np
from torch import Generator, Tensor

from reanchor.methods.irra.batch import Draws, epoch_batches
from reanchor.methods.irra.model import IrraModel
from reanchor.methods.irra.optimizer import lr_factor, make_optimizer
from reanchor.methods.irra.settings import TERMS, Irra
from reanchor.text.losses import similarity_distribution_matching
from reanchor.training.loop import Job
from reanchor.training.losses import identity_cross_entropy


def irra_losses(model: IrraModel, batch: dict[str, Tensor], config: Irra) -> dict[str, Tensor]:
    """The terms that have a weight, unweighted, and their weighted sum "loss"; `batch` as of `Draws.batch`."""
    features, labels = model.encode(batch), batch["labels"]
    images, texts = features["image"], features["text"]
    compute = {
        "sdm": lambda: similarity_distribution_matching(images, texts, labels, config.temperature),
        "id": lambda: sum(identity_cross_entropy(model.classifier(each), labels, 0.0) for each in (images, texts)) / 2,
        "mlm": lambda: features["mlm"].sum() / features["words"].sum().clamp(min=1),
    }
    terms = {name: compute[name]() for name in TERMS if getattr(config, name)}
    return {**terms, "loss": sum(getattr(config, name) * value for name, value in terms.items())}


def irra_job(config: Irra, model: IrraModel, draws: Draws, validate: Callable[[], dict[str, float]] | None) -> Job:
    """The training as a `Job`; an epoch runs over every (image, sentence) pair."""
    def losses(chosen: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        return irra_losses(model, draws.batch(chosen, generator, model.towers.device), config)

    return Job("irra", model, make_optimizer(model, config), config.epochs,
               epoch_batches(len(draws.pairs), config.batch, config.seed), losses, lr_factor(config), config.seed,
               config.batch, validate, config.validate_epochs, config.precision)
