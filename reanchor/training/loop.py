"""The one training loop: batches, learning rates, validation, checkpoints, exact resume."""

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from reanchor.errors import ReanchorError
from reanchor.interruption import Interrupted, held, let_through, waiting
from reanchor.training import checkpoint
from reanchor.training.device import uses_bf16
from reanchor.training.fitting import fits
from reanchor.training.memory import freed_memory_kept
from reanchor.training.ranks import average_gradients, largest, rank, world_size
from reanchor.training.recorder import Recorder


@dataclass
class Job:
    """One training: what to repeat, and what to keep.

    `losses` returns the terms by name; "loss" is the one that is minimised.
    `lr_factor(epoch, step, steps)` multiplies every group's base rate.
    `validate` returns figures among which "score" chooses the epoch that is kept.
    """

    name: str
    module: nn.Module
    optimizer: torch.optim.Optimizer
    epochs: int
    batches: Callable[[int], Sequence]
    losses: Callable[[Any, Generator], dict[str, Tensor]]
    lr_factor: Callable[[int, int, int], float]
    seed: int
    batch_images: int
    validate: Callable[[], dict[str, float]] | None = None
    validate_epochs: int = 1
    precision: str = "fp32"


@dataclass
class State:
    """The position of a run; with weights, optimiser and generators, all that resuming needs."""

    epoch: int = 0
    step: int = 0  # within the epoch
    steps: int = 0  # since the start
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
    best_score: float = float("-inf")
    best_epoch: int = -1


@dataclass
class Outcome:
    """What a finished run tells of itself."""

    history: list[dict]
    best_epoch: int
    best_score: float
    images_per_second: float
    steps: int

    def figures(self) -> dict[str, float]:
        """What the metrics of a stage say of its training."""
        figures = {"images_per_second": round(self.images_per_second, 1), "train_steps": self.steps,
                   "final_loss": self.history[-1]["loss"]}
        if self.best_epoch > 0:
            figures |= {"val_score": self.best_score, "best_epoch": self.best_epoch}
        return figures


