"""The visibility network: which patches show the person asked for.

Shapes: B images, T patch tokens, D token width.
"""

import copy

import torch
from torch import Generator, Tensor, nn

from reanchor.clip.block import residual_block
from reanchor.clip.vision import ImageEncoder
from reanchor.errors import ReanchorError


class VisibilityNetwork(nn.Module):
    """A copy of the first blocks of a CLIP's image encoder, and an MLP on its patch tokens.

    Args:
        encoder: the encoder that is copied; it stays as it is.
        blocks: how many of its blocks.

    Raises:
        ReanchorError: more blocks than the encoder has.
    """

    def __init__(self, encoder: ImageEncoder, blocks: int):
        super().__init__()
        if blocks > encoder.depth:
            raise ReanchorError(f"gate.network_blocks: got {blocks}; allowed: 1 to {encoder.depth}, the blocks of this "
                                "backbone")
        self.blocks, self.grid, self.patch, self.stride = blocks, encoder.grid, encoder.patch, encoder.stride
        self.trunk = copy.deepcopy(encoder).requires_grad_(True)
        visual = self.trunk.visual
        visual.transformer.resblocks = visual.transformer.resblocks[:blocks]
        visual.ln_post, visual.proj = nn.Identity(), None  # never reached
        width = encoder.width
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def initialise(self, generator: Generator) -> None:
        """Seeded initial values of the head: N(0, .02), biases 0."""
        with torch.no_grad():
            for layer in (self.head[1], self.head[3]):
                layer.weight.normal_(0, 0.02, generator=generator)
                layer.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, T] of normalised images [B, 3, H, W]."""
        x = self.trunk.start(images)
        for block in self.trunk.visual.transformer.resblocks:
            x = residual_block(block, x)
        return self.head(x[:, 1:]).squeeze(-1)
