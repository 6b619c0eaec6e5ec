"""CLIP-ReID's stage-2 network: the image encoder, BN necks and ID classifiers.

Shapes: B images, D width of the last feature, E joint width, C identities.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from reanchor.clip.resnet import CnnEncoder, ImageMaps
from reanchor.clip.vision import ImageEncoder, ImageTokens
from reanchor.errors import ReanchorError
from reanchor.methods.clip_reid.side import SideInformation, SideSettings

Encoded = ImageTokens | ImageMaps
TEST_FEATURE = ("last", "projected")  # what CLIP-ReID retrieves with


class BNNeck(nn.BatchNorm1d):
    """Batch norm whose bias stays zero (BoT's neck), unless it is thawed (`finetune.recipe.neck_bias`)."""

    def __init__(self, width: int):
        super().__init__(width)
        self.bias.requires_grad_(False)


@dataclass
class Stage2Output:
    """Scores after the necks [B, C] each; features before them."""

    scores: list[Tensor]  # on the last feature, on its projection
    features: list[Tensor]  # before the last block (or layer4), last, projected
    encoded: Encoded


class ReidModel(nn.Module):
    """Image encoder with optional SIE, two BN necks, two bias-free classifiers N(0, .001)."""

    def __init__(self, encoder: ImageEncoder | CnnEncoder, identities: int, side: SideSettings | None = None,
                 token_block: int = 0):
        super().__init__()
        if encoder.grid is None and (side or token_block):
            raise ReanchorError(f"finetune.recipe.{'sie' if side else 'token_block'}: a ResNet has neither [CLS] nor "
                                "patch tokens; allowed: finetune.recipe.sie=none and token weights of 0, or a ViT")
        if token_block > encoder.depth:
            raise ReanchorError(f"finetune.recipe.token_block: got {token_block}; allowed: 1 to {encoder.depth}, the "
                                "blocks of this backbone")
        self.encoder = encoder
        self.side = SideInformation(side, encoder.width) if side else None
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
        if self.side is not None:
            self.side.initialise(generator)

    def heads(self) -> list[nn.Linear]:
        """The ID classifiers."""
        return [self.classifier, self.classifier_projected, *([self.classifier_token] if self.token_block else [])]

    def encode(self, images: Tensor, sides: Tensor | None, taps: tuple[int, ...] = ()) -> Encoded:
        """One pass; SIE is added when the model has it and rows of its table [B] are given."""
        side = None if self.side is None or sides is None else self.side(sides)
        return self.encoder(images, side, taps)

    def forward(self, images: Tensor, sides: Tensor | None = None) -> Stage2Output:
        """Scores and features of the training losses."""
        out = self.encode(images, sides, (self.token_block,) if self.token_block else ())
        before_last, last, projected = out.features.values()
        scores = [self.classifier(self.neck(last)), self.classifier_projected(self.neck_projected(projected))]
        return Stage2Output(scores, [before_last, last, projected], out)

    def token_scores(self, out: Stage2Output) -> tuple[Tensor, Tensor]:
        """ID scores and the feature of the mean patch token of `token_block`."""
        mean = out.encoded.taps[self.token_block][:, 1:].mean(1)
        return self.classifier_token(self.neck_token(mean)), mean

    def after_neck(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """The two features that have a neck, behind it."""
        return {"last": self.neck(features["last"]), "projected": self.neck_projected(features["projected"])}


def retrieval_feature(features: dict[str, Tensor], names: Sequence[str] = TEST_FEATURE) -> Tensor:
    """The named features side by side, un-normalised (CLIP-ReID Table 11; by default [B, D + E])."""
    return torch.cat([features[name] for name in names], dim=1).float()
