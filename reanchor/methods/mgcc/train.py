"""MGCC's training from the workspace's files."""

import functools
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from reanchor.clip.model import Clip, ClipSpec
from reanchor.config.params import Params
from reanchor.files import atomic_directory
from reanchor.methods.mgcc.losses import info_nce
from reanchor.methods.mgcc.model import Mgcc
from reanchor.methods.mgcc.settings import Mgcc as Config
from reanchor.methods.mgcc.store import MgccSearcher, save_mgcc
from reanchor.retrieval.sentence_validation import RULE, SentenceValidation
from reanchor.text.pairs import SentencePairs, pair_batches, require_captions
from reanchor.training import checkpoint
from reanchor.training.augment import normalise, random_flip
from reanchor.training.device import choose_device
from reanchor.training.loop import Job, Trainer
from reanchor.training.recorder import Recorder
from reanchor.training.schedule import warmup_multistep, warmup_then


def train_mgcc(name: str, params: Params, root: Path, out: Path, recorder: Recorder) -> dict[str, float | str]:
    """Train MGCC on the backbone; keep the epoch with the best validation score.

    Raises:
        Skipped: the dataset's captions are too few to train and to choose on.
        ReanchorError: no backbone, one without patch tokens, no captions, nothing held out, or a loss that is
            not finite.
    """
    require_captions(root / "data/prepared")
    config, runtime = params.mgcc, params.runtime
    device = choose_device(runtime.device)
    clip = Clip.load(root / "models/backbone")
    torch.manual_seed(config.seed)
    model = Mgcc(clip, config.model).to(device)
    pairs = SentencePairs.open(root / "data/prepared", root / "data/occluded", clip.spec, config.model.context)
    validation = SentenceValidation.open(root / "data/prepared", root / "data/occluded")
    searcher = MgccSearcher(model, clip.spec)
    cut = validation.count_cut(searcher)
    job = mgcc_job(config, model, pairs, clip.spec, lambda: validation.score(searcher))
    mark = mark_of(config, root)
    outcome = Trainer(job, root / f".checkpoints/mgcc-{mark}.pt", mark, runtime.checkpoint_steps, recorder).run()
    with atomic_directory(out) as folder:
        save_mgcc(model, replace(clip.spec, interpolation=pairs.images.interpolation), folder,
                  config={"prepare": asdict(params.prepare), "mgcc": asdict(config)})
    return {**outcome.figures(), "pairs": len(pairs), "cut_sentences": pairs.cut,
            "cut_validation_sentences": cut, "selection": RULE}


def mgcc_job(config: Config, model: Mgcc, pairs: SentencePairs, spec: ClipSpec,
             validate: Callable[[], dict[str, float]]) -> Job:
    """The training as a `Job`; an epoch runs over every (image, sentence) pair."""
    labels = torch.from_numpy(pairs.labels)

    def losses(chosen: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        images = random_flip(torch.from_numpy(pairs.take(chosen, config.occluded, generator)), config.flip, generator)
        pixels = normalise(images, spec.mean, spec.std).to(model.device)
        rows = torch.from_numpy(chosen)
        same = None
        if config.same_pid == "left_out":
            same = (labels[rows][:, None] == labels[rows][None]).to(model.device)
        return info_nce(model(pixels, pairs.tokens[rows].to(model.device)), config.reduction, same)

    return Job("mgcc", model, optimizer_of(config, model), config.epochs,
               pair_batches(len(pairs), config.batch, config.seed), losses, functools.partial(lr_factor, config),
               config.seed, config.batch, validate, config.validate_epochs, config.precision)


def optimizer_of(config: Config, model: Mgcc) -> torch.optim.Optimizer:
    """Adam without weight decay, towers and the rest at their own rates."""
    return torch.optim.Adam([{"params": model.tower_parameters(), "lr": config.lr},
                             {"params": model.new_parameters(), "lr": config.lr_rest}])


def lr_factor(config: Config, epoch: int, step: int, steps: int) -> float:
    """Cosine to 0, per step (the paper), or x 0.1 at the milestones (the authors' code)."""
    if config.schedule == "multistep":
        return warmup_multistep(epoch, config.milestones, 0.1, config.warmup_epochs, 0.1)
    return warmup_then(epoch + step / steps, config.warmup_epochs, config.epochs, 0.0)


def mark_of(config: Config, root: Path) -> str:
    """What this training's result depends on."""
    paths = [root / "data/prepared/manifest.parquet", root / "data/occluded/suites.json",
             root / "models/backbone/weights.safetensors", root / "models/backbone/model.json"]
    return checkpoint.fingerprint(__name__, asdict(config), checkpoint.inputs(*paths))
