"""One residual attention block of CLIP's ViT, with open_clip's weights and fewer passes over memory.

torch's MultiheadAttention copies queries, keys and values into place before it attends; here they stay where one
product left them, and on a CPU a block's training step takes a sixth less time. The same numbers up to rounding.

Shapes: B images, L tokens, D token width, H attention heads.
"""

import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from reanchor.clip.few_queries import attend

QUICK = 1.702  # QuickGELU(x) = x sigmoid(1.702 x)


def is_plain(block: nn.Module) -> bool:
    """Whether the block's attention is CLIP's own and not another of open_clip's."""
    return type(block.attn) is nn.MultiheadAttention


def residual_block(block: nn.Module, x: Tensor, rows: int | None = None) -> Tensor:
    """The first `rows` tokens [B, rows, D] (None: all) of the block's output on tokens [B, L, D].

    Nothing reads the patch tokens behind the last block, which spares it nearly all of its products.
    """
    if not is_plain(block):
        return block(x)[:, :rows]
    seen = block.ln_1(x)
    if rows is not None:
        return finish(block, x[:, :rows], read_by_first(block, seen, rows))
    return finish(block, x, F.scaled_dot_product_attention(*heads_of(block, seen)))


def read_by_first(block: nn.Module, seen: Tensor, rows: int, bias: Tensor | None = None) -> Tensor:
    """What the first `rows` of the normed tokens [B, L, D] read of them all, [B, H, rows, D / H].

    `bias` [B, 1, rows, L] is added to the logits.
    """
    attention = block.attn
    query, *others = zip(attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True)
    mixed = attend(F.linear(seen[:, :rows], *query), seen, *others, attention.num_heads, bias)
    return mixed.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)


def heads_of(block: nn.Module, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of normed tokens [B, L, D], [B, H, L, D / H] each."""
    attention = block.attn
    joined = F.linear(seen, attention.in_proj_weight, attention.in_proj_bias)
    parts = joined.unflatten(-1, (3, attention.num_heads, -1)).unbind(2)
    return tuple(part.transpose(1, 2) for part in parts)


def finish(block: nn.Module, x: Tensor, mixed: Tensor) -> Tensor:
    """What stands behind attention: `mixed` [B, H, tokens, D / H] is added to its tokens `x`, then the MLP."""
    x = x + block.ls_1(block.attn.out_proj(mixed.transpose(1, 2).flatten(2)))
    return x + block.ls_2(_mlp(block.mlp, block.ln_2(x)))


def _mlp(mlp: nn.Module, x: Tensor) -> Tensor:
    """The block's MLP on tokens [B, L, D]. QuickGELU(x) is SiLU(1.702 x) / 1.702: one pass over the widest tokens where
    open_clip's takes three, and fewer for the gradient too; the two factors go into the weights.
    """
    if not isinstance(getattr(mlp, "gelu", None), QuickGELU):
        return mlp(x)
    active = F.silu(F.linear(x, mlp.c_fc.weight * QUICK, mlp.c_fc.bias * QUICK))
    return F.linear(active, mlp.c_proj.weight / QUICK, mlp.c_proj.bias)
