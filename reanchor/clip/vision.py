"""The image encoder: open_clip's ViT with rectangular input, overlapping stride and taps.

Shapes: B images, T patch tokens (+1 [CLS] in front), D token width, E joint width.
`reanchor.clip.resnet` has the other kind, with the same attributes and the same three features.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from reanchor.clip.block import residual_block
from reanchor.errors import ReanchorError


@dataclass
class ImageTokens:
    """What one pass yields."""

    cls: Tensor  # [B, D] the [CLS] after the last block and ln_post
    projected: Tensor  # [B, E] `cls` in the joint space
    before_last: Tensor  # [B, D] the [CLS] after the last block but one, no norm
    taps: dict[int, Tensor] = field(default_factory=dict)  # block (1-indexed) -> [B, 1+T, D], no norm
    visibility: Tensor | None = None  # [B, T] logits, where the pass looks for the person too (`methods.gate.shared`)

    @property
    def features(self) -> dict[str, Tensor]:
        """CLIP-ReID's three features by name (their Figure 5: pre_img, img and post_img_feature)."""
        return {"before_last": self.before_last, "last": self.cls, "projected": self.projected}


def resize_positions(positions: Tensor, source: tuple[int, int], target: tuple[int, int]) -> Tensor:
    """Resize position embeddings [1+S, D] from grid `source` to grid `target`; [CLS]'s row is kept.

    Bilinear, align_corners False, no antialias, as CLIP-ReID's code does.
    """
    if source == target:
        return positions.clone()
    grid = positions[1:].reshape(1, *source, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=target, mode="bilinear", align_corners=False)
    return torch.cat([positions[:1], grid.permute(0, 2, 3, 1).reshape(target[0] * target[1], -1)])


def patch_grid(size: tuple[int, int], patch: tuple[int, int], stride: int) -> tuple[int, int]:
    """Rows and columns of patches: (size - patch) // stride + 1; `stride` 0 means no overlap."""
    if stride > min(patch):
        raise ReanchorError(f"backbone.stride: got {stride}; allowed: 1 to the patch size, which is {min(patch)} "
                            "(smaller strides overlap), or 0 for the patch size; a larger one would skip pixels")
    steps = (stride, stride) if stride else patch
    rows, cols = ((s - p) // step + 1 for s, p, step in zip(size, patch, steps, strict=True))
    if min(rows, cols) < 1:
        raise ReanchorError(
            f"prepare.height x prepare.width: {size[0]}x{size[1]} holds no {patch[0]}x{patch[1]} patch; "
            "give a size of at least one patch"
        )
    return rows, cols


class ImageEncoder(nn.Module):
    """A ViT of open_clip's own class, read as CLIP-ReID and SAGA read it.

    Args:
        visual: the tower; its convolution stride and position embeddings are adapted in place.
        image_size: (height, width) in pixels.
        stride: patch stride in pixels (OLP where smaller than the patch); 0: the patch size.
    """

    def __init__(self, visual: VisionTransformer, image_size: tuple[int, int], stride: int = 0):
        super().__init__()
        self.grid = patch_grid(image_size, visual.patch_size, stride)
        if stride:
            visual.conv1.stride = (stride, stride)
        positions = resize_positions(visual.positional_embedding.data, visual.grid_size, self.grid)
        visual.positional_embedding = nn.Parameter(positions)
        visual.patch_dropout = nn.Identity()
        self.visual = visual
        self.width = visual.conv1.out_channels
        self.embed = visual.proj.shape[1]
        self.depth = len(visual.transformer.resblocks)
        self.patch, self.stride = visual.patch_size[0], visual.conv1.stride[0]

    def start(self, images: Tensor, side: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """The tokens [B, 1+T, D] that enter the first block; arguments as of `forward`."""
        visual = self.visual
        x = visual.conv1(images).flatten(2).transpose(1, 2)
        cls = visual.class_embedding.to(x.dtype).expand(len(x), 1, -1)
        if side is not None and side.ndim == 2:
            cls = cls + side.to(x.dtype).unsqueeze(1)
        x = torch.cat([cls, x], dim=1) + visual.positional_embedding.to(x.dtype)
        if side is not None and side.ndim == 3:
            x = x + side.to(x.dtype)
        if keep is not None:
            chosen = keep.unsqueeze(-1).expand(-1, -1, x.shape[-1])
            x = torch.cat([x[:, :1], x[:, 1:].gather(1, chosen)], dim=1)
        return visual.ln_pre(x)

    def forward(self, images: Tensor, side: Tensor | None = None, taps: Collection[int] = (),
                keep: Tensor | None = None) -> ImageTokens:
        """Encode normalised images [B, 3, H, W].

        Args:
            side: SIE, already multiplied by its coefficient, added before ln_pre: [B, D] to [CLS] only
                (CLIP-ReID section "SIE and OLP"), [B, 1, D] to every token (TransReID).
            taps: blocks (1-indexed) whose raw output is wanted.
            keep: patch dropout, the indices [B, k] of the patch tokens that stay.
        """
        visual, x = self.visual, self.start(images, side, keep)
        kept, before_last = {}, x[:, 0]
        for number, block in enumerate(visual.transformer.resblocks, start=1):
            last = number == self.depth
            before_last = x[:, 0] if last else before_last
            x = residual_block(block, x, 1 if last and number not in taps else None)
            if number in taps:
                kept[number] = x
        cls = visual.ln_post(x[:, 0])
        return ImageTokens(cls, cls @ visual.proj, before_last, kept)
