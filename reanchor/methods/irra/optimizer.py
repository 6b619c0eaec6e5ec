"""IRRA's Adam: which weight learns how fast, and the rate over the epochs."""

import functools
from collections.abc import Callable

import torch

from reanchor.methods.irra.model import IrraModel
from reanchor.methods.irra.settings import Irra
from reanchor.training.schedule import warmup_then

HEADS = ("classifier.", "masked_words.head.")
NEW = ("masked_words.cross.", "masked_words.blocks.")


def rate_and_decay(name: str, config: Irra) -> tuple[float, float]:
    """The factor on `lr` and the weight decay of one parameter, by its name (the authors' `solver/build.py`).

    Whether it is a bias decides before whether it is new, but for the heads; the reader's three norms outside its
    blocks learn like the towers.
    """
    bias = "bias" in name
    decay = 0.0 if bias else config.weight_decay
    if name.startswith(HEADS):
        return config.new_lr_factor, decay
    if bias:
        return config.bias_lr_factor, decay
    return (config.new_lr_factor if name.startswith(NEW) else 1.0), decay


def parameter_groups(model: IrraModel, config: Irra) -> list[dict]:
    """A group for each pair of rate and decay, the towers' own first; what is not trained is left out."""
    groups: dict[tuple[float, float], list] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(rate_and_decay(name, config), []).append(parameter)
    return [{"params": parameters, "lr": factor * config.lr, "weight_decay": decay}
            for (factor, decay), parameters in groups.items()]


def make_optimizer(model: IrraModel, config: Irra) -> torch.optim.Optimizer:
    """Adam, weight decay within the gradient."""
    return torch.optim.Adam(parameter_groups(model, config), betas=(0.9, 0.999), eps=config.adam_eps)


def lr_factor(config: Irra) -> Callable[[int, int, int], float]:
    """Of (epoch, step, steps): constant within an epoch. A tenth rises to the whole over the warm-up, a half cosine
    falls to 0, which the epoch after the last would reach."""
    return functools.partial(_factor, config)


def _factor(config: Irra, epoch: int, step: int, steps: int) -> float:
    return warmup_then(epoch, config.warmup_epochs, config.epochs, 0.0)
