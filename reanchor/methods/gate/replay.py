"""[CLS] read a second time, with attention only where the person is visible (docs/explanation/gate.md; this project's).

Patch tokens and the plain [CLS] pass the backbone as they always do. A second [CLS] starts like the plain one and
re-reads the keys and values of every block: of itself and of the patch tokens, whose attention logits get log(w + eps),
w in (0, 1) being the chance that the patch shows the person asked for. It costs one token more, not a second pass.

Shapes: B images, T patch tokens, D token width, H attention heads, E joint width.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reanchor.clip.block import finish, heads_of, is_plain, read_by_first, residual_block
from reanchor.clip.vision import ImageEncoder, ImageTokens
from reanchor.errors import ReanchorError
from reanchor.methods.gate.gates import Gates


@dataclass
class ReplayedTokens(ImageTokens):
    """What a pass with the replay yields: the replayed [CLS] in the place of the plain one."""

    plain: ImageTokens | None = None  # the plain one's, where both are wanted


def replay(encoder: ImageEncoder, images: Tensor, weights: Tensor, side: Tensor | None = None,
           taps: Collection[int] = (), eps: float = 0.1, blocks: int = 0, both: bool = False) -> ReplayedTokens:
    """Encode normalised images [B, 3, H, W] with [CLS] gated by `weights` [B, T].

    Args:
        side, taps: as of `ImageEncoder.forward`; SIE reaches both [CLS] tokens.
        eps: what a patch that shows nothing of the person still weighs; weights of 1 - eps change nothing.
        blocks: how many of the last blocks are gated; 0: all.
        both: the plain [CLS] is wanted too.

    Returns:
        Patch tokens are the plain pass's own.
    """
    x, bias = encoder.start(images, side), attention_bias(weights, eps)
    plain = encoder.depth - blocks if blocks else 0
    kept, before_last = {}, x[:, :1].expand(-1, 2, -1)
    for number, block in enumerate(encoder.visual.transformer.resblocks, start=1):
        if number == plain + 1:
            x = torch.cat([x[:, :1], x], dim=1)  # replayed [CLS], plain [CLS], patch tokens
        rows = 1 + both if number == encoder.depth and number not in taps else None  # nothing reads the others then
        x = gated_block(block, x, bias, rows) if number > plain else residual_block(block, x)
        if number in taps:
            kept[number] = _without_plain(x) if number > plain else x
        if number == encoder.depth - 1:
            before_last = x[:, :2] if number > plain else x[:, :1].expand(-1, 2, -1)
    out = ReplayedTokens(*finished(encoder, x[:, 0], before_last[:, 0]), kept)
    out.plain = ImageTokens(*finished(encoder, x[:, 1], before_last[:, 1])) if both else None
    return out


def finished(encoder: ImageEncoder, cls: Tensor, before_last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first three fields of `ImageTokens`, of the [CLS] [B, D] behind the last block and of the one before."""
    cls = encoder.visual.ln_post(cls)
    return cls, cls @ encoder.visual.proj, before_last


def attention_bias(weights: Tensor, eps: float) -> Tensor:
    """Added to the replayed [CLS]'s logits, [B, 1, 1, 2+T]: itself 0, the plain [CLS] -inf, patches log(w + eps)."""
    bias = patch_bias(weights, eps)
    return torch.cat([bias[..., :1], torch.full_like(bias[..., :1], float("-inf")), bias[..., 1:]], dim=-1)


def patch_bias(weights: Tensor, eps: float) -> Tensor:
    """The same without the plain [CLS], [B, 1, 1, 1+T]."""
    return F.pad(torch.log(weights.float() + eps), (1, 0))[:, None, None]


def gated_block(block: nn.Module, x: Tensor, bias: Tensor, rows: int | None = None) -> Tensor:
    """One block on [replayed [CLS], plain [CLS], patch tokens], [B, 2+T, D]; keys and values are made once for both.

    `rows`: make the first so many rows only, 1 or 2, and no keys or values of single tokens.
    """
    seen = block.ln_1(x)
    if rows is not None:
        both = torch.cat([bias, F.pad(torch.zeros_like(bias[..., 1:]), (1, 0), value=float("-inf"))], dim=2)
        return finish(block, x[:, :rows], read_by_first(block, seen, rows, both[:, :, :rows]))
    q, k, v = heads_of(block, seen)
    mixed = F.scaled_dot_product_attention(q[:, :, :1], k, v, attn_mask=bias.to(q.dtype))
    plain = F.scaled_dot_product_attention(q[:, :, 1:], k[:, :, 1:], v[:, :, 1:])
    mixed = torch.cat([mixed.transpose(1, 2), plain.transpose(1, 2)], dim=1).transpose(1, 2)  # as `finish` reads it
    return finish(block, x, mixed)


def _without_plain(x: Tensor) -> Tensor:
    return torch.cat([x[:, :1], x[:, 2:]], dim=1)


class GatedEncoder(nn.Module):
    """An image encoder whose [CLS] is replayed; it stands where an `ImageEncoder` stands.

    Args:
        plain: the encoder that is gated.
        gates: where the weights come from.
        eps, blocks: as of `replay`.
        plain_weight: at test time, of the plain [CLS] beside the replayed one (`reanchor.methods.gate.feature`).

    Raises:
        ReanchorError: an encoder without patch tokens, with other blocks than CLIP's, or with too few of them.
    """

    def __init__(self, plain: ImageEncoder, gates: Gates, eps: float, blocks: int = 0, plain_weight: float = 0.0):
        super().__init__()
        check_fits(plain, blocks)
        self.plain, self.gates, self.eps, self.blocks, self.plain_weight = plain, gates, eps, blocks, plain_weight
        self.grid, self.width, self.embed, self.depth = plain.grid, plain.width, plain.embed, plain.depth
        self.patch, self.stride = plain.patch, plain.stride

    def forward(self, images: Tensor, side: Tensor | None = None, taps: Collection[int] = ()) -> ImageTokens:
        """As `ImageEncoder.forward`, with the replayed [CLS]."""
        return self.replay(images, self.gates(images), side, taps)

    def look(self, images: Tensor, side: Tensor | None = None, both: bool = False
             ) -> tuple[Tensor, ReplayedTokens]:
        """The gates' weights [B, T], and what `forward` gives; with `both` the plain [CLS] beside it."""
        weights = self.gates(images)
        return weights, self.replay(images, weights, side, both=both)

    def replay(self, images: Tensor, weights: Tensor, side: Tensor | None = None, taps: Collection[int] = (),
               both: bool = False) -> ReplayedTokens:
        """The same with weights [B, T] from elsewhere."""
        return replay(self.plain, images, weights, side, taps, self.eps, self.blocks, both)


def check_fits(encoder: nn.Module, blocks: int) -> None:
    """Raise ReanchorError where the replay asks for what this backbone does not have."""
    if encoder.grid is None:
        raise ReanchorError("gate.train: the gate reads patch tokens, which a ResNet has not; allowed: a ViT; choose "
                            "another backbone or method=clip_reid")
    if blocks > encoder.depth:
        raise ReanchorError(f"gate.blocks: got {blocks}; allowed: 1 to {encoder.depth}, the blocks of this backbone, "
                            "or 0 for all of them")
    for block in encoder.visual.transformer.resblocks:
        if not is_plain(block):
            raise ReanchorError(f"gate.train: this backbone's attention is open_clip's {type(block.attn).__name__}; "
                                "allowed: CLIP's own (torch's MultiheadAttention); choose another backbone.model")