class Trainer:
    """Runs a `Job`; a checkpoint at `path` made under the same `mark` is continued.

    Told to stop (`reanchor.interruption`), it ends its step and leaves a checkpoint of it.
    Of several ranks (`reanchor.training.ranks`) each draws for itself, and the first one writes; a resume is
    exact for one process only.
    """

    def __init__(self, job: Job, path: Path, mark: str, every: int, recorder: Recorder):
        self.job, self.path, self.mark, self.every, self.recorder = job, path, mark, every, recorder
        self.state = State()
        self.bf16 = uses_bf16(job.precision, next(job.module.parameters()).device.type)
        self.best: dict[str, Tensor] | None = None
        self.generator = Generator().manual_seed(job.seed + rank())
        for group in job.optimizer.param_groups:
            group["base_lr"] = group["lr"]

    def run(self) -> Outcome:
        """Train to the end; leave the chosen epoch's weights in the module.

        Raises:
            ReanchorError: when a loss term is no longer finite.
            Interrupted: told to stop.
        """
        torch.manual_seed(self.job.seed + rank())
        self._resume()
        for row in self.state.history:
            self.recorder.log(row["step"], row)
        with held(), freed_memory_kept(), tqdm(total=self.job.epochs, initial=self.state.epoch, desc=self.job.name,
                                               unit="epoch", disable=None) as bar:
            while self.state.epoch < self.job.epochs:
                self._epoch(bar)
        if self.best is not None:
            self.job.module.load_state_dict(self.best)
        return self._outcome()

    def _epoch(self, bar: tqdm) -> None:
        job, state = self.job, self.state
        batches = job.batches(state.epoch)
        job.module.train()
        started = time.perf_counter()
        while state.step < len(batches):
            self._step(batches[state.step], len(batches))
            told = self._told_to_stop()
            if told or (self.every and state.steps % self.every == 0):
                state.seconds += time.perf_counter() - started
                self._save(self._content())
                started = time.perf_counter()
            if told:
                raise self._interrupted(told)
        state.seconds += time.perf_counter() - started
        self._end_epoch(len(batches))
        bar.update()
        bar.set_postfix({k: f"{v:.4g}" for k, v in state.history[-1].items() if k in ("loss", "score")})

    def _step(self, batch: object, steps: int) -> None:
        job, state = self.job, self.state
        factor = job.lr_factor(state.epoch, state.step, steps)
        for group in job.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        device = next(job.module.parameters()).device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.bf16):
            terms = job.losses(batch, self.generator)
        values = {name: value.item() for name, value in terms.items()}
        self._check(values)
        job.optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        average_gradients(job.module)
        job.optimizer.step()
        for name, value in values.items():
            state.sums[name] = state.sums.get(name, 0.0) + value
        state.step += 1
        state.steps += 1

    def _check(self, values: dict[str, float]) -> None:
        bad = sorted(name for name, value in values.items() if value != value or abs(value) == float("inf"))
        if bad:
            culprit = next((name for name in bad if name != "loss"), "loss")
            raise ReanchorError(
                f"{self.job.name}: loss term '{culprit}' is {values[culprit]} at epoch {self.state.epoch + 1}, "
                f"step {self.state.step + 1}; it must be finite: lower the learning rate or that term's weight"
            )

    def _end_epoch(self, steps: int) -> None:
        job, state = self.job, self.state
        row = {name: total / steps for name, total in sorted(state.sums.items())}
        row |= {"epoch": state.epoch + 1, "step": state.steps, "lr": job.optimizer.param_groups[0]["lr"]}
        last = state.epoch + 1 == job.epochs
        if job.validate and ((state.epoch + 1) % job.validate_epochs == 0 or last):
            figures = self._validate()
            row |= figures
            if figures["score"] > state.best_score:
                state.best_score, state.best_epoch = figures["score"], state.epoch + 1
                self.best = copy.deepcopy(job.module.state_dict())
        state.history.append(row)
        state.epoch, state.step, state.sums = state.epoch + 1, 0, {}
        self._save(self._content())
        if told := self._told_to_stop():
            raise self._interrupted(told)
        with let_through():
            self.recorder.log(row["step"], row)

    def _validate(self) -> dict[str, float]:
        """Told to stop meanwhile, the epoch's steps are kept; who goes on judges them."""
        content = self._content()  # of before: judging may draw random numbers
        self.job.module.eval()
        try:
            with let_through() if world_size() == 1 else nullcontext():  # ranks stop together, after it
                return self.job.validate()
        except Interrupted as told:
            self._save(content)
            raise self._interrupted(told.number) from None

    def _told_to_stop(self) -> int:
        """The signal that ends this training, or 0; all ranks hear what one was told."""
        return largest(waiting(), next(self.job.module.parameters()).device)

    def _interrupted(self, told: int) -> Interrupted:
        return Interrupted(told, f"a checkpoint of epoch {self.state.epoch + 1}, step {self.state.step}")

    def _save(self, content: dict) -> None:
        if not rank():
            checkpoint.save(self.path, self.mark, content)

    def _content(self) -> dict:
        return {
            "state": vars(self.state),
            "module": self.job.module.state_dict(),
            "best": self.best,
            "optimizer": self.job.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "global_generator": torch.get_rng_state(),
            "cuda_generators": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def _resume(self) -> None:
        saved = checkpoint.load(self.path, self.mark, lambda saved: fits(saved, self._content()))
        if saved is None:
            return
        self.state = State(**saved["state"])
        self.job.module.load_state_dict(saved["module"])
        self.job.optimizer.load_state_dict(saved["optimizer"])
        self.best = saved["best"]
        self.generator.set_state(saved["generator"])
        torch.set_rng_state(saved["global_generator"])
        if len(saved["cuda_generators"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(saved["cuda_generators"])
        if rank():  # the states are those of rank 0: others draw from streams of their own again
            parts = np.random.SeedSequence([self.job.seed, rank(), self.state.steps])
            own = int(parts.generate_state(1, np.uint64)[0] >> 1)
            self.generator.manual_seed(own)
            torch.manual_seed(own)
        tqdm.write(f"{self.job.name}: resumed at epoch {self.state.epoch + 1}, step {self.state.step}")

    def _outcome(self) -> Outcome:
        state = self.state
        speed = state.steps * self.job.batch_images / max(state.seconds, 1e-9)
        return Outcome(state.history, state.best_epoch, state.best_score, speed, state.steps)
