"""Gates from SAGA: a patch token counts by how much of it the anchors find.

Nothing is trained for them. They read the patch tokens of the encoder that is gated, as
`reanchor.methods.gate.shared` does.

Shapes: B images, T patch tokens, D token width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reanchor.clip.model import freeze
from reanchor.clip.vision import ImageEncoder
from reanchor.errors import ReanchorError
from reanchor.methods.gate.settings import GATING_DOMAINS
from reanchor.methods.gate.shared import tokens_behind
from reanchor.methods.saga.batch import TokenBatch
from reanchor.methods.saga.head import SagaHead

SURE = 1e-4  # weights stay so far from 0 and 1, so that their logits are finite


class AnchorNetwork(nn.Module):
    """A trained SAGA head's weight of each token, as logits: w = min(1, T a), a being its share of all T tokens.

    What gets an even share or more is seen whole; what gets less is dimmed in proportion.

    Args:
        encoder: whose tokens are read, the one that the head was trained on; a part of this module, not a copy.
        head: stays as it is.
        taps: the blocks whose tokens the head reads, 1-indexed.

    Raises:
        ReanchorError: domain anchors that are made of more than patch tokens.
    """

    def __init__(self, encoder: ImageEncoder, head: SagaHead, taps: Sequence[int]):
        super().__init__()
        kind = head.domain.kind if head.domain else "none"
        if kind not in GATING_DOMAINS:
            raise ReanchorError(f"gate.source: got saga with saga.domain {kind}; allowed: "
                                f"{', '.join(GATING_DOMAINS)}, whose anchors are made of patch tokens alone; train "
                                "SAGA with one of these")
        self.trunk, self.head, self.taps = encoder, freeze(head), tuple(taps)

    def read(self, seen: dict[int, Tensor]) -> Tensor:
        """Logits [B, T] of the tokens [B, 1+T, D] behind each tapped block."""
        batch = TokenBatch(torch.cat([seen[tap][:, 1:] for tap in self.taps], dim=1))
        shares = self.head.aggregate(batch, self.head.anchors()).token_weights
        return (shares * shares.shape[1]).clamp(SURE, 1 - SURE).logit()

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, T] of normalised images [B, 3, H, W], by the blocks that are read and no more."""
        return self.read(tokens_behind(self.trunk, images, self.taps))
