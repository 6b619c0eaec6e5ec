"""One stage-2 training from the workspace's files."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator

from reanchor.clip.model import Clip, ClipSpec
from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory
from reanchor.formats.labels import Labels
from reanchor.formats.manifest import Manifest
from reanchor.methods.clip_reid.finetune import finetune_job
from reanchor.methods.clip_reid.model import ReidModel, retrieval_feature
from reanchor.methods.clip_reid.settings import LossWeights
from reanchor.methods.clip_reid.side import SideSettings
from reanchor.methods.clip_reid.store import save_reid
from reanchor.methods.clip_reid.texts import open_texts
from reanchor.retrieval.validation import LAST_EPOCH, RULE, Embed, Validation
from reanchor.training import checkpoint
from reanchor.training.augment import normalise
from reanchor.training.device import choose_device
from reanchor.training.images import TrainingImages
from reanchor.training.loop import Trainer
from reanchor.training.recorder import Recorder


def train_stage2(name: str, params: Params, root: Path, out: Path, recorder: Recorder) -> dict[str, float | str]:
    """Fine-tune "baseline" or "clip_reid"; keep the epoch with the best validation score, or the last one where no
    identities were held out.
    """
    config, runtime = params.finetune.recipe, params.runtime
    weights: LossWeights = getattr(params.finetune, name)
    device = choose_device(runtime.device)
    clip = Clip.load(root / "models/backbone")
    data = TrainingImages.open(root / "data/prepared", root / "data/occluded")
    texts = open_texts(root / "models/prompts", clip, config.one_stage, device) if weights.text else None
    model = build_model(clip, data, params, weights).to(device)
    if model.side is not None:  # a camera that training has not seen is better met now than after it
        manifest = Manifest.read(root / "data/prepared/manifest.parquet")
        model.side.index(manifest.camid, manifest.viewid)
    validate, rule = chosen_by(root, embed_with(model, clip.spec, device))
    job = finetune_job(name, config, weights, model, data, texts, clip.spec, validate)
    mark = mark_of(name, params, weights, root)
    outcome = Trainer(job, root / f".checkpoints/{name}-{mark}.pt", mark, runtime.checkpoint_steps,
                      recorder).run()
    with atomic_directory(out) as folder:
        save_reid(model, replace(clip.spec, interpolation=data.interpolation), name, folder,
                  config=trained_with(name, params, weights))
    return {**outcome.figures(), "selection": rule}


def chosen_by(root: Path, embed: Embed) -> tuple[Callable[[], dict[str, float]] | None, str]:
    """What scores an epoch, and the rule's words; nothing where no identities were held out."""
    prepared = root / "data/prepared"
    if not len(Manifest.read(prepared / "manifest.parquet").rows("val")):
        return None, LAST_EPOCH
    validation = Validation.open(prepared, root / "data/occluded")
    return lambda: validation.score(embed), RULE


def trained_with(name: str, params: Params, weights: LossWeights) -> dict:
    """The settings that shaped a model, by section; those of the other model and unread prompts are left out."""
    finetune = {"recipe": asdict(params.finetune.recipe), name: asdict(weights)}
    sections = {"prepare": asdict(params.prepare), "finetune": finetune}
    return sections | ({"prompts": asdict(params.prompts)} if weights.text else {})


def build_model(clip: Clip, data: TrainingImages, params: Params, weights: LossWeights) -> ReidModel:
    """A seeded stage-2 model on the CLIP's image encoder."""
    config = params.finetune.recipe
    torch.manual_seed(config.seed)
    side = None
    if config.sie != "none":
        if config.sie != "camera" and not data.view_count:
            raise ReanchorError(f"finetune.recipe.sie: got {config.sie!r}, but the images tell no view (viewid 0); "
                                "allowed: none or camera, or a dataset with views, such as VeRi-776")
        if config.sie != "view" and data.cameras.min() < 1:
            raise ReanchorError(f"finetune.recipe.sie: got {config.sie!r}, but images tell no camera (camid 0); "
                                "allowed: none, or a dataset with cameras")
        side = SideSettings(config.sie, data.camera_count, data.view_count, config.sie_coefficient, config.sie_tokens)
    model = ReidModel(clip.image_encoder(), data.identities, side, config.token_block if weights.token else 0)
    model.initialise(Generator().manual_seed(config.seed))
    for neck in (model.neck, model.neck_projected):
        neck.bias.requires_grad_(config.neck_bias)
    return model


def mark_of(name: str, params: Params, weights: LossWeights, root: Path) -> str:
    """What this training's result depends on."""
    paths = [root / "data/prepared/manifest.parquet", root / "data/occluded/suites.json",
             root / "models/backbone/weights.safetensors", root / "models/backbone/model.json"]
    if weights.text:
        paths.append(root / "models/prompts/prompts.safetensors")
    return checkpoint.fingerprint(__name__, name, asdict(params.finetune), checkpoint.inputs(*paths))


def embed_with(model: ReidModel, spec: ClipSpec, device: str, batch: int = 256) -> Embed:
    """The model in training as a function from uint8 images to unit features."""
    @torch.inference_mode()
    def embed(images: np.ndarray, labels: Labels) -> np.ndarray:
        parts = []
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            pixels, seen, sides = torch.from_numpy(np.ascontiguousarray(images[part])), labels[part], None
            if model.side is not None:
                sides = model.side.index(seen.camids, seen.viewids).to(device)
            out = model.encode(normalise(pixels, spec.mean, spec.std).to(device), sides)
            parts.append(F.normalize(retrieval_feature(out.features), dim=1))
        return torch.cat(parts).cpu().numpy()

    return embed
