"""Trained models at test time: images in, unit features (and token weights) out."""

from pathlib import Path

from reanchor.clip.model import read_model_json
from reanchor.embedding.gate import GateEmbedder, load_gate
from reanchor.embedding.reid import ReidEmbedder, load_reid, load_zero_shot
from reanchor.embedding.saga import SagaEmbedder, load_saga
from reanchor.errors import ReanchorError
from reanchor.training.device import choose_device

__all__ = ["VARIANTS", "GateEmbedder", "ReidEmbedder", "SagaEmbedder", "load_embedder"]

VARIANTS = ("fused", "refined", "cls")


def load_embedder(folder: Path, device: str = "cpu", variant: str = "fused") -> ReidEmbedder | SagaEmbedder:
    """The model in `folder`, whatever its kind.

    Args:
        variant: for SAGA, which feature: "fused" (weights chosen on validation identities),
            "refined" (the aggregation alone) or "cls" (global pooling alone).

    Raises:
        ReanchorError: when the folder holds no model or the variant is unknown.
    """
    if variant not in VARIANTS:
        raise ReanchorError(f"variant: got '{variant}', allowed are {', '.join(VARIANTS)}")
    device, kind = choose_device(device), read_model_json(folder)["kind"]
    if kind == "clip":
        return load_zero_shot(Path(folder), device)
    if kind == "reid":
        return load_reid(Path(folder), device)
    if kind == "gate":
        return load_gate(Path(folder), device)
    return load_saga(Path(folder), device, variant)
