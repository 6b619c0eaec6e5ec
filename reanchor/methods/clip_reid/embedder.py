"""The image encoder as an embedder: untouched (zero-shot) or fine-tuned."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reanchor.clip.model import ClipSpec, freeze
from reanchor.errors import ReanchorError
from reanchor.formats.embedder import Embedder, Embedding
from reanchor.formats.incoming import checked_images, checked_numbers
from reanchor.formats.labels import Labels
from reanchor.formats.model_folder import read_model_json
from reanchor.methods.clip_reid.model import Encoded, ReidModel, retrieval_feature
from reanchor.methods.clip_reid.store import read_reid
from reanchor.training.augment import normalise


class ReidEmbedder(Embedder):
    """concat(last, projected), L2-normalised as one vector (CLIP-ReID's test feature).

    `variants` names further features of the same pass, as `evaluate.features` does.
    """

    def __init__(self, name: str, model: ReidModel, spec: ClipSpec, device: str, variants: Sequence[str] = ()):
        self.name, self.spec, self.device, self.variants = name, spec, device, tuple(variants)
        self.model = freeze(model).to(device)
        encoder = model.encoder
        self.grid, self.patch, self.stride = encoder.grid, encoder.patch, encoder.stride
        self.preprocessing = spec.preprocessing

    def tokens(self, images: np.ndarray, labels: Labels, taps: tuple[int, ...] = ()) -> Encoded:
        """One pass over uint8 images [B, H, W, 3]; of the labels only cameras and views are read.

        Raises:
            ReanchorError: images of another dtype, layout or size than the model reads, or not as many as labels.
        """
        return self.model.encode(self._pixels(images, labels), self._sides(labels), taps)

    def _pixels(self, images: np.ndarray, labels: Labels) -> Tensor:
        given = checked_images(images, tuple(self.spec.image_size), self.name)
        checked_numbers(labels.camids, "camids", len(given))
        return normalise(torch.from_numpy(given), self.spec.mean, self.spec.std).to(self.device)

    def _sides(self, labels: Labels) -> Tensor | None:
        side = self.model.side
        return None if side is None else side.index(labels.camids, labels.viewids).to(self.device)

    @torch.inference_mode()
    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """Unit features [B, D + E]; those of the variants beside them."""
        features = self.tokens(images, seen_by(camids, viewids)).features
        return Embedding(_unit(retrieval_feature(features)),
                         variants={name: _unit(self._variant(features, name)) for name in self.variants})

    def _variant(self, features: dict[str, Tensor], name: str) -> Tensor:
        if name == "after_neck":
            return retrieval_feature(self.model.after_neck(features))
        return retrieval_feature(features, name.split("+"))


def _unit(features: Tensor) -> np.ndarray:
    return F.normalize(features, dim=1).cpu().numpy()


def seen_by(camids: np.ndarray, viewids: np.ndarray | None) -> Labels:
    """Labels of images whose identity is not asked for.

    Raises:
        ReanchorError: cameras or views that are no integers [B].
    """
    camids = checked_numbers(camids, "camids")
    viewids = None if viewids is None else checked_numbers(viewids, "viewids", len(camids))
    return Labels(np.full(len(camids), -1), camids, viewids)


def load(folder: Path, device: str, features: Sequence[str] = (), variant: str = "") -> ReidEmbedder:
    """A fine-tuned model as an embedder; `features` names further ones of the same pass.

    Raises:
        ReanchorError: "after_neck" is asked of a model that came without its necks.
    """
    model, spec, name = read_reid(folder)
    absent = absent_heads(read_model_json(folder)) & {"bottleneck", "bottleneck_proj"}
    if absent and "after_neck" in features:
        raise ReanchorError(f"evaluate.features: got after_neck, but {folder} was imported without "
                            f"{' and '.join(sorted(absent))}; allowed: the features before the necks")
    return ReidEmbedder(name, model, spec, device, features)


def absent_heads(values: dict) -> set[str]:
    """Parts that an import, this one or an earlier one, did not find and made anew, by the authors' names."""
    record, absent = values.get("imported"), set()
    while record:
        absent |= {part["group"] for part in record["parts"] if part["outcome"] == "missing"}
        record = record.get("earlier")
    return absent
