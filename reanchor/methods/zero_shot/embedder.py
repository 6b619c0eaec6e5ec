"""The backbone at test time: image features for image queries, both towers for sentences."""

from collections.abc import Sequence
from pathlib import Path

from reanchor.clip.model import Clip
from reanchor.methods.clip_reid.embedder import ReidEmbedder
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.text.towers import DualEncoder, DualSearcher


def load(folder: Path, device: str, features: Sequence[str] = (), variant: str = "") -> ReidEmbedder:
    """concat([CLS], its projection) of the untouched image tower; it has no further features."""
    clip = Clip.load(folder)
    return ReidEmbedder("zero_shot", ReidModel(clip.image_encoder(), identities=1), clip.spec, device)


def load_searcher(folder: Path, device: str) -> DualSearcher:
    """The untouched towers."""
    clip = Clip.load(folder)
    return DualSearcher("zero_shot", DualEncoder(clip).to(device).eval(), clip.spec)
