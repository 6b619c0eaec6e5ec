"""One training of text-based search from the workspace's files."""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from reanchor.clip.model import Clip
from reanchor.config.sections import Params, TextRecipe
from reanchor.files import atomic_directory
from reanchor.tbps.job import tbps_job
from reanchor.text.pairs import SentencePairs
from reanchor.text.towers import DualEncoder, DualSearcher, save_dual
from reanchor.text.validation import RULE, TextValidation
from reanchor.training import checkpoint
from reanchor.training.device import choose_device
from reanchor.training.loop import Trainer
from reanchor.training.recorder import Recorder

MODELS = ("clip_tuned", "sdm", "tbps_clip")


def train_tbps(name: str, params: Params, root: Path, out: Path, recorder: Recorder) -> dict[str, float | str]:
    """Train "clip_tuned", "sdm" or "tbps_clip"; keep the epoch with the best validation score.

    Raises:
        ReanchorError: no backbone, no captions, nothing held out, or a loss that is not finite.
    """
    config, runtime = params.tbps, params.runtime
    recipe: TextRecipe = getattr(config, name)
    device = choose_device(runtime.device)
    clip = Clip.load(root / "models/backbone")
    pairs = SentencePairs.open(root / "data/prepared", root / "data/occluded", clip.spec, config.context)
    validation = TextValidation.open(root / "data/prepared", root / "data/occluded")
    torch.manual_seed(config.seed)
    model = DualEncoder(clip, config.context).to(device)
    searcher = DualSearcher(name, model, clip.spec)
    job = tbps_job(f"tbps@{name}", config, recipe, model, pairs, clip.spec, lambda: validation.score(searcher))
    mark = mark_of(name, params, root)
    outcome = Trainer(job, root / f".checkpoints/tbps-{name}-{mark}.pt", mark, runtime.checkpoint_steps, recorder).run()
    with atomic_directory(out) as folder:
        save_dual(model, replace(clip.spec, interpolation=pairs.images.interpolation), name, folder,
                  config=trained_with(name, params))
    return {**outcome.figures(), "pairs": len(pairs), "cut_sentences": pairs.cut, "selection": RULE}


def trained_with(name: str, params: Params) -> dict:
    """The settings that shaped a model, by section; those of the other models are left out."""
    tbps = {key: value for key, value in asdict(params.tbps).items() if key not in MODELS or key == name}
    return {"prepare": asdict(params.prepare), "tbps": tbps}


def mark_of(name: str, params: Params, root: Path) -> str:
    """What this training's result depends on."""
    paths = [root / "data/prepared/manifest.parquet", root / "data/occluded/suites.json",
             root / "models/backbone/weights.safetensors", root / "models/backbone/model.json"]
    return checkpoint.fingerprint(name, asdict(params.tbps), checkpoint.inputs(*paths))
