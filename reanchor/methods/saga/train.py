"""SAGA stages 3a and 3b: the head is trained on patch tokens of the frozen backbone."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from reanchor.clip.text import TextEncoder
from reanchor.methods.saga.head import SagaHead
from reanchor.methods.saga.losses import stage3_losses
from reanchor.methods.saga.settings import Saga
from reanchor.methods.saga.tokens import TokenSource
from reanchor.training.loop import Job
from reanchor.training.sampler import IdentitySampler
from reanchor.training.schedule import warmup_then


def head_groups(head: SagaHead, rate: float, config: Saga) -> list[dict]:
    """The head's parameters at `rate`, its classifiers at `classifier_lr_factor` times that."""
    classifiers = list(head.classifiers.parameters())
    heavy = {id(parameter) for parameter in classifiers}
    rest = [p for p in head.parameters() if p.requires_grad and id(p) not in heavy]
    return [{"params": rest, "lr": rate}, {"params": classifiers, "lr": rate * config.classifier_lr_factor}]


def saga_job(phase: str, config: Saga, head: SagaHead, text: TextEncoder, tokens: TokenSource, labels: np.ndarray,
             validate: Callable[[], dict[str, float]] | None) -> Job:
    """Phase "3a" (constant rate after warm-up) or "3b" (cosine) as a `Job`; one view per sample."""
    first = phase == "3a"
    epochs, rate = (config.epochs_a, config.lr_a) if first else (config.epochs_b, config.lr_b)
    sampler = IdentitySampler(labels, config.identities, config.images, config.seed + (0 if first else 1))
    optimizer = torch.optim.AdamW(head_groups(head, rate, config), lr=rate, weight_decay=config.weight_decay)
    device = next(head.parameters()).device

    def losses(chosen: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        view = torch.randint(tokens.views, (len(chosen),), generator=generator).numpy()
        out = head(tokens.take(chosen, view), head.anchors(text))
        return stage3_losses(out, torch.from_numpy(labels[chosen]).to(device), head, config)

    def lr_factor(epoch: int, step: int, steps: int) -> float:
        return warmup_then(epoch, config.warmup_epochs, epochs, 1.0 if first else config.min_lr_ratio)

    return Job(f"saga {phase}", head, optimizer, epochs, sampler.batches, losses, lr_factor, config.seed,
               config.identities * config.images, validate)
