"""SAGA stages 3a, 3b and 4 from the workspace's files, with fusion weights from validation identities."""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from reanchor.clip.model import Clip, ClipSpec, freeze
from reanchor.clip.text import TextEncoder
from reanchor.config.params import Params
from reanchor.files import atomic_directory
from reanchor.methods.clip_reid.embedder import ReidEmbedder
from reanchor.methods.clip_reid.prompts import read_text_features
from reanchor.methods.clip_reid.store import read_reid
from reanchor.methods.saga.batch import tapped_blocks
from reanchor.methods.saga.build import build_head, check_anchors
from reanchor.methods.saga.end_to_end import stage4_job
from reanchor.methods.saga.head import SagaHead
from reanchor.methods.saga.store import save_saga
from reanchor.methods.saga.tokens import TokenSource, open_tokens
from reanchor.methods.saga.train import saga_job
from reanchor.methods.saga.watch import Watch
from reanchor.retrieval.validation import RULE, Validation
from reanchor.training import checkpoint
from reanchor.training.device import choose_device
from reanchor.training.images import TrainingImages
from reanchor.training.loop import Outcome, Trainer
from reanchor.training.recorder import PhaseRecorder, Recorder


def train_saga(name: str, params: Params, root: Path, out: Path, recorder: Recorder) -> dict[str, float | str]:
    """Train 3a, 3b and, where it has epochs, 4; choose epoch and fusion weights on validation identities."""
    config, device = params.saga, choose_device(params.runtime.device)
    clip = Clip.load(root / "models/backbone")
    reid, spec, _ = read_reid(root / "models/clip_reid")
    if config.drop_sie:
        reid.side = None  # neither stage 3 nor the saved model has it
    freeze(reid).to(device)
    data = TrainingImages.open(root / "data/prepared", root / "data/occluded")
    check_anchors(config, data.kind)
    text = clip.text_encoder().to(device)
    head = build_head(config, reid, data.identities, text, spec.tokenizer(), data.camera_count).to(device)
    mark = mark_of(params, root)
    cache = root / f".checkpoints/saga-tokens-{tokens_mark(params, root)}.npy"
    tokens = open_tokens(cache, reid, data, params.finetune.recipe, config, spec)
    blocks = tapped_blocks(config.token_blocks, reid.encoder.depth)
    watch = Watch(head, text, ReidEmbedder("saga", reid, spec, device), blocks,
                  Validation.open(root / "data/prepared", root / "data/occluded"))
    outcome = _phases(params, head, text, tokens, data, mark, root, watch, recorder)
    if config.epochs_4:
        outcome = _stage4(params, outcome, head, text, data, spec, mark, root, watch, recorder)
    weights, figures = watch.fusion(config.fusion_grid, config.fusion_weights, config.fusion_equal_spreads)
    with atomic_directory(out) as folder:
        save_saga(head, head.anchors(text), reid, spec, blocks, weights, folder,
                  config={"prepare": asdict(params.prepare), "saga": asdict(config)})
    fusion = dict(zip(("fusion_refined", "fusion_cls", "fusion_projected"), weights, strict=True))
    return {**outcome.figures(), **figures, **fusion, "selection": RULE}


def mark_of(params: Params, root: Path) -> str:
    """What this training's result depends on."""
    paths = [root / "data/prepared/manifest.parquet", root / "data/occluded/suites.json",
             root / "models/clip_reid/weights.safetensors", root / "models/clip_reid/model.json",
             root / "models/backbone/model.json", root / "models/backbone/weights.safetensors"]  # for the texts
    if params.saga.epochs_4:
        paths.append(root / "models/prompts/prompts.safetensors")
    return checkpoint.fingerprint(__name__, asdict(params.saga), asdict(params.finetune), checkpoint.inputs(*paths))


def tokens_mark(params: Params, root: Path) -> str:
    """What the cached tokens depend on: heads that differ in other settings share a cache."""
    config, recipe = params.saga, params.finetune.recipe
    views = (config.seed, config.views, config.draw_block, config.token_blocks, config.drop_sie,
             config.domain == "clip", recipe.flip, recipe.pad, recipe.erase, recipe.occluded)
    return checkpoint.fingerprint("reanchor.methods.saga.tokens", views, checkpoint.inputs(
        root / "data/prepared/manifest.parquet", root / "data/occluded/suites.json",
        *(root / f"models/clip_reid/{name}" for name in ("weights.safetensors", "model.json"))))


def _phases(params: Params, head: SagaHead, text: TextEncoder, tokens: TokenSource, data: TrainingImages, mark: str,
            root: Path, watch: Watch, recorder: Recorder) -> Outcome:
    """3a, the boundary, 3b; the better epoch of both is kept. One curve: 3b's rows come after 3a's."""
    config, every = params.saga, params.runtime.checkpoint_steps
    first = saga_job("3a", config, head, text, tokens, data.labels, watch.score)
    outcome = Trainer(first, root / f".checkpoints/saga-3a-{mark}.pt", mark, every, recorder).run()
    if not config.epochs_b:
        return outcome
    kept = {name: value.clone() for name, value in head.state_dict().items()}
    if config.classifiers == 1:
        head.reset_classifiers(torch.Generator().manual_seed(config.seed + 1))
    second = saga_job("3b", config, head, text, tokens, data.labels, watch.score)
    later = Trainer(second, root / f".checkpoints/saga-3b-{mark}.pt", mark, every,
                    PhaseRecorder(recorder, outcome.steps, config.epochs_a)).run()
    whole = replace(later, steps=outcome.steps + later.steps, best_epoch=config.epochs_a + later.best_epoch)
    if later.best_score >= outcome.best_score:
        return whole
    head.load_state_dict(kept)
    return replace(whole, best_epoch=outcome.best_epoch, best_score=outcome.best_score)


def _stage4(params: Params, earlier: Outcome, head: SagaHead, text: TextEncoder, data: TrainingImages, spec: ClipSpec,
            mark: str, root: Path, watch: Watch, recorder: Recorder) -> Outcome:
    """End to end; the backbone and head of before come back where stage 4 did not reach their score."""
    config, reid, done = params.saga, watch.reid.model, params.saga.epochs_a + params.saga.epochs_b
    texts = read_text_features(root / "models/prompts").to(watch.reid.device)
    job = stage4_job(config, params.finetune.recipe, head, reid, text, data, texts, spec, watch.score)
    kept = {name: value.clone() for name, value in job.module.state_dict().items()}
    later = Trainer(job, root / f".checkpoints/saga-4-{mark}.pt", mark, params.runtime.checkpoint_steps,
                    PhaseRecorder(recorder, earlier.steps, done)).run()
    freeze(reid)
    whole = replace(later, steps=earlier.steps + later.steps, best_epoch=done + later.best_epoch)
    if later.best_score >= earlier.best_score:
        return whole
    job.module.load_state_dict(kept)
    return replace(whole, best_epoch=earlier.best_epoch, best_score=earlier.best_score)
