"""Test identities under every condition: average precision of every query, and where token weights fall.

Shapes: B images, Q queries, T patch tokens, L labels of a pixel.
"""

from pathlib import Path

import numpy as np
import torch

from benchmarks.study.arms import ARMS, VARIANTS
from reanchor.config.sections.judging import Evaluate
from reanchor.files import atomic_path
from reanchor.formats.embedder import Embedder, Embedding
from reanchor.methods.clip_reid.embedder import ReidEmbedder, seen_by
from reanchor.methods.clip_reid.model import Encoded
from reanchor.methods.embedders import load_embedder
from reanchor.methods.gate.embedder import GateEmbedder
from reanchor.methods.saga.embedder import SagaEmbedder
from reanchor.methods.saga.features import fuse
from reanchor.methods.saga.fusion import equal_spreads, spread
from reanchor.retrieval.measure import Measured, measure_method
from reanchor.retrieval.ranker import NO_DISTRACTORS
from reanchor.retrieval.study import Study
from reanchor.retrieval.tokens import LABELS
from reanchor.retrieval.validation import Validation
from reanchor.training.checkpoint import inputs

TOKEN_BLOCK = 5  # whose mean token is a row
AUTHORS = (2.0, 0.2, 0.05)  # fusion weights, their code's default


class Beside(Embedder):
    """An embedder that stands on another one, and reads the same images."""

    def __init__(self, inner: Embedder):
        self.name, self.grid, self.patch, self.stride = inner.name, inner.grid, inner.patch, inner.stride
        self.preprocessing = inner.preprocessing


class TokenMean(Beside):
    """A fine-tuned encoder's feature, and the mean patch token of one block as the variant `tokens`."""

    def __init__(self, reid: ReidEmbedder):
        super().__init__(reid)
        self.reid = reid

    @torch.inference_mode()
    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """As the embedder's, [B, D + E] and [B, D]."""
        out: Encoded = self.reid.tokens(images, seen_by(camids, viewids), (TOKEN_BLOCK,))
        own = fuse([torch.cat([out.features["last"], out.features["projected"]], dim=1)], [1.0])
        return Embedding(own.numpy(), variants={"tokens": fuse([out.taps[TOKEN_BLOCK][:, 1:].mean(1)], [1.0]).numpy()})


class Replayed(Beside):
    """A gated model's feature, and the replayed [CLS] without the plain one as the variant `replayed`."""

    def __init__(self, gate: GateEmbedder):
        super().__init__(gate)
        self.gate = gate

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """As the embedder's, whose feature begins with the replayed half where it has two."""
        found = self.gate.embed(images, camids, viewids)
        width = found.features.shape[1] // (2 if self.gate.model.encoder.plain_weight else 1)
        own = found.features[:, :width]
        alone = own / np.linalg.norm(own, axis=1, keepdims=True)
        return Embedding(found.features, found.token_weights, {"replayed": alone})


class Fusions(Beside):
    """SAGA by the weights that validation chose, and by others: `VARIANTS["saga"]`."""

    def __init__(self, saga: SagaEmbedder, validation: Validation):
        super().__init__(saga)
        self.saga = saga
        gallery = self._parts(validation.gallery, validation.gallery_labels.camids)
        queries = self._parts(validation.queries["whole"], validation.query_labels.camids)
        spreads = spread(queries, gallery)
        self.weights = {"refined": [1.0, 0.0, 0.0], "authors": list(AUTHORS),
                        "equal": list(equal_spreads([1.0, 1.0, 1.0], spreads)),
                        "authors_equal": list(equal_spreads(list(AUTHORS), spreads))}

    def _parts(self, images: np.ndarray, camids: np.ndarray, batch: int = 256) -> list[torch.Tensor]:
        chunks = [self.saga.aggregated(images[start:start + batch], seen_by(camids[start:start + batch], None))[1]
                  for start in range(0, len(images), batch)]
        return [torch.cat(parts) for parts in zip(*chunks, strict=True)]

    @torch.inference_mode()
    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """As the embedder's, with every variant."""
        aggregated, parts = self.saga.aggregated(images, seen_by(camids, viewids))
        return Embedding(fuse(parts, list(self.saga.weights)).numpy(), aggregated.token_weights.numpy(),
                         {name: fuse(parts, weights).numpy() for name, weights in self.weights.items()})


def open_embedder(name: str, folder: Path, root: Path) -> Embedder:
    """The arm's model with its variants."""
    embedder = load_embedder(folder)
    kind = ARMS[name].kind
    if kind == "saga":
        return Fusions(embedder, Validation.open(root / "data/prepared", root / "data/occluded"))
    with_variants = {"reid": TokenMean, "gate": Replayed}.get(kind)
    return with_variants(embedder) if with_variants else embedder


def judge(name: str, folder: Path, kept: Path, study: Study, root: Path) -> None:
    """Bring the file `kept` up to date: "ap/<row>/<condition>" [Q] in percent, "share/<condition>" [L] of the token
    weight and "area/<condition>" [L] of the pixels. Conditions that it holds of the same
    images and model are not judged again.
    """
    marks = _marks(folder, study, root)
    arrays = _still_true(kept, marks)
    rows = [name, *(f"{name}:{variant}" for variant in VARIANTS.get(ARMS[name].kind, ()))]
    wanted = [condition for condition in study.conditions()
              if any(f"ap/{row}/{condition.name}" not in arrays for row in rows)]
    if not wanted:
        return
    config = Evaluate(camera_rule=study.camera_rule("auto"))
    measured = measure_method(name, open_embedder(name, folder, root), study, config, lambda line: None, wanted)
    arrays |= _arrays(name, measured) | {f"mark/{one.name}": np.array(marks[one.name]) for one in wanted}
    with atomic_path(kept) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{name}: {kept.stem} judged, whole {np.nanmean(arrays[f'ap/{name}/whole']):.1f}", flush=True)


def _marks(folder: Path, study: Study, root: Path) -> dict[str, str]:
    """Of each condition what its figures depend on: its images, all prepared ones, the model and its settings."""
    common = " ".join(inputs(root / "data/prepared/manifest.parquet", folder / "weights.safetensors",
                             folder / "model.json"))
    return {condition.name: f"{condition.sha256} {common}" for condition in study.conditions()}


def _still_true(kept: Path, marks: dict[str, str]) -> dict[str, np.ndarray]:
    """What `kept` holds, without conditions whose images or model have changed since."""
    if not kept.is_file():
        return {}
    with np.load(kept) as found:
        arrays = {key: found[key] for key in found.files}
    return {key: value for key, value in arrays.items()
            if (name := key.rpartition("/")[2]) not in marks or str(arrays.get(f"mark/{name}")) == marks[name]}


def _arrays(name: str, measured: dict[str, Measured]) -> dict[str, np.ndarray]:
    arrays = {f"ap/{_row(name, row)}/{condition}": (100 * ranking.ap_Q).astype(np.float32)
              for row, one in measured.items() for condition, ranking in one.rankings.items()
              if condition != NO_DISTRACTORS}
    for columns in measured[name].token_shares:
        for key, prefix in (("share", "weight"), ("area", "area")):
            arrays[f"{key}/{columns['condition'][0]}"] = np.array([columns[f"{prefix}_{label}"].mean()
                                                                   for label in LABELS])
    return arrays


def _row(name: str, row: str) -> str:
    return name if row == name else f"{name}:{row.removeprefix(f'{name}_')}"
