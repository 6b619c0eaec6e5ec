"""Gates without a pass of their own: visibility is read from the patch tokens of the encoder that is gated.

The plain pass comes first and leaves the keys and values of every block; the second [CLS] then re-reads them all
(`reanchor.methods.gate.replay` says what that is), so that tokens of late blocks may say what early blocks are to hide.

Shapes: B images, T patch tokens, D token width, I inner width (D / 2), H attention heads, E joint width.
"""

from collections.abc import Collection, Sequence

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock
from torch import Generator, Tensor, nn

from reanchor.clip.block import finish, heads_of, read_by_first, residual_block
from reanchor.clip.vision import ImageEncoder, ImageTokens
from reanchor.errors import ReanchorError
from reanchor.methods.gate.replay import ReplayedTokens, check_fits, finished, patch_bias, replay


class SharedNetwork(nn.Module):
    """Narrow maps of an encoder's patch tokens behind some of its blocks, blocks of its own, one logit per token.

    Args:
        encoder: whose tokens are read; it is a part of this module, not a copy.
        taps: behind which of its blocks, 1-indexed.
        blocks: how many blocks of its own, I wide.

    Raises:
        ReanchorError: a block that the encoder has not.
    """

    def __init__(self, encoder: ImageEncoder, taps: Sequence[int], blocks: int):
        super().__init__()
        if not taps or max(taps) > encoder.depth:
            raise ReanchorError(f"gate.shared_blocks: got {list(taps)}; allowed: 1 to {encoder.depth}, the blocks of "
                                "this backbone")
        self.trunk, self.taps = encoder, tuple(taps)
        width, inner = encoder.width, encoder.width // 2
        heads = encoder.visual.transformer.resblocks[0].attn.num_heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in taps)
        self.maps = nn.ModuleList(nn.Linear(width, inner) for _ in taps)
        self.own = nn.ModuleList(ResidualAttentionBlock(inner, heads) for _ in range(blocks))
        self.head = nn.Sequential(nn.LayerNorm(inner), nn.Linear(inner, 1))

    def initialise(self, generator: Generator) -> None:
        """Seeded initial values of all but the encoder: Xavier, the last layer N(0, .02), biases 0."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.startswith("trunk."):
                    continue
                if parameter.ndim == 2:
                    nn.init.xavier_uniform_(parameter, generator=generator)
                elif name.endswith("bias"):
                    parameter.zero_()
            self.head[1].weight.normal_(0, 0.02, generator=generator)

    def read(self, seen: dict[int, Tensor]) -> Tensor:
        """Logits [B, T] of the tokens [B, 1+T, D] behind each tapped block."""
        x = sum(change(norm(seen[tap][:, 1:])) for tap, norm, change in zip(self.taps, self.norms, self.maps,
                                                                            strict=True))
        for block in self.own:
            x = residual_block(block, x)
        return self.head(x).squeeze(-1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, T] of normalised images [B, 3, H, W], by the blocks that are read and no more."""
        return self.read(tokens_behind(self.trunk, images, self.taps))


def tokens_behind(encoder: ImageEncoder, images: Tensor, taps: Collection[int]) -> dict[int, Tensor]:
    """The tokens [B, 1+T, D] behind each tapped block, of the plain pass; blocks behind the last are left out."""
    x, seen = encoder.start(images), {}
    for number, block in enumerate(encoder.visual.transformer.resblocks[:max(taps)], start=1):
        x = residual_block(block, x)
        if number in taps:
            seen[number] = x
    return seen


