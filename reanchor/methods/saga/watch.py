"""The head in training, seen on validation identities."""

import numpy as np
import torch
import torch.nn.functional as F

from reanchor.clip.text import TextEncoder
from reanchor.formats.labels import Labels
from reanchor.methods.clip_reid.embedder import ReidEmbedder
from reanchor.methods.saga.batch import token_batch
from reanchor.methods.saga.features import fuse
from reanchor.methods.saga.fusion import Parts, choose_weights, equal_spreads, spread
from reanchor.methods.saga.head import SagaHead
from reanchor.retrieval.validation import Validation


class Watch:
    """Validation figures of a head that stands on `reid`'s tokens of `blocks`."""

    def __init__(self, head: SagaHead, text: TextEncoder, reid: ReidEmbedder, blocks: tuple[int, ...],
                 validation: Validation):
        self.head, self.text, self.reid, self.blocks, self.validation = head, text, reid, blocks, validation

    @torch.inference_mode()
    def parts(self, images: np.ndarray, labels: Labels, batch: int = 256) -> Parts:
        """[refined, [CLS], projection] of images [N, H, W, 3]."""
        anchors, chunks = self.head.anchors(self.text), []
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            out = self.reid.tokens(images[part], labels[part], self.blocks)
            cameras = torch.as_tensor(labels[part].camids, device=anchors.device)
            refined = self.head.aggregate(token_batch(out, self.blocks, cameras), anchors).feature
            chunks.append((refined, out.cls, out.projected))
        return [torch.cat(pieces) for pieces in zip(*chunks, strict=True)]

    def score(self) -> dict[str, float]:
        """Validation figures of the refined feature alone, which is what training is about."""
        return self.validation.score(
            lambda images, labels: F.normalize(self.parts(images, labels)[0], dim=1).cpu().numpy())

    def fusion(self, grid: list[float], given: list[float], equal: bool = False
               ) -> tuple[tuple[float, float, float], dict[str, float]]:
        """Fusion weights (the `given` ones, else the grid's best) and validation figures of the fused feature.

        With `equal` the given ones are divided by the spreads of the parts' validation cosines, as the grid's are.
        """
        self.head.eval()
        view = self.validation
        gallery = self.parts(view.gallery, view.gallery_labels)
        queries = {name: self.parts(images, view.query_labels) for name, images in view.queries.items()}
        if given:
            spreads = spread(queries["whole"], gallery) if equal else [1.0] * len(given)
            weights = equal_spreads(given, spreads)
            figures = view.score_features(fuse(gallery, list(weights)).cpu().numpy(), {
                name: fuse(parts, list(weights)).cpu().numpy() for name, parts in queries.items()})
        else:
            weights, figures = choose_weights(view, queries, gallery, grid)
        return weights, {f"fused_{name}": value for name, value in figures.items()}
