"""What the visibility network learns, and gates that know it already.

Shapes: B images, T patch tokens, H rows, W columns.
"""

import numpy as np
import torch
from torch import Tensor

from reanchor.clip.vision import ImageEncoder
from reanchor.errors import ReanchorError
from reanchor.retrieval.tokens import LABELS, patch_shares

PLACE = {name: number for number, name in enumerate(LABELS)}


def visible_share(shares: np.ndarray) -> np.ndarray:
    """Share [B, T] of each patch's pixels that show the person, from the shares of every label [B, T, labels].

    Without person masks: that nothing covers.
    """
    return shares[..., PLACE["target"]] + shares[..., PLACE["unknown"]]


def targets(masks: np.ndarray, encoder: ImageEncoder) -> Tensor:
    """float32 [B, T] of uint8 labels [B, H, W]; of `encoder` only the patch grid is read."""
    shares = patch_shares(masks, encoder.grid, encoder.patch, encoder.stride)
    return torch.from_numpy(visible_share(shares)).float()


class ExactGates:
    """The true share of each patch: what no network can better (for studies of head-room)."""

    def __init__(self, encoder: ImageEncoder):
        self.encoder = encoder

    def __call__(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Weights [B, T] by masks uint8 [B, H, W].

        Raises:
            ReanchorError: without masks.
        """
        if masks is None:
            raise ReanchorError("gate.source: exact gates need the images' masks, and there are none; allowed at test "
                                "time: network, shared, saga, ones; choose one of these")
        return targets(masks.cpu().numpy(), self.encoder).to(images.device)
