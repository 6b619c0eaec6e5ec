"""SAGA stages 3a and 3b from the workspace's files, with fusion weights from validation identities."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from reanchor.clip.model import Clip, freeze
from reanchor.clip.text import TextEncoder
from reanchor.clipreid.data import TrainingImages
from reanchor.clipreid.store import read_reid
from reanchor.config.sections import Params
from reanchor.embedding.reid import ReidEmbedder
from reanchor.embedding.saga import save_saga
from reanchor.evaluation.ranking import Labels
from reanchor.files import atomic_directory
from reanchor.saga.fusion import Parts, choose_weights
from reanchor.saga.head import SagaHead
from reanchor.saga.train import build_head, cache_tokens, saga_job
from reanchor.training import checkpoint
from reanchor.training.device import choose_device
from reanchor.training.loop import Outcome, Trainer
from reanchor.training.recorder import Recorder
from reanchor.validation import RULE, Validation


def train_saga(params: Params, root: Path, out: Path, recorder: Recorder) -> dict[str, float | str]:
    """Cache tokens, train 3a and 3b, choose the epoch and the fusion weights on validation identities."""
    config, device = params.saga, choose_device(params.runtime.device)
    clip = Clip.load(root / "models/backbone")
    reid, spec, _ = read_reid(root / "models/finetune/clip_reid")
    freeze(reid).to(device)
    data = TrainingImages.open(root / "data/prepared", root / "data/occluded")
    text = clip.text_encoder().to(device)
    head = build_head(config, reid, data.identities, text, spec.tokenizer()).to(device)
    mark = checkpoint.fingerprint(asdict(config), asdict(params.finetune), checkpoint.inputs(
        root / "data/prepared/manifest.parquet", root / "data/occluded/suites.json",
        root / "models/finetune/clip_reid/weights.safetensors", root / "models/finetune/clip_reid/model.json",
        root / "models/backbone/model.json", root / "models/backbone/weights.safetensors"))  # the text encoder's too
    tokens = cache_tokens(root / f".checkpoints/saga-tokens-{mark}.npy", reid, data, params.finetune, config, spec)
    watch = Watch(head, text, ReidEmbedder("saga", reid, spec, device), config.token_block,
                  Validation.open(root / "data/prepared", root / "data/occluded"))
    outcome = _phases(params, head, text, tokens, data, mark, root, watch, recorder)
    weights, figures = watch.choose(config.fusion_grid)
    with atomic_directory(out) as folder:
        save_saga(head, head.anchors(text), reid, spec, config.token_block, weights, folder,
                  config={"prepare": asdict(params.prepare), "saga": asdict(config)})
    fusion = dict(zip(("fusion_refined", "fusion_cls", "fusion_projected"), weights, strict=True))
    return {**outcome.figures(), **figures, **fusion, "selection": RULE}


def _phases(params: Params, head: SagaHead, text: TextEncoder, tokens: np.ndarray, data: TrainingImages, mark: str,
            root: Path, watch: "Watch", recorder: Recorder) -> Outcome:
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
                    Later(recorder, outcome.steps, config.epochs_a)).run()
    whole = replace(later, steps=outcome.steps + later.steps, best_epoch=config.epochs_a + later.best_epoch)
    if later.best_score >= outcome.best_score:
        return whole
    head.load_state_dict(kept)
    return replace(whole, best_epoch=outcome.best_epoch, best_score=outcome.best_score)


class Later:
    """A recorder for a phase that begins after earlier steps and epochs."""

    def __init__(self, recorder: Recorder, steps: int, epochs: int):
        self._recorder, self._steps, self._epochs = recorder, steps, epochs

    def log(self, step: int, values: dict[str, float]) -> None:
        """Shift step and epoch."""
        moved = {"step": step + self._steps, "epoch": values["epoch"] + self._epochs}
        self._recorder.log(step + self._steps, {**values, **moved})


class Watch:
    """The head in training, seen on validation identities."""

    def __init__(self, head: SagaHead, text: TextEncoder, reid: ReidEmbedder, token_block: int,
                 validation: Validation):
        self.head, self.text, self.reid, self.token_block, self.validation = head, text, reid, token_block, validation

    @torch.inference_mode()
    def parts(self, images: np.ndarray, labels: Labels, batch: int = 256) -> Parts:
        """[refined, [CLS], projection] of images [N, H, W, 3]."""
        anchors, chunks = self.head.anchors(self.text), []
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            out = self.reid.tokens(images[part], labels[part], (self.token_block,))
            refined, _ = self.head.aggregate(out.taps[self.token_block][:, 1:], anchors)
            chunks.append((refined, out.cls, out.projected))
        return [torch.cat(pieces) for pieces in zip(*chunks, strict=True)]

    def score(self) -> dict[str, float]:
        """Validation figures of the refined feature alone, which is what 3a and 3b train."""
        return self.validation.score(
            lambda images, labels: torch.nn.functional.normalize(self.parts(images, labels)[0], dim=1).cpu().numpy())

    def choose(self, grid: list[float]) -> tuple[tuple[float, float, float], dict[str, float]]:
        """Fusion weights and the validation figures of the fused feature."""
        self.head.eval()
        view = self.validation
        gallery = self.parts(view.gallery, view.gallery_labels)
        queries = {name: self.parts(images, view.query_labels) for name, images in view.queries.items()}
        weights, figures = choose_weights(view, queries, gallery, grid)
        return weights, {f"fused_{name}": value for name, value in figures.items()}
