"""SAGA's aggregation: patch tokens query the anchors; the pooled, refined tokens are the feature.

Shapes: B images, T patch tokens, K + M anchors, D token width, C identities.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from reanchor.clipreid.model import BNNeck
from reanchor.saga.anchors import DomainAnchors, FreeAnchors, TextAnchors


class RefineBlock(nn.Module):
    """Pre-norm cross-attention to the anchors, then a pre-norm MLP (x4, exact GELU), both residual."""

    def __init__(self, width: int, heads: int, dropout: float = 0.1):
        super().__init__()
        self.norm_q, self.norm_kv, self.norm_ff = (nn.LayerNorm(width) for _ in range(3))
        self.attn = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.ff = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout),
                                nn.Linear(4 * width, width), nn.Dropout(dropout))

    def forward(self, tokens: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, D], [B, K+M, D] -> refined tokens and head-averaged attention [B, T, K+M].

        In training the attention returned is the one after its dropout, as in the authors' code.
        """
        keys = self.norm_kv(anchors)
        update, attention = self.attn(self.norm_q(tokens), keys, keys, need_weights=True)
        tokens = tokens + update
        return tokens + self.ff(self.norm_ff(tokens)), attention

    def start_from(self, block: nn.Module) -> None:
        """Copy a CLIP block: ln_1 to both norms of the attention, ln_2, attention and MLP."""
        self.norm_q.load_state_dict(block.ln_1.state_dict())
        self.norm_kv.load_state_dict(block.ln_1.state_dict())
        self.norm_ff.load_state_dict(block.ln_2.state_dict())
        self.attn.load_state_dict(block.attn.state_dict())
        self.ff[0].load_state_dict(block.mlp.c_fc.state_dict())
        self.ff[3].load_state_dict(block.mlp.c_proj.state_dict())


@dataclass
class Aggregated:
    """One image batch through the head."""

    feature: Tensor  # [B, D]
    token_weights: Tensor  # [B, T], sums to 1
    scores: list[Tensor]  # [B, C] per classifier
    anchors: Tensor  # [K, D] text anchors


class SagaHead(nn.Module):
    """Anchors, refinement, pooling, BN neck and classifiers; backbone and text encoder stay outside."""

    def __init__(self, anchors: TextAnchors | FreeAnchors, domain: DomainAnchors | None, layers: int, heads: int,
                 width: int, identities: int, classifiers: int):
        super().__init__()
        self.anchors, self.domain = anchors, domain
        self.refine = nn.ModuleList(RefineBlock(width, heads) for _ in range(layers))
        self.neck = BNNeck(width)
        self.classifiers = nn.ModuleList(nn.Linear(width, identities, bias=False) for _ in range(classifiers))

    def initialise(self, generator: Generator) -> None:
        """Seeded anchors and classifiers; refinement blocks come from CLIP by `start_from`."""
        self.anchors.initialise(generator)
        self.reset_classifiers(generator)

    def reset_classifiers(self, generator: Generator) -> None:
        """N(0, .001), and the neck's statistics anew (the boundary of 3a and 3b with one classifier)."""
        self.neck.reset_running_stats()
        with torch.no_grad():
            for classifier in self.classifiers:
                drawn = torch.empty(classifier.weight.shape).normal_(0, 0.001, generator=generator)
                classifier.weight.copy_(drawn)  # drawn on the CPU, so that a GPU sees the same values

    def aggregate(self, tokens: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, D] tokens and [K, D] anchors -> feature [B, D] and token weights [B, T].

        A token's weight is its largest attention to any anchor, domain anchors included, in the
        last block; weights are normalised to sum 1.
        """
        keys = anchors.expand(len(tokens), -1, -1)
        if self.domain is not None:
            keys = torch.cat([keys, self.domain(tokens)], dim=1)
        for block in self.refine:
            tokens, attention = block(tokens, keys)
        weights = attention.amax(2).float()
        weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
        return (weights.unsqueeze(-1) * tokens).sum(1), weights

    def forward(self, tokens: Tensor, anchors: Tensor) -> Aggregated:
        """All that the training losses need; `anchors` from `self.anchors(text)`."""
        feature, weights = self.aggregate(tokens, anchors)
        necked = self.neck(feature)
        return Aggregated(feature, weights, [classify(necked) for classify in self.classifiers], anchors)


def fuse(parts: list[Tensor], weights: list[float]) -> Tensor:
    """One feature whose dot product is the weighted mean of the parts' cosine similarities.

    Args:
        parts: [B, D_i] each; weights: one per part, not all zero.
    Returns: [B, sum D_i] of unit length.
    """
    total = sum(weights)
    return torch.cat([(weight / total) ** 0.5 * F.normalize(part.float(), dim=1)
                      for part, weight in zip(parts, weights, strict=True)], dim=1)
