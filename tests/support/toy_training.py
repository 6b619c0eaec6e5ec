"""A training of seconds whose batches, noise and dropout all come from generators, run whole or in pieces."""

import torch
from torch import nn

from reanchor.training.loop import Job, Trainer

STEPS = 12  # four epochs of three


class Curve:
    def __init__(self):
        self.rows = []

    def log(self, step, values):
        self.rows.append((step, dict(values)))


class Stop(Exception):
    """Ends a training in the middle."""


def stop_at(step):
    """For `at_step`: end there."""
    def at_step(number):
        if number == step:
            raise Stop
    return at_step


def make_job(scores=None, at_step=None, bad=None, width=8) -> Job:
    """Regression; `at_step(n)` is called within the n-th step of this process, `bad` makes a loss of that step NaN."""
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Dropout(0.3), nn.Linear(width, 1))
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.05)
    calls = {"steps": 0}

    def losses(batch, generator):
        calls["steps"] += 1
        if at_step:
            at_step(calls["steps"])
        x = torch.randn(6, 4, generator=generator) + batch
        fit = (module(x) - x.sum(1, keepdim=True)).square().mean()
        terms = {"fit": fit, "extra": fit * 0.1}
        if bad == calls["steps"]:
            terms["extra"] = terms["extra"] * float("nan")
        return {**terms, "loss": terms["fit"] + terms["extra"]}

    values = iter(scores or [])
    return Job("toy", module, optimizer, 4, lambda epoch: [epoch, epoch + 1, epoch + 2], losses,
               lambda epoch, step, steps: 1 / (1 + epoch), seed=5, batch_images=6,
               validate=(lambda: {"score": next(values)}) if scores else None)


def train(path, every=1, **job):
    """The trained weights, what the trainer tells, the curve."""
    made = make_job(**job)
    curve = Curve()
    outcome = Trainer(made, path, "mark", every, curve).run()
    return made.module.state_dict(), outcome, curve


def same(one: dict, other: dict) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
