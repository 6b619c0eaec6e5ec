"""CLIP-ReID's training transform on whole batches, driven by an explicit generator.

Order: flip, zero-pad and crop on uint8 pixels (so that the padding is black), normalise,
random erasing on normalised values. Geometry is drawn apart from being applied, so that
masks can go the same way as their images.
Legend: B images, H rows, W columns, T tries.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

HALF = (0.5, 0.5, 0.5)  # CLIP-ReID's mean and standard deviation for ViT backbones


@dataclass(frozen=True)
class Geometry:
    """Where each image's window lies: flips [B] bool, tops [B] and lefts [B] in the padded image."""

    flips: Tensor
    tops: Tensor
    lefts: Tensor
    pad: int

    def apply(self, x: Tensor) -> Tensor:
        """Move images [B, H, W, C] or masks [B, H, W] of any dtype; what comes in is 0."""
        height, width = x.shape[1:3]
        flipped = torch.where(self.flips.to(x.device).view(-1, *[1] * (x.ndim - 1)), x.flip(2), x)
        moved = torch.zeros_like(x)
        # row r of the window is row r + top - pad of the image
        for number, (top, left) in enumerate(zip(self.tops.tolist(), self.lefts.tolist(), strict=True)):
            to_rows, from_rows = _overlap(top - self.pad, height)
            to_columns, from_columns = _overlap(left - self.pad, width)
            moved[number, to_rows, to_columns] = flipped[number, from_rows, from_columns]
        return moved


def _overlap(offset: int, length: int) -> tuple[slice, slice]:
    """Where a window moved by `offset` and the image under it meet: in the window, in the image."""
    shared = max(0, length - abs(offset))
    window, image = max(0, -offset), max(0, offset)
    return slice(window, window + shared), slice(image, image + shared)


def draw_geometry(count: int, flip: float, pad: int, generator: Generator) -> Geometry:
    """Flip with probability `flip`; a window anywhere in the image padded by `pad` pixels."""
    device = generator.device
    flips = torch.rand(count, generator=generator, device=device) < flip
    tops, lefts = torch.randint(2 * pad + 1, (2, count), generator=generator, device=device)
    return Geometry(flips, tops, lefts, pad)


def random_flip(images: Tensor, probability: float, generator: Generator) -> Tensor:
    """Mirror each image of [B, H, W, ...] left to right with this probability."""
    flips = torch.rand(len(images), generator=generator, device=generator.device) < probability
    shape = (-1, *[1] * (images.ndim - 1))
    return torch.where(flips.to(images.device).view(shape), images.flip(2), images)


def random_crop(images: Tensor, pad: int, generator: Generator) -> Tensor:
    """Pad [B, H, W, ...] by `pad` zeros on every side and cut a window of the old size anywhere."""
    return draw_geometry(len(images), 0.0, pad, generator).apply(images) if pad else images


def normalise(images: Tensor, mean: tuple[float, ...] = HALF, std: tuple[float, ...] = HALF) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W]: (x / 255 - mean) / std per channel."""
    x = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    mean_3, std_3 = (torch.tensor(values, device=x.device).view(3, 1, 1) for values in (mean, std))
    return x.div_(255).sub_(mean_3).div_(std_3)


def random_erase(images: Tensor, probability: float, generator: Generator,
                 area: tuple[float, float] = (0.02, 1 / 3), aspect: tuple[float, float] = (0.3, 1 / 0.3),
                 tries: int = 10, noise: bool = True) -> Tensor:
    """Replace a rectangle by per-pixel N(0, 1) noise (Zhong et al., "Random Erasing", AAAI 2020).

    Args:
        images: normalised float [B, 3, H, W]; not changed.
        probability: chance of each image.
        area: range of the rectangle's share of the image, uniform.
        aspect: range of its height / width, log-uniform.
        tries: rectangles drawn per image; the first smaller than the image is used, an image
            without one stays whole.
        noise: false: by zeros.
    """
    count, _, height, width = images.shape
    boxes_B4, erased_B = _boxes(count, height, width, probability, generator, area, aspect, tries)
    erased_B = erased_B.cpu()
    filling = images.new_zeros(int(erased_B.sum()), *images.shape[1:])
    if noise:
        filling = torch.randn(filling.shape, generator=generator, device=generator.device).to(images)
    result = images.clone()
    for number, values in zip(erased_B.nonzero()[:, 0].tolist(), filling, strict=True):
        top, left, tall, wide = boxes_B4[number].tolist()
        inside = (slice(None), slice(top, top + tall), slice(left, left + wide))
        result[number][inside] = values[inside]
    return result


def _boxes(count: int, height: int, width: int, probability: float, generator: Generator,
           area: tuple[float, float], aspect: tuple[float, float], tries: int) -> tuple[Tensor, Tensor]:
    """(top, left, height, width) [B, 4] int64 and whether each image is erased [B] bool."""
    device = generator.device
    uniform_5BT = torch.rand(5, count, tries, generator=generator, device=device)
    pixels_BT = (area[0] + (area[1] - area[0]) * uniform_5BT[0]) * height * width
    low, high = math.log(aspect[0]), math.log(aspect[1])
    aspect_BT = torch.exp(low + (high - low) * uniform_5BT[1])
    heights_BT = (pixels_BT * aspect_BT).sqrt().round().long()
    widths_BT = (pixels_BT / aspect_BT).sqrt().round().long()
    fits_BT = (heights_BT < height) & (widths_BT < width)
    first_B1 = fits_BT.int().argmax(dim=1, keepdim=True)
    h_B, w_B = heights_BT.gather(1, first_B1)[:, 0], widths_BT.gather(1, first_B1)[:, 0]
    top_B = (uniform_5BT[2, :, 0] * (height - h_B + 1)).long()
    left_B = (uniform_5BT[3, :, 0] * (width - w_B + 1)).long()
    erased_B = fits_BT.any(dim=1) & (uniform_5BT[4, :, 0] < probability)
    return torch.stack([top_B, left_B, h_B, w_B], dim=1), erased_B
