"""Batched image operations against torchvision's, one image at a time; the views made of them."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as TF
from torchvision.transforms import InterpolationMode

from reanchor.methods.tbps import pixels, views

SIZES = [(24, 12), (16, 16)]


def pictures(count: int = 6, size: tuple[int, int] = (24, 12), seed: int = 0) -> torch.Tensor:
    images = torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))
    images[-1] = images[-1, :1]  # a grey one, whose hue is undefined
    return images


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("name", "values"), [
    ("brightness", [0.0, 0.5, 0.9, 1.0, 1.3, 2.0]), ("contrast", [0.0, 0.5, 0.9, 1.0, 1.3, 2.0]),
    ("saturation", [0.0, 0.5, 0.9, 1.0, 1.3, 2.0]), ("hue", [-0.5, -0.1, 0.0, 0.05, 0.1, 0.5])])
def test_colours_change_as_torchvision_has_it(name, values):
    images, factors = pictures(), torch.tensor(values)
    expected = [getattr(TF, f"adjust_{name}")(image, value) for image, value in zip(images, values, strict=True)]
    torch.testing.assert_close(getattr(pixels, name)(images, factors), torch.stack(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", SIZES)
def test_rotation_is_torchvisions(size):
    images, degrees = pictures(size=size), torch.tensor([-15.0, -7.3, 0.0, 1.0, 8.8, 15.0])
    expected = [TF.rotate(image, float(angle), InterpolationMode.NEAREST)
                for image, angle in zip(images, degrees, strict=True)]
    different = (pixels.rotate(images, degrees) - torch.stack(expected)).abs().amax(1) > 1e-6
    assert different.float().mean() < 0.01  # a pixel exactly between two may go either way
    assert torch.equal(pixels.rotate(images, torch.zeros(6)), images)


@pytest.mark.parametrize("size", SIZES)
def test_crops_are_torchvisions(size):
    images = pictures(size=size)
    boxes = torch.tensor([[0, 0, *size], [2, 1, 9, 5], [size[0] - 4, size[1] - 3, 4, 3], [0, 2, 7, 10], [3, 0, 1, 1],
                          [5, 3, 11, 7]]).float()
    expected = [TF.resized_crop(image, *(int(value) for value in box), list(size), antialias=True)
                for image, box in zip(images, boxes, strict=True)]
    torch.testing.assert_close(pixels.crop_and_resize(images, boxes), torch.stack(expected), atol=1e-5, rtol=0)


def test_blur_is_torchvisions():
    images, sigmas = pictures(size=(40, 30)), torch.tensor([0.1, 0.4, 0.8, 1.2, 1.6, 2.0])
    expected = [TF.gaussian_blur(image, [13, 13], [float(sigma)] * 2)
                for image, sigma in zip(images, sigmas, strict=True)]
    torch.testing.assert_close(pixels.blur(images, sigmas), torch.stack(expected), atol=1e-5, rtol=0)


def test_random_crops_keep_share_and_aspect(monkeypatch):
    caught = []
    monkeypatch.setattr(pixels, "crop_and_resize", lambda images, boxes: caught.append(boxes) or images)
    views.random_crop_resize(pictures(4000, (64, 32)), seeded(), (0.2, 1.0))
    top, left, height, width = caught[0].T
    assert (top >= 0).all() and (left >= 0).all() and (top + height <= 64).all() and (left + width <= 32).all()
    share, aspect = height * width / (64 * 32), (width / 32) / (height / 64)
    assert 0.15 < share.min() < 0.25 and share.max() > 0.95 and share.mean() == pytest.approx(0.57, abs=0.03)
    assert 0.7 < aspect.min() < 0.8 and 1.25 < aspect.max() < 1.45 and aspect.log().mean().abs() < 0.02
    assert top.max() > 30 and left.max() > 14


def test_an_image_is_augmented_by_two_of_the_pool_at_most(monkeypatch):
    marks = [lambda x, _, number=number: x + 10.0 ** number for number in range(6)]
    monkeypatch.setattr(views, "POOL", tuple(marks))
    added = views.pool_view(torch.zeros(3000, 3, 2, 2), seeded())[:, 0, 0, 0].long()
    digits = torch.stack([added // 10 ** number % 10 for number in range(6)], dim=1)
    assert (digits.sum(1) == 2).all()
    twice = (digits == 2).any(1).float().mean()
    assert twice == pytest.approx(1 / 6, abs=0.03)  # with replacement
    assert (digits.float().mean(0) - 1 / 3).abs().max() < 0.05


@pytest.mark.parametrize(("operation", "changed"), [(views.random_grey, 0.1), (views.random_mirror, 0.5),
                                                    (views.random_black_box, 0.5)])
def test_chances_are_as_configured(operation, changed):
    images = pictures(2000, (16, 12)) * 0.9 + 0.05
    images[-1] = images[0]
    result = operation(images, seeded())
    touched = (result != images).flatten(1).any(1)
    assert touched.float().mean() == pytest.approx(changed, abs=0.04)
    if operation is views.random_black_box:
        share = (result[touched] == 0).all(1).float().mean((1, 2))
        assert share.min() > 0.07 and share.max() < 0.25 and (result[touched] == 0).any()
    elif operation is views.random_mirror:
        assert torch.equal(result[touched], images[touched].flip(3))


@pytest.mark.parametrize("view", [views.pool_view, views.simclr_view])
def test_views_come_from_the_generator_alone(view):
    images = pictures(64, (32, 16))
    before = images.clone()
    first, again, other = view(images, seeded(1)), view(images, seeded(1)), view(images, seeded(2))
    assert torch.equal(first, again) and not torch.equal(first, other) and torch.equal(images, before)
    assert first.shape == images.shape and first.min() >= -1e-6 and first.max() <= 1 + 1e-6


def test_jitter_takes_its_steps_in_an_order_of_each_image(monkeypatch):
    seen = []
    for name in ("brightness", "contrast", "saturation", "hue"):
        monkeypatch.setattr(pixels, name, lambda x, f, name=name: seen.append((name, len(x))) or x)
    views.colour_jitter(pictures(200), seeded(), 0.4, 0.4, 0.4, 0.1)
    assert len(seen) == 16 and sum(count for _, count in seen) == 4 * 200  # every image meets each step once
    for name in ("brightness", "contrast", "saturation", "hue"):
        counts = [count for step, count in seen if step == name]
        assert sum(counts) == 200 and min(counts) > 25


def test_standardising_is_the_datasets_normalisation():
    from reanchor.training.augment import normalise

    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 8, 4, 3), dtype=np.uint8))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    torch.testing.assert_close(views.standardise(views.as_float(images), mean, std), normalise(images, mean, std))
