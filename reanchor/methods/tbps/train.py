"""One training of text-based search from the workspace's files."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from reanchor.clip.model import Clip
from reanchor.config.params import Params
from reanchor.files import atomic_directory
from reanchor.methods.tbps.back_translation import read_back_translations
from reanchor.methods.tbps.batch import Draws
from reanchor.methods.tbps.job import TbpsRun
from reanchor.methods.tbps.model import TbpsModel
from reanchor.methods.tbps.settings import TbpsRecipe, TbpsTerms
from reanchor.retrieval.sentence_validation import RULE, SentenceValidation
from reanchor.text.pairs import SentencePairs, require_captions
from reanchor.text.towers import DualEncoder, DualSearcher, save_dual
from reanchor.training import checkpoint
from reanchor.training.device import choose_device
from reanchor.training.gradient_cache import refuse_batch_statistics
from reanchor.training.loop import Trainer
from reanchor.training.ranks import join_ranks, rank, world_size
from reanchor.training.recorder import Recorder


def train_tbps(name: str, params: Params, root: Path, out: Path, recorder: Recorder) -> dict[str, float | str]:
    """Train "clip_tuned", "sdm" or "tbps_clip"; keep the epoch with the best validation score.

    Under torchrun the ranks share every batch, and the first one writes; the others return no figures.

    Raises:
        Skipped: the dataset's captions are too few to train and to choose on.
        ReanchorError: no backbone, no captions, nothing held out, or a loss that is not finite.
    """
    require_captions(root / "data/prepared")
    config, runtime = params.tbps.recipe, params.runtime
    recipe: TbpsTerms = getattr(params.tbps, name)
    device = join_ranks(choose_device(runtime.device))
    clip = Clip.load(root / "models/backbone")
    every = SentencePairs.open(root / "data/prepared", root / "data/occluded", clip.spec, config.context, recipe.clean)
    pairs = few_shot(every, config.few_shot, config.few_shot_of, config.seed)
    validation = SentenceValidation.open(root / "data/prepared", root / "data/occluded")
    model = build_model(clip, every.images.identities, config, recipe).to(device)
    searcher = DualSearcher(name, model.towers, clip.spec)
    cut = validation.count_cut(searcher)
    back = read_back_translations(root / config.captions_bt, root / "data/prepared", pairs, recipe.clean
                                  ) if recipe.back_translation else None
    run = TbpsRun(config, recipe, model, Draws(pairs, clip.spec, recipe, config.occluded, back))
    job = run.job(name, lambda: validation.score(searcher))
    mark = mark_of(name, params, root)
    outcome = Trainer(job, root / f".checkpoints/{name}-{mark}.pt", mark, runtime.checkpoint_steps, recorder).run()
    if rank():
        return {}
    with atomic_directory(out) as folder:
        save_dual(model.towers, replace(clip.spec, interpolation=pairs.images.interpolation), name, folder,
                  config=trained_with(name, params))
    return {**outcome.figures(), "pairs": len(pairs), "cut_sentences": pairs.cut,
            "cut_validation_sentences": cut, "selection": RULE}


def build_model(clip: Clip, identities: int, config: TbpsRecipe, recipe: TbpsTerms) -> TbpsModel:
    """The backbone's towers with seeded heads where the recipe needs some."""
    torch.manual_seed(config.seed)
    model = TbpsModel(DualEncoder(clip, config.context, recipe.clean), recipe, identities)
    refuse_batch_statistics(model, "tbps.recipe.chunk", config.chunk)
    if world_size() > 1:
        refuse_batch_statistics(model, "torchrun --nproc-per-node", world_size())
    return model


def few_shot(pairs: SentencePairs, share: float, of: str, seed: int) -> SentencePairs:
    """A seeded share of the pairs, or all pairs of a share of the identities; at least two of them."""
    if share == 1:
        return pairs
    names = np.arange(len(pairs)) if of == "pairs" else pairs.labels
    kinds = np.unique(names)
    kept = np.random.default_rng(seed).permutation(kinds)[:max(2, round(share * len(kinds)))]
    return pairs.subset(np.flatnonzero(np.isin(names, kept)))


def trained_with(name: str, params: Params) -> dict:
    """The settings that shaped a model, by section; those of the other models are left out."""
    tbps = {"recipe": asdict(params.tbps.recipe), name: asdict(getattr(params.tbps, name))}
    return {"prepare": asdict(params.prepare), "tbps": tbps}


def mark_of(name: str, params: Params, root: Path) -> str:
    """What this training's result depends on."""
    paths = [root / params.tbps.recipe.captions_bt,
             root / "data/prepared/manifest.parquet", root / "data/occluded/suites.json",
             root / "models/backbone/weights.safetensors", root / "models/backbone/model.json"]
    return checkpoint.fingerprint(__name__, name, asdict(params.tbps), checkpoint.inputs(*paths))
