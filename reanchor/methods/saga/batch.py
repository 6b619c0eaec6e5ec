"""What SAGA's head reads of a batch of images.

Shapes: B images, P token paths, T patch tokens a path, D token width, E joint width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from reanchor.clip.vision import ImageTokens
from reanchor.errors import ReanchorError


@dataclass
class TokenBatch:
    """Patch tokens, and what the domain anchors may be made from beside them."""

    tokens: Tensor  # [B, P T, D], path after path, the shallowest block first
    cameras: Tensor | None = None  # int64 [B] camids, 1-based
    projected: Tensor | None = None  # [B, E] [CLS] in the joint space


def tapped_blocks(token_blocks: list[int], depth: int) -> tuple[int, ...]:
    """The blocks, 1-indexed, whose tokens are read; an empty list means the second to last.

    Raises:
        ReanchorError: a block that the backbone has not.
    """
    if max(token_blocks, default=1) > depth or (not token_blocks and depth < 2):
        raise ReanchorError(f"saga.token_blocks: got {token_blocks}; allowed: 1 to {depth}, the blocks of this backbone"
                            + ("" if token_blocks else ", of which the second to last does not exist"))
    return tuple(token_blocks) or (depth - 1,)


def starting_blocks(token_blocks: list[int], depth: int) -> tuple[int, ...]:
    """The blocks that refinement is initialised from: those tapped, but the last one for an empty list.

    The authors' code taps the second to last block then and yet starts from the last.
    """
    return tuple(token_blocks) or (depth,)


def token_batch(encoded: ImageTokens, blocks: tuple[int, ...], cameras: Tensor | None) -> TokenBatch:
    """The patch tokens of the tapped blocks, without [CLS]."""
    return TokenBatch(torch.cat([encoded.taps[block][:, 1:] for block in blocks], dim=1), cameras, encoded.projected)
