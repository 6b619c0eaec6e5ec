"""A CLIP's blocks, and the attention that the last one's output is made of.

Shapes: B sequences, L slots, D width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reanchor.clip.block import finish, heads_of, is_plain
from reanchor.errors import ReanchorError


def causal_block(block: nn.Module, x: Tensor) -> Tensor:
    """A block of the text tower on `x` [B, L, D]; open_clip's, with fewer copies and no mask to read."""
    if not is_plain(block):
        mask = torch.full((x.shape[1], x.shape[1]), float("-inf"), device=x.device).triu_(1)
        return block(x, attn_mask=mask)
    return finish(block, x, F.scaled_dot_product_attention(*heads_of(block, block.ln_1(x)), is_causal=True))


def attended_block(block: nn.Module, x: Tensor, asking: Tensor, causal: bool = False) -> tuple[Tensor, Tensor]:
    """The block's output on `x` [B, L, D], and one slot's attention to all slots, heads averaged, [B, L].

    Only that slot's row of the attention map is computed beside the fused attention; it gives no gradient.

    Args:
        asking: whose attention is wanted, slots [B].
        causal: slots see none behind them (the text tower).

    Raises:
        ReanchorError: the block's attention is not CLIP's own.
    """
    if not is_plain(block):
        raise ReanchorError(f"backbone.model: MGCC reads the attention of the last block, got {type(block).__name__}; "
                            "allowed are towers of CLIP's own blocks: choose a model such as ViT-B-32")
    q, k, v = heads_of(block, block.ln_1(x))
    out = finish(block, x, F.scaled_dot_product_attention(q, k, v, is_causal=causal))
    with torch.no_grad():
        row = q[torch.arange(len(x), device=x.device), :, asking].unsqueeze(2)  # [B, heads, 1, D / heads]
        logits = (row @ k.transpose(2, 3)).squeeze(2).float() * q.shape[3] ** -0.5
        if causal:
            behind = torch.arange(x.shape[1], device=x.device) > asking.unsqueeze(1)
            logits = logits.masked_fill(behind.unsqueeze(1), float("-inf"))
        return out, logits.softmax(-1).mean(1)
