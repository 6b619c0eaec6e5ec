"""Learning-rate factors. Each takes the epoch (0-based, fractional where stepped inside one)."""

import math
from collections.abc import Sequence


def warmup_multistep(epoch: float, milestones: Sequence[int], gamma: float, warmup: int,
                     warmup_factor: float) -> float:
    """Linear warm-up from `warmup_factor` to 1 over `warmup` epochs, times gamma at each milestone.

    Source: CLIP-ReID's stage 2. Their scheduler is stepped before the first epoch, so training
    epoch e (0-based) runs at the factor of e + 1.
    """
    factor = gamma ** sum(epoch >= milestone for milestone in milestones)
    if epoch < warmup:
        factor *= warmup_factor + (1 - warmup_factor) * epoch / warmup
    return factor


def warmup_cosine_lr(epoch: float, epochs: int, base: float, warmup: int, warmup_lr: float,
                     min_lr: float) -> float:
    """CLIP-ReID's stage-1 rate, `epoch` counted from 1: warm-up, then a cosine not shifted by it."""
    if epoch < warmup:
        return warmup_lr + epoch * (base - warmup_lr) / warmup
    return min_lr + 0.5 * (base - min_lr) * (1 + math.cos(math.pi * epoch / epochs))


def warmup_then(epoch: float, warmup: int, epochs: int, min_ratio: float) -> float:
    """SAGA's stage 3: .1 + .9 e / warmup, then a cosine from 1 to `min_ratio` (1: constant)."""
    if epoch < warmup:
        return 0.1 + 0.9 * epoch / warmup
    progress = (epoch - warmup) / max(1, epochs - warmup)
    return min_ratio + (1 - min_ratio) * 0.5 * (1 + math.cos(math.pi * progress))


def warmup_linear_cosine(step: int, warmup: int, steps: int, base: float, warmup_lr: float, min_lr: float) -> float:
    """TBPS-CLIP's rate of optimiser step `step` (0-based) of `steps`, as the authors' code has it.

    The line from `warmup_lr` to `base` includes both ends, so that `base` comes twice; the half cosine
    behind it heads for `min_lr`, which the step after the last would reach.
    """
    if step < warmup:
        return warmup_lr + (base - warmup_lr) * (step / (warmup - 1) if warmup > 1 else 1.0)
    return min_lr + 0.5 * (base - min_lr) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
