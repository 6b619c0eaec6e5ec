"""Domain anchors: M per image, beside the text anchors that all images share.

Shapes: B images, T patch tokens, K text anchors, M domain anchors, D token width, E joint width.
All follow the authors' code; their numbers are in `tests/golden/E_saga_variants.npz`.
"""

import torch
from torch import Generator, Tensor, nn

from reanchor.methods.saga.batch import TokenBatch


class DomainAnchors(nn.Module):
    """From the mean patch token: D -> D, GELU, D -> M D."""

    kind = "mlp"

    def __init__(self, count: int, width: int, inputs: int = 0):
        super().__init__()
        self.count = count
        self.generate = nn.Sequential(nn.Linear(inputs or width, width), nn.GELU(), nn.Linear(width, count * width))

    def initialise(self, generator: Generator) -> None:
        """PyTorch's own initial values stay."""

    def forward(self, batch: TokenBatch, anchors: Tensor) -> Tensor:
        """[B, T, D] -> [B, M, D]."""
        return self._made_from(batch.tokens.mean(1))

    def _made_from(self, inputs: Tensor) -> Tensor:
        return self.generate(inputs).unflatten(1, (self.count, -1))  # no image too


class CameraDomainAnchors(DomainAnchors):
    """From the mean patch token and a learned embedding of the camera: 2 D -> D, GELU, D -> M D.

    An image whose camera is not told, or was not among the training images', gets the mean embedding.
    """

    kind = "cam"

    def __init__(self, count: int, width: int, cameras: int):
        super().__init__(count, width, 2 * width)
        self.camera_count = cameras
        self.cameras = nn.Parameter(torch.zeros(cameras, width))

    def initialise(self, generator: Generator) -> None:
        """N(0, .02) for the cameras."""
        with torch.no_grad():
            self.cameras.copy_(0.02 * torch.randn(self.cameras.shape, generator=generator))

    def forward(self, batch: TokenBatch, anchors: Tensor) -> Tensor:
        """[B, T, D] and camids [B] or None -> [B, M, D]."""
        return self._made_from(torch.cat([batch.tokens.mean(1), self._embedding(batch)], dim=1))

    def _embedding(self, batch: TokenBatch) -> Tensor:
        mean = self.cameras.mean(0, keepdim=True).expand(len(batch.tokens), -1)
        if batch.cameras is None:
            return mean
        known = (batch.cameras >= 1) & (batch.cameras <= len(self.cameras))
        rows = self.cameras[(batch.cameras - 1).clamp(0, len(self.cameras) - 1)]
        return torch.where(known[:, None], rows, mean)


class ClipDomainAnchors(nn.Module):
    """Grounded in CLIP: M learned queries, moved by the image's projected [CLS], attend to the text anchors.

    The residual sum is normalised; keys are normalised anchors, values the anchors themselves.
    """

    kind = "clip"

    def __init__(self, count: int, width: int, embed: int, heads: int):
        super().__init__()
        self.count = count
        self.queries = nn.Parameter(torch.zeros(count, width))
        self.clip_proj = nn.Linear(embed, width, bias=False)
        self.norm_q, self.norm_kv, self.norm_out = (nn.LayerNorm(width) for _ in range(3))
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)

    def initialise(self, generator: Generator) -> None:
        """Truncated N(0, .02) for the queries, as for free anchors."""
        nn.init.trunc_normal_(self.queries, std=0.02, generator=generator)

    def forward(self, batch: TokenBatch, anchors: Tensor) -> Tensor:
        """Projected [CLS] [B, E] and text anchors [K, D] -> [B, M, D]."""
        queries = self.queries + self.clip_proj(batch.projected).unsqueeze(1)
        keys = anchors.expand(len(queries), -1, -1)
        found, _ = self.attn(self.norm_q(queries), self.norm_kv(keys), keys, need_weights=False)
        return self.norm_out(queries + found)


def make_domain(kind: str, count: int, width: int, embed: int, heads: int, cameras: int) -> nn.Module | None:
    """The domain anchors that `saga.domain` names; None for "none"."""
    if kind == "none":
        return None
    if kind == "cam":
        return CameraDomainAnchors(count, width, cameras)
    return ClipDomainAnchors(count, width, embed, heads) if kind == "clip" else DomainAnchors(count, width)
