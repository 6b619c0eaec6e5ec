"""Image operations on whole batches, with parameters of their own for every image.

Images are float [B, 3, H, W] in 0..1; parameters are tensors [B] unless said. What the operations do is
torchvision's of the same names, which take one image at a time.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def grey(images: Tensor) -> Tensor:
    """Luma (ITU-R 601), [B, 1, H, W]."""
    weights = images.new_tensor([0.2989, 0.587, 0.114]).view(3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply."""
    return (_each(factors) * images).clamp(0, 1)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Away from the image's mean luma (factors above 1) or towards it."""
    return _blend(images, grey(images).mean((2, 3), keepdim=True), factors)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Away from each pixel's luma or towards it."""
    return _blend(images, grey(images), factors)


def hue(images: Tensor, shifts: Tensor) -> Tensor:
    """Turn the hue by `shifts` of a full circle."""
    value, least = images.amax(1), images.amin(1)
    chroma = value - least
    span = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    red, green, blue = images.unbind(1)
    angle = torch.where(value == red, (green - blue) / span,
                        torch.where(value == green, 2 + (blue - red) / span, 4 + (red - green) / span))
    angle = angle + 6 * shifts.view(-1, 1, 1)
    # each channel is the value less the chroma, ramped over the circle (the HSV hexagon in closed form)
    places = [(angle + offset) % 6 for offset in (5, 3, 1)]
    channels = [value - chroma * torch.minimum(place, 4 - place).clamp(0, 1) for place in places]
    return torch.stack(channels, dim=1).clamp(0, 1)


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Counter-clockwise about the centre; nearest pixel, black comes in."""
    height, width = images.shape[2:]
    angle = torch.deg2rad(degrees).view(-1, 1, 1)
    y = (torch.arange(height, device=images.device) - (height - 1) / 2).view(1, -1, 1)
    x = (torch.arange(width, device=images.device) - (width - 1) / 2).view(1, 1, -1)
    source_x, source_y = angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y
    grid = torch.stack([source_x / (width / 2), source_y / (height / 2)], dim=3)
    return F.grid_sample(images, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def crop_and_resize(images: Tensor, boxes: Tensor) -> Tensor:
    """Windows (top, left, height, width) [B, 4] in pixels, each stretched over the whole image (bilinear)."""
    size = images.shape[2:]
    axes = [_window(boxes[:, axis], boxes[:, axis + 2], size[axis]) for axis in (0, 1)]
    y_BHW, x_BHW = axes[0][:, :, None].expand(-1, -1, size[1]), axes[1][:, None].expand(-1, size[0], -1)
    return F.grid_sample(images, torch.stack([x_BHW, y_BHW], dim=3), mode="bilinear", padding_mode="border",
                         align_corners=False)


def blur(images: Tensor, sigmas: Tensor) -> Tensor:
    """Gaussian of standard deviation `sigmas` pixels; the borders mirror."""
    radius = min(math.ceil(3 * float(sigmas.max())), *(side - 1 for side in images.shape[2:]))
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    kernels = torch.exp(-0.5 * (offsets / sigmas[:, None]) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(3, dim=0)
    batch = images.shape[0]
    x = F.pad(images, [radius] * 4, mode="reflect").reshape(1, 3 * batch, *(side + 2 * radius
                                                                           for side in images.shape[2:]))
    x = F.conv2d(x, kernels[:, None, None], groups=3 * batch)
    return F.conv2d(x, kernels[:, None, :, None], groups=3 * batch).view_as(images)


def _window(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Where each of `size` pixels lies along one axis, in grid_sample's units, [B, size]."""
    pixels = torch.arange(size, device=start.device)
    inside = (pixels + 0.5) * (length[:, None] / size) - 0.5
    place = start[:, None] + torch.minimum(inside.clamp(min=0), length[:, None] - 1)
    return (2 * place + 1) / size - 1


def _blend(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    factors = _each(factors)
    return (factors * images + (1 - factors) * others).clamp(0, 1)


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
