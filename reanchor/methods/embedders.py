"""Trained models for image queries, whatever method made them."""

from collections.abc import Sequence
from pathlib import Path

from reanchor.formats.embedder import Embedder
from reanchor.methods.flip import FlipAveraged
from reanchor.methods.kinds import loader_of
from reanchor.methods.method import code
from reanchor.training.device import choose_device


def load_embedder(folder: Path, device: str = "cpu", variant: str = "", features: Sequence[str] = (),
                  flip: bool = False) -> Embedder:
    """The model in `folder` as images in, unit features (and token weights) out; of a text-based one its image side.

    Args:
        variant: which of a model's features, where it has several ("refined" of SAGA, say); empty: its own choice.
        features: further features of the same pass (`evaluate.features`).
        flip: average with the mirrored image.

    Raises:
        ReanchorError: when the folder holds no model, one without a feature of its own (MGCC), or the variant is
            unknown.
    """
    embedder = code(loader_of(Path(folder), "embed"))(Path(folder), choose_device(device), features, variant)
    return FlipAveraged(embedder) if flip else embedder