class SharedGatedEncoder(nn.Module):
    """An encoder whose [CLS] is replayed with weights from its own tokens; it stands where an `ImageEncoder` stands.

    Args:
        network: reads the encoder's tokens (a `SharedNetwork`, or what has its `trunk`, `taps` and `read`); no
            gradient passes from the gates to it.
        eps, blocks, plain_weight: as of `reanchor.methods.gate.replay.GatedEncoder`.

    Raises:
        ReanchorError: see `reanchor.methods.gate.replay.GatedEncoder`.
    """

    def __init__(self, network: SharedNetwork, eps: float, blocks: int = 0, plain_weight: float = 0.0):
        super().__init__()
        plain = network.trunk
        check_fits(plain, blocks)
        self.network, self.eps, self.blocks, self.plain_weight = network, eps, blocks, plain_weight
        self.grid, self.width, self.embed, self.depth = plain.grid, plain.width, plain.embed, plain.depth
        self.patch, self.stride = plain.patch, plain.stride

    @property
    def plain(self) -> ImageEncoder:
        """The encoder that is gated."""
        return self.network.trunk

    def forward(self, images: Tensor, side: Tensor | None = None, taps: Collection[int] = ()) -> ImageTokens:
        """As `ImageEncoder.forward`, with the replayed [CLS]; its `visibility` are the network's logits."""
        return self.look(images, side, taps)[1]

    def look(self, images: Tensor, side: Tensor | None = None, taps: Collection[int] = (), both: bool = False
             ) -> tuple[Tensor, ReplayedTokens]:
        """The weights [B, T], and what `forward` gives; with `both` the plain [CLS] beside it."""
        encoder, first = self.plain, self.depth - self.blocks + 1 if self.blocks else 1
        wanted = {*taps, *self.network.taps, *([self.depth - 1] if both else [])}
        seen, memory = plain_pass(encoder, encoder.start(images, side), first, wanted, both)
        logits = self.network.read(seen)
        weights = logits.detach().float().sigmoid()
        out = reread(encoder, seen, memory, patch_bias(weights, self.eps), taps)
        out.visibility = logits
        if both:
            out.plain = ImageTokens(*finished(encoder, seen[self.depth][:, 0], seen[self.depth - 1][:, 0]))
        return weights, out

    def gates(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """The weights [B, T] alone."""
        return self.network(images).detach().float().sigmoid()

    def replay(self, images: Tensor, weights: Tensor, side: Tensor | None = None, taps: Collection[int] = (),
               both: bool = False) -> ReplayedTokens:
        """As `forward`, with weights [B, T] from elsewhere."""
        return replay(self.plain, images, weights, side, taps, self.eps, self.blocks, both)


# block (1-indexed) -> keys and values [B, H, T, D / H] of its patch tokens, or where it makes none: what they are made
# of, the normed patch tokens [B, T, D]
Memory = dict[int, tuple[Tensor, Tensor] | Tensor]


def plain_pass(encoder: ImageEncoder, x: Tensor, first: int, wanted: Collection[int], cls: bool = False
               ) -> tuple[dict[int, Tensor], Memory]:
    """All blocks on the tokens x [B, 1+T, D] that enter the first one.

    Returns:
        The tokens [B, 1+T, D] behind each block that is `wanted`, and behind the one before block `first`; the memory
        of the blocks from `first` on. Behind the last block nothing is made that nobody wants: [CLS] alone, [B, 1, D],
        with `cls`.
    """
    seen, memory = {0: x}, {}
    for number, block in enumerate(encoder.visual.transformer.resblocks, start=1):
        normed = block.ln_1(x)
        if number == encoder.depth and number not in wanted:
            memory[number] = normed[:, 1:]
            if cls:
                seen[number] = finish(block, x[:, :1], read_by_first(block, normed, 1))
            break
        q, k, v = heads_of(block, normed)
        if number >= first:
            memory[number] = k[:, :, 1:], v[:, :, 1:]
        x = finish(block, x, F.scaled_dot_product_attention(q, k, v))
        if number in wanted or number == first - 1:
            seen[number] = x
    return seen, memory


def reread(encoder: ImageEncoder, seen: dict[int, Tensor], memory: Memory, bias: Tensor, taps: Collection[int]
           ) -> ReplayedTokens:
    """The second [CLS] through all blocks that `memory` holds; `bias` as of `patch_bias`.

    Patch tokens of the result are the plain pass's own.
    """
    first = min(memory)
    cls, kept = seen[first - 1][:, :1], {tap: seen[tap] for tap in taps if tap < first}
    before_last = cls[:, 0]
    for number, block in enumerate(encoder.visual.transformer.resblocks[first - 1:], start=first):
        cls = _reread_block(block, cls, memory[number], bias)
        if number in taps:
            kept[number] = torch.cat([cls, seen[number][:, 1:]], dim=1)
        if number == encoder.depth - 1:
            before_last = cls[:, 0]
    return ReplayedTokens(*finished(encoder, cls[:, 0], before_last), kept)


def _reread_block(block: nn.Module, cls: Tensor, memory: tuple[Tensor, Tensor] | Tensor, bias: Tensor) -> Tensor:
    own = block.ln_1(cls)
    if isinstance(memory, Tensor):
        return finish(block, cls, read_by_first(block, torch.cat([own, memory], dim=1), 1, bias))
    query, own_key, own_value = heads_of(block, own)
    keys, values = memory
    mixed = F.scaled_dot_product_attention(query, torch.cat([own_key, keys], dim=2),
                                           torch.cat([own_value, values], dim=2), attn_mask=bias.to(query.dtype))
    return finish(block, cls, mixed)
