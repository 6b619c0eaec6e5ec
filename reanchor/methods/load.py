"""Trained models at test time: images in, unit features (and token weights) out."""

from collections.abc import Sequence
from pathlib import Path

from reanchor.errors import ReanchorError
from reanchor.formats.model_folder import read_model_json
from reanchor.methods.clip_reid.embedder import ReidEmbedder, load_reid, load_zero_shot
from reanchor.methods.gate.embedder import load_gate
from reanchor.methods.saga.embedder import VARIANTS, SagaEmbedder, load_saga
from reanchor.methods.tbps.embedder import JointEmbedder, load_joint
from reanchor.retrieval.flip import FlipAveraged
from reanchor.training.device import choose_device

KINDS = ("clip", "reid", "saga", "gate", "text")
AnyEmbedder = ReidEmbedder | SagaEmbedder | JointEmbedder


def load_embedder(folder: Path, device: str = "cpu", variant: str = "fused", features: Sequence[str] = (),
                  flip: bool = False, saga_features: Sequence[str] = ()) -> AnyEmbedder | FlipAveraged:
    """The model in `folder`, whatever its kind; of a text-based model of two features its image side.

    Args:
        variant: for SAGA, which feature: "fused" (weights chosen on validation identities, or given; with
            "refined" as a variant of the same pass), "refined" (the aggregation alone), "cls" (global
            pooling alone), "projected" (its projection), "concat" (all three, each by its norm), "orthogonal"
            (what [CLS] adds to the refined feature), "anchors" (each text anchor's own feature) or
            "anchors_top2" (of an image's two strongest anchors).
        features: for fine-tuned models, further features of the same pass (`evaluate.features`).
        flip: average with the mirrored image.
        saga_features: for SAGA, further variants of the same pass (`evaluate.saga_features`).

    Raises:
        ReanchorError: when the folder holds no model, one without a feature of its own (MGCC), or the variant is
            unknown.
    """
    if variant not in VARIANTS:
        raise ReanchorError(f"variant: got '{variant}', allowed are {', '.join(VARIANTS)}")
    embedder = _load(Path(folder), choose_device(device), variant, features, saga_features)
    return FlipAveraged(embedder) if flip else embedder


def _load(folder: Path, device: str, variant: str, features: Sequence[str], saga_features: Sequence[str]
          ) -> AnyEmbedder:
    kind = read_model_json(folder)["kind"]
    if kind == "clip":
        return load_zero_shot(folder, device)
    if kind == "gate":
        return load_gate(folder, device)
    if kind == "reid":
        return load_reid(folder, device, features)
    if kind == "saga":
        return load_saga(folder, device, variant, saga_features)
    if kind == "text":
        return load_joint(folder, device)
    why = "compares sets of tokens and has no single feature" if kind == "mgcc" else "is unknown"
    raise ReanchorError(f"{folder}: a model of kind '{kind}' {why}; allowed are {', '.join(KINDS)}: give such a "
                        "folder, or search with reanchor.methods.load_searcher.load_searcher")
