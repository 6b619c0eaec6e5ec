"""Attention that few queries ask: [CLS] in a ViT's last block, the mean cell in a ResNet's pooling.

Keys and values of single tokens need not be made: a query goes through the key weights and meets the tokens as they
are, q . (W x) = (W' q) . x, and the value weights read the mixed tokens. The same numbers up to rounding.

Shapes: B images, Q queries, L tokens, D token width, H attention heads.
"""

import torch
from torch import Tensor

Projection = tuple[Tensor, Tensor]  # weight [D, D], bias [D]


def attend(queries: Tensor, x: Tensor, key: Projection, value: Projection, heads: int, bias: Tensor | None = None
           ) -> Tensor:
    """What projected queries [B, Q, D] read of the tokens x [B, L, D], [B, Q, D], heads side by side.

    `bias` [B, 1, Q, L] is added to the logits. Computed in fp32 at least, also under autocast: it is little, and
    logits keep the bits that a sum over D would lose.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        projections = (tuple(part.to(wide) for part in each) for each in (key, value))
        read = _attend(queries.to(wide), x.to(wide), *projections, heads, 0.0 if bias is None else bias.to(wide))
    return read.to(queries.dtype)


def _attend(queries: Tensor, x: Tensor, key: Projection, value: Projection, heads: int, bias: Tensor | float) -> Tensor:
    queries = queries.unflatten(2, (heads, -1)) * (queries.shape[2] // heads) ** -0.5
    (to_key, key_bias), (to_value, value_bias) = ((w.unflatten(0, (heads, -1)), b) for w, b in (key, value))
    same = torch.einsum("bqhd,hd->bhq", queries, key_bias.unflatten(0, (heads, -1)))  # for all tokens: moves no weight
    asked = torch.einsum("bqhd,hdw->bhqw", queries, to_key).flatten(1, 2)
    logits = (asked @ x.transpose(1, 2)).unflatten(1, (heads, -1)) + same.unsqueeze(3)
    mixed = ((logits + bias).softmax(3).flatten(1, 2) @ x).unflatten(1, (heads, -1))
    return torch.einsum("bhqw,hdw->bqhd", mixed, to_value).flatten(2) + value_bias
