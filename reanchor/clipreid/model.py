"""CLIP-ReID's stage-2 network: the image encoder, BN necks and ID classifiers.

Shapes: B images, D token width, E joint width, C identities.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor, nn

from reanchor.clip.vision import ImageEncoder, ImageTokens
from reanchor.errors import ReanchorError


class BNNeck(nn.BatchNorm1d):
    """Batch norm whose bias stays zero (BoT's neck)."""

    def __init__(self, width: int):
        super().__init__(width)
        self.bias.requires_grad_(False)


@dataclass
class Stage2Output:
    """Scores after the necks [B, C] each; features before them."""

    scores: list[Tensor]  # on [CLS] after ln_post, on its projection
    features: list[Tensor]  # [CLS] after block L-1, after ln_post, projected
    tokens: ImageTokens


class ReidModel(nn.Module):
    """Image encoder with optional SIE, two BN necks, two bias-free classifiers N(0, .001)."""

    def __init__(self, encoder: ImageEncoder, identities: int, cameras: int = 0, camera_coefficient: float = 0.0,
                 token_block: int = 0):
        super().__init__()
        if token_block > encoder.depth:
            raise ReanchorError(f"finetune.token_block: got {token_block}; allowed: 1 to {encoder.depth}, the blocks "
                                "of this backbone")
        self.encoder = encoder
        self.camera_coefficient = camera_coefficient
        self.camera = nn.Parameter(torch.zeros(cameras, encoder.width)) if camera_coefficient else None
        self.neck, self.neck_projected = BNNeck(encoder.width), BNNeck(encoder.embed)
        self.classifier = nn.Linear(encoder.width, identities, bias=False)
        self.classifier_projected = nn.Linear(encoder.embed, identities, bias=False)
        self.token_block = token_block
        if token_block:
            self.neck_token = BNNeck(encoder.width)
            self.classifier_token = nn.Linear(encoder.width, identities, bias=False)

    def initialise(self, generator: Generator) -> None:
        """Seeded initial values of everything but the encoder."""
        with torch.no_grad():
            for head in self.heads():
                head.weight.normal_(0, 0.001, generator=generator)
            if self.camera is not None:
                nn.init.trunc_normal_(self.camera, std=0.02, generator=generator)

    def heads(self) -> list[nn.Linear]:
        """The ID classifiers."""
        return [self.classifier, self.classifier_projected, *([self.classifier_token] if self.token_block else [])]

    def encode(self, images: Tensor, cameras: Tensor | None, taps: tuple[int, ...] = ()) -> ImageTokens:
        """One pass; SIE is added when the model has camera embeddings (labels [B], 0-based)."""
        side = None
        if self.camera is not None and cameras is not None:
            side = self.camera_coefficient * self.camera[cameras]
        return self.encoder(images, side, taps)

    def forward(self, images: Tensor, cameras: Tensor | None = None) -> Stage2Output:
        """Scores and features of the training losses."""
        before_last = self.encoder.depth - 1
        taps = (before_last, self.token_block) if self.token_block else (before_last,)
        out = self.encode(images, cameras, taps)
        scores = [self.classifier(self.neck(out.cls)), self.classifier_projected(self.neck_projected(out.projected))]
        return Stage2Output(scores, [out.taps[before_last][:, 0], out.cls, out.projected], out)

    def token_scores(self, out: Stage2Output) -> tuple[Tensor, Tensor]:
        """ID scores and the feature of the mean patch token of `token_block`."""
        mean = out.tokens.taps[self.token_block][:, 1:].mean(1)
        return self.classifier_token(self.neck_token(mean)), mean


def camera_index(camids: np.ndarray, cameras: int) -> Tensor:
    """0-based rows of the camera table for 1-based camids [B].

    Raises:
        ReanchorError: a camera without a learned embedding.
    """
    strange = sorted({int(camid) for camid in camids if not 1 <= camid <= cameras})
    if strange:
        raise ReanchorError(f"finetune.camera_embedding: camera {strange[0]} has no embedding, allowed are 1 to "
                            f"{cameras} (those of the training images); set finetune.camera_embedding=0")
    return torch.as_tensor(np.asarray(camids, dtype=np.int64) - 1)


def retrieval_feature(out: ImageTokens) -> Tensor:
    """concat([CLS] after ln_post, projection), [B, D + E], un-normalised (before the necks)."""
    return torch.cat([out.cls, out.projected], dim=1).float()
