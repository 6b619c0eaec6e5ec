"""Random views of training images: TBPS-CLIP's pool of augmentations, and SimCLR's views.

Source: the authors' configuration. Every draw comes from one generator; images [B, 3, H, W] are float in 0..1
until they are normalised. Shares of the image and aspects are relative to the image's own shape: the authors
stretch images to a square first, where that is the same.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from reanchor.methods.tbps import pixels
from reanchor.training.augment import random_erase

ASPECT = (3 / 4, 4 / 3)  # of a crop
BLUR_ROWS = 224  # the published blur is in pixels of images so high
TRIES = 10  # windows drawn per image, as torchvision does

Operation = Callable[[Tensor, Generator], Tensor]


def as_float(images: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in 0..1."""
    return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def standardise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(x - mean) / std per channel."""
    mean_3, std_3 = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (mean, std))
    return (images - mean_3) / std_3


def pool_view(images: Tensor, generator: Generator) -> Tensor:
    """Two draws with replacement from the pool, for each image of its own."""
    result = images.clone()
    for _ in range(2):
        which = torch.randint(len(POOL), (len(images),), generator=generator)
        for number, operation in enumerate(POOL):
            _to_some(result, which == number, operation, generator)
    return result


def simclr_view(images: Tensor, generator: Generator) -> Tensor:
    """SimCLR's view: crop of .2 to 1, colour jitter p .8, grey p .2, blur p .5, flip p .5."""
    result = random_crop_resize(images, generator, (0.2, 1.0))
    _to_some(result, _chosen(images, 0.8, generator),
             lambda x, g: colour_jitter(x, g, 0.4, 0.4, 0.4, 0.1), generator)
    _to_some(result, _chosen(images, 0.2, generator), lambda x, _: pixels.grey(x).expand_as(x), generator)
    _to_some(result, _chosen(images, 0.5, generator), random_blur, generator)
    return random_mirror(result, generator)


def colour_jitter(images: Tensor, generator: Generator, brightness: float, contrast: float, saturation: float,
                  turn: float = 0.0) -> Tensor:
    """Factors within 1 +- each strength, hue within +- `turn`; every image has an order of its own."""
    operations = (pixels.brightness, pixels.contrast, pixels.saturation, pixels.hue)
    around = ((brightness, 1), (contrast, 1), (saturation, 1), (turn, 0))
    values = [_uniform(images, centre - strength, centre + strength, generator) for strength, centre in around]
    order = torch.rand(len(images), 4, generator=generator).argsort(dim=1)
    result = images.clone()
    for place in range(4):
        for number, (strength, _) in enumerate(around):
            rows = (order[:, place] == number).nonzero()[:, 0].to(images.device)
            if strength and len(rows):
                result[rows] = operations[number](result[rows], values[number][rows])
    return result


def random_rotation(images: Tensor, generator: Generator, degrees: float = 15.0) -> Tensor:
    """Within +- `degrees`."""
    return pixels.rotate(images, _uniform(images, -degrees, degrees, generator))


def random_crop_resize(images: Tensor, generator: Generator, area: tuple[float, float]) -> Tensor:
    """A window of `area` of the image and an aspect within 3/4 to 4/3, stretched over the whole image."""
    count, _, height, width = images.shape
    uniform_4BT = torch.rand(4, count, TRIES, generator=generator)
    share = area[0] + (area[1] - area[0]) * uniform_4BT[0]
    aspect = torch.exp(math.log(ASPECT[0]) + math.log(ASPECT[1] / ASPECT[0]) * uniform_4BT[1])
    heights = ((share / aspect).sqrt() * height).round().clamp(min=1)
    widths = ((share * aspect).sqrt() * width).round().clamp(min=1)
    fits = (heights <= height) & (widths <= width)
    first = fits.int().argmax(dim=1, keepdim=True)
    fits = fits.any(dim=1)
    h = torch.where(fits, heights.gather(1, first)[:, 0], float(height))
    w = torch.where(fits, widths.gather(1, first)[:, 0], float(width))
    top, left = (uniform_4BT[2, :, 0] * (height - h + 1)).floor(), (uniform_4BT[3, :, 0] * (width - w + 1)).floor()
    return pixels.crop_and_resize(images, torch.stack([top, left, h, w], dim=1).to(images.device))


def random_blur(images: Tensor, generator: Generator) -> Tensor:
    """Gaussian of .1 to 2 pixels of an image 224 rows high."""
    return pixels.blur(images, _uniform(images, 0.1, 2.0, generator) * images.shape[2] / BLUR_ROWS)


def random_grey(images: Tensor, generator: Generator, probability: float = 0.1) -> Tensor:
    """Three equal channels, with this probability."""
    chosen = _chosen(images, probability, generator).to(images.device).view(-1, 1, 1, 1)
    return torch.where(chosen, pixels.grey(images).expand_as(images), images)


def random_mirror(images: Tensor, generator: Generator, probability: float = 0.5) -> Tensor:
    """Left to right, with this probability."""
    chosen = _chosen(images, probability, generator).to(images.device).view(-1, 1, 1, 1)
    return torch.where(chosen, images.flip(3), images)


def random_black_box(images: Tensor, generator: Generator) -> Tensor:
    """Random erasing by black, p .5, of .1 to .2 of the image."""
    return random_erase(images, 0.5, generator, area=(0.1, 0.2), aspect=(0.3, 3.3), noise=False)


POOL: tuple[Operation, ...] = (
    lambda x, g: colour_jitter(x, g, 0.1, 0.1, 0.1), random_rotation,
    lambda x, g: random_crop_resize(x, g, (0.9, 1.0)), random_grey, random_mirror, random_black_box)


def _to_some(images: Tensor, chosen: Tensor, operation: Operation, generator: Generator) -> None:
    rows = chosen.nonzero()[:, 0].to(images.device)
    if len(rows):
        images[rows] = operation(images[rows], generator)


def _chosen(images: Tensor, probability: float, generator: Generator) -> Tensor:
    return torch.rand(len(images), generator=generator) < probability


def _uniform(images: Tensor, low: float, high: float, generator: Generator) -> Tensor:
    return (low + (high - low) * torch.rand(len(images), generator=generator)).to(images.device)
