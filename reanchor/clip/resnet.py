"""The image encoder where the tower is CLIP's ResNet, read as CLIP-ReID reads RN50.

Shapes: B images, D channels of layer4 (2,048 in RN50), E joint width (1,024).
"""

from dataclasses import dataclass, field

import torch
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from torch import Tensor, nn

from reanchor.clip.few_queries import attend
from reanchor.clip.vision import resize_positions
from reanchor.errors import ReanchorError

REDUCTION = 16  # pixels of the image per cell of layer4's map, once its stride is gone


@dataclass
class ImageMaps:
    """What one pass yields."""

    before_last: Tensor  # [B, D / 2] mean over layer3's map
    last: Tensor  # [B, D] mean over layer4's map
    projected: Tensor  # [B, E] attention pooling over layer4's map, in the joint space
    taps: dict[int, Tensor] = field(default_factory=dict)  # always empty: there are no patch tokens

    @property
    def features(self) -> dict[str, Tensor]:
        """CLIP-ReID's three features by name (their Figure 5: pre_img, img and post_img_feature)."""
        return {"before_last": self.before_last, "last": self.last, "projected": self.projected}


class CnnEncoder(nn.Module):
    """CLIP's ResNet with last stride 1 (CLIP-ReID section "Models").

    Args:
        visual: open_clip's tower; layer4's stride and the pooling's position embeddings are adapted in place.
        image_size: (height, width) in pixels.
        stride: 0; patches, and so overlapping ones, are a ViT's.

    Raises:
        ReanchorError: an image below 32 pixels, or a patch stride.
    """

    grid, patch, depth = None, None, 0  # no patch tokens, no blocks to tap

    def __init__(self, visual: ModifiedResNet, image_size: tuple[int, int], stride: int = 0):
        super().__init__()
        if stride:
            raise ReanchorError(f"backbone.stride: got {stride}, but a ResNet has no patches; allowed: 0")
        if min(image_size) < 2 * REDUCTION:
            raise ReanchorError(f"prepare.height x prepare.width: {image_size[0]}x{image_size[1]} is too small for a "
                                f"ResNet; give at least {2 * REDUCTION} pixels a side")
        first, pool = visual.layer4[0], visual.attnpool
        first.avgpool = nn.Identity()
        setattr(first.downsample, "-1", nn.Identity())  # open_clip's name for the pooling before it
        source = round((len(pool.positional_embedding) - 1) ** 0.5)
        positions = resize_positions(pool.positional_embedding.data, (source, source),
                                     (image_size[0] // REDUCTION, image_size[1] // REDUCTION))
        pool.positional_embedding = nn.Parameter(positions)
        self.visual = visual
        self.width = visual.layer4[-1].conv3.out_channels
        self.embed = pool.c_proj.out_features
        self.stride = None

    def forward(self, images: Tensor, side: Tensor | None = None, taps: tuple[int, ...] = ()) -> ImageMaps:
        """Encode normalised images [B, 3, H, W]; there is no [CLS] for `side` and no block to tap."""
        assert side is None and not taps, "SIE and taps are a ViT's"
        visual = self.visual
        images = images.contiguous(memory_format=torch.channels_last)  # what convolutions read fastest
        third = visual.layer3(visual.layer2(visual.layer1(visual.stem(images))))
        fourth = visual.layer4(third)
        return ImageMaps(third.mean((2, 3)), fourth.mean((2, 3)), attention_pool(visual.attnpool, fourth))


def attention_pool(pool: AttentionPool2d, cells: Tensor) -> Tensor:
    """CLIP's attention pooling of maps [B, D, h, w], [B, E]: the numbers of open_clip's `pool` up to rounding.

    open_clip lets every cell ask and then keeps the mean's answer, a quarter of RN50's training step. Here the mean
    alone asks.
    """
    x = cells.flatten(2).transpose(1, 2)
    x = torch.cat([x.mean(1, keepdim=True), x], 1)
    x = x + pool.positional_embedding.to(x.dtype)
    projections = ((part.weight, part.bias) for part in (pool.k_proj, pool.v_proj))
    return pool.c_proj(attend(pool.q_proj(x[:, :1]), x, *projections, pool.num_heads)[:, 0])
