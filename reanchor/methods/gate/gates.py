"""Where the weights of patch tokens come from: images in, weights in [0, 1] out.

Shapes: B images, T patch tokens.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from reanchor.methods.gate.visibility import VisibilityNetwork


class Gates(Protocol):
    """Anything that weighs patch tokens by how much of the person they show."""

    def __call__(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Weights [B, T] of normalised images [B, 3, H, W].

        Args:
            masks: uint8 [B, H, W], labels of `reanchor.occlusion`; only exact gates read them.
        """
        ...


class NetworkGates(nn.Module):
    """The visibility network's probabilities; no gradient passes."""

    def __init__(self, network: VisibilityNetwork):
        super().__init__()
        self.network = network.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Weights [B, T]."""
        return self.network(images).float().sigmoid()


class OnesGates(nn.Module):
    """Weight 1 everywhere: the control that knows nothing of visibility."""

    def __init__(self, tokens: int):
        super().__init__()
        self.tokens = tokens

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Weights [B, T]."""
        return images.new_ones(len(images), self.tokens)
