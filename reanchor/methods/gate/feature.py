"""The test feature of a gated model: the replayed [CLS], and beside it, where wanted, the plain one.

Shapes: B images, T patch tokens, D token width, E joint width.
"""

import torch.nn.functional as F
from torch import Tensor

from reanchor.methods.clip_reid.model import retrieval_feature
from reanchor.methods.gate.replay import GatedEncoder, ReplayedTokens
from reanchor.methods.gate.shared import SharedGatedEncoder
from reanchor.methods.saga.features import fuse


def look(encoder: GatedEncoder | SharedGatedEncoder, pixels: Tensor, side: Tensor | None) -> tuple[Tensor, Tensor]:
    """The gates' weights [B, T] and unit features of normalised images [B, 3, H, W]; see `gated_feature`."""
    weights, out = encoder.look(pixels, side, both=encoder.plain_weight > 0)
    return weights, gated_feature(out, encoder.plain_weight)


def gated_feature(out: ReplayedTokens, plain_weight: float) -> Tensor:
    """The replayed [CLS]'s CLIP-ReID feature [B, D + E] of unit length.

    With a `plain_weight` the plain [CLS]'s stands beside it, [B, 2 (D + E)]: the cosine of two images is the mean of
    both cosines, the plain one's weighted by `plain_weight`.
    """
    own = retrieval_feature(out.features)
    if not plain_weight:
        return F.normalize(own, dim=1)
    return fuse([own, retrieval_feature(out.plain.features)], [1.0, plain_weight])
