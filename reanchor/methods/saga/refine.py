"""Refinement: patch tokens attend to the anchors, block after block.

Shapes: B images, T patch tokens, A anchors that a path sees, D token width.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class RefineBlock(nn.Module):
    """Pre-norm cross-attention to the anchors, then a pre-norm MLP (x4, exact GELU), both residual."""

    def __init__(self, width: int, heads: int, dropout: float = 0.1):
        super().__init__()
        self.norm_q, self.norm_kv, self.norm_ff = (nn.LayerNorm(width) for _ in range(3))
        self.attn = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.ff = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout),
                                nn.Linear(4 * width, width), nn.Dropout(dropout))

    def forward(self, tokens: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, D], [B, A, D] -> refined tokens and head-averaged attention [B, T, A].

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


class Refinement(nn.ModuleList):
    """The L blocks of one token path; with none of them, tokens are matched to anchors but stay as they are."""

    def forward(self, tokens: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, D], [B, A, D] -> refined tokens and the last block's attention [B, T, A]."""
        if not len(self):
            return tokens, plain_attention(tokens, anchors)
        for block in self:
            tokens, attention = block(tokens, anchors)
        return tokens, attention


def plain_attention(tokens: Tensor, anchors: Tensor) -> Tensor:
    """A block's attention row without anything learned: one head, identity maps, norms without gain and bias.

    With unit-variance rows the scaled product is sqrt(D) times the cosine, so a token's weight
    rises with its largest cosine. For depth 0, which the authors' code does not have.
    """
    width = tokens.shape[-1:]
    scores = F.layer_norm(tokens, width) @ F.layer_norm(anchors, width).mT / width[0] ** 0.5
    return scores.softmax(-1)
