"""SAGA's aggregation: patch tokens query the anchors; the pooled, refined tokens are the feature.

Shapes: B images, P token paths, T patch tokens a path, K + M anchors, D token width, F feature width,
C identities.
"""

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from reanchor.methods.clip_reid.model import BNNeck
from reanchor.methods.saga.anchors import FreeAnchors, TextAnchors
from reanchor.methods.saga.batch import TokenBatch
from reanchor.methods.saga.frozen import FrozenAnchors, GenericAnchors
from reanchor.methods.saga.refine import RefineBlock, Refinement


@dataclass
class Aggregated:
    """One image batch through the head."""

    feature: Tensor  # [B, F]
    token_weights: Tensor  # [B, T], sums to 1; the mean over paths
    anchors: Tensor  # [K, D] text anchors
    refined: list[Tensor]  # [B, T, D] per path
    attention: list[Tensor]  # [B, T, K of this path] per path, domain anchors left out
    scores: list[Tensor] = field(default_factory=list)  # [B, C] per classifier, where asked for


class SagaHead(nn.Module):
    """Anchors, refinement, pooling, BN neck and classifiers; backbone and text encoder stay outside.

    Args:
        paths: token blocks read. Each path refines its own tokens and sees its own share of the text
            anchors; the deepest sees the domain anchors too. Pooled features are summed.
        feature_width: F, by a linear map of the pooled tokens; 0: no map, F = D.
    """

    def __init__(self, anchors: TextAnchors | FreeAnchors | FrozenAnchors | GenericAnchors, domain: nn.Module | None,
                 layers: int, heads: int, width: int, identities: int, classifiers: int, paths: int = 1,
                 feature_width: int = 0):
        super().__init__()
        self.anchors, self.domain, self.heads = anchors, domain, heads
        self.refine = nn.ModuleList(Refinement(RefineBlock(width, heads) for _ in range(layers)) for _ in range(paths))
        self.feature_width = feature_width or width
        self.proj = nn.Identity() if self.feature_width == width else nn.Linear(width, self.feature_width)
        self.neck = BNNeck(self.feature_width)
        self.classifiers = nn.ModuleList(nn.Linear(self.feature_width, identities, bias=False)
                                         for _ in range(classifiers))

    def initialise(self, generator: Generator) -> None:
        """Seeded anchors and classifiers; refinement blocks come from CLIP by `start_from`."""
        self.anchors.initialise(generator)
        if self.domain is not None:
            self.domain.initialise(generator)
        self.reset_classifiers(generator)

    def reset_classifiers(self, generator: Generator) -> None:
        """N(0, .001), and the neck's statistics anew (the boundary of 3a and 3b with one classifier)."""
        self.neck.reset_running_stats()
        with torch.no_grad():
            for classifier in self.classifiers:
                drawn = torch.empty(classifier.weight.shape).normal_(0, 0.001, generator=generator)
                classifier.weight.copy_(drawn)  # drawn on the CPU, so that a GPU sees the same values

    def settings(self, text_anchors: int) -> dict:
        """All that rebuilds the head around its weights, as JSON takes it."""
        domain = self.domain
        return {
            "text_anchors": text_anchors, "domain": domain.kind if domain else "none",
            "domain_anchors": domain.count if domain else 0, "cameras": getattr(domain, "camera_count", 0),
            "layers": len(self.refine[0]), "heads": self.heads, "classifiers": len(self.classifiers),
            "feature_width": self.feature_width,
        }

    def aggregate(self, batch: TokenBatch, anchors: Tensor) -> Aggregated:
        """Tokens [B, P T, D] and anchors [K, D] -> feature, token weights and what they are made of.

        A token's weight is its largest attention to any anchor, domain anchors included, in the
        last block; weights are normalised to sum 1.
        """
        paths = batch.tokens.chunk(len(self.refine), dim=1)
        shares = anchors.split(anchor_shares(len(anchors), len(paths)))
        pooled, token_weights, refined, attentions = [], [], [], []
        for number, (refine, tokens, share) in enumerate(zip(self.refine, paths, shares, strict=True), start=1):
            keys = share.expand(len(tokens), -1, -1)
            if self.domain is not None and number == len(paths):
                keys = torch.cat([keys, self.domain(replace(batch, tokens=tokens), anchors)], dim=1)
            tokens, attention = refine(tokens, keys)
            weights = attention.amax(2).float()
            weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
            pooled.append((weights.unsqueeze(-1) * tokens).sum(1))
            token_weights.append(weights)
            refined.append(tokens)
            attentions.append(attention[..., :len(share)])
        return Aggregated(self.proj(sum(pooled)), sum(token_weights) / len(paths), anchors, refined, attentions)

    def forward(self, batch: TokenBatch, anchors: Tensor) -> Aggregated:
        """All that the training losses need; `anchors` from `self.anchors(text)`."""
        out = self.aggregate(batch, anchors)
        necked = self.neck(out.feature)
        out.scores = [classify(necked) for classify in self.classifiers]
        return out

    def anchor_features(self, out: Aggregated) -> tuple[Tensor, Tensor]:
        """Each text anchor's own feature [B, K, F], of unit length, and its attention mass [B, K].

        Tokens are pooled by their attention to that anchor alone.
        """
        features, masses = [], []
        for refined, attention in zip(out.refined, out.attention, strict=True):
            mass = attention.sum(1)
            pooled = attention.mT @ refined / mass.clamp(min=1e-6).unsqueeze(-1)
            features.append(F.normalize(self.proj(pooled), dim=-1))
            masses.append(mass)
        return torch.cat(features, dim=1), torch.cat(masses, dim=1)


def anchor_shares(count: int, paths: int) -> list[int]:
    """How many text anchors each path sees: K // P, and the deepest the rest (the authors' rule for two paths)."""
    return [count // paths] * (paths - 1) + [count - count // paths * (paths - 1)]
