"""IRRA's batches: every pair once, and the authors' image transform."""

import numpy as np
import pytest
import torch
from torch import Generator

from reanchor.clip.model import NORMALISATIONS, ClipSpec
from reanchor.methods.irra.batch import augment, epoch_batches, erase
from reanchor.methods.irra.settings import Irra

MEAN, STD = NORMALISATIONS["clip"]
SPEC = ClipSpec({}, (40, 20), mean=MEAN, std=STD)


def test_an_epoch_holds_every_pair_once_and_its_last_batch_what_is_left():
    batches = epoch_batches(11, 4, seed=3)
    first, second = batches(0), batches(1)
    assert [len(batch) for batch in first] == [4, 4, 3]
    assert sorted(np.concatenate(first)) == list(range(11))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    assert all(np.array_equal(a, b) for a, b in zip(first, epoch_batches(11, 4, seed=3)(0), strict=True))
    assert not np.array_equal(np.concatenate(first), np.concatenate(epoch_batches(11, 4, seed=4)(0)))
    assert [len(batch) for batch in epoch_batches(3, 64, 0)(0)] == [3]


def test_without_draws_an_image_is_only_normalised_by_clips_statistics():
    images = torch.randint(256, (2, 40, 20, 3), dtype=torch.uint8, generator=Generator().manual_seed(0))
    found = augment(images, Irra(flip=0.0, pad=0, erase=0.0), SPEC, Generator().manual_seed(0))
    for channel in range(3):
        wanted = (images[..., channel] / 255 - MEAN[channel]) / STD[channel]
        torch.testing.assert_close(found[:, channel], wanted, atol=1e-5, rtol=1e-5)


def test_half_of_the_images_are_mirrored_and_the_padding_is_black():
    ramp = torch.arange(100, 120, dtype=torch.uint8).view(1, 1, 20, 1).expand(400, 40, 20, 3).contiguous()
    found = augment(ramp, Irra(erase=0.0, pad=0), SPEC, Generator().manual_seed(1))
    mirrored = found[:, 0, 0, 0] > found[:, 0, 0, -1]
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.07)
    moved = augment(ramp, Irra(erase=0.0, flip=0.0, pad=10), SPEC, Generator().manual_seed(1))
    black = (0 - torch.tensor(MEAN)) / torch.tensor(STD)
    dark = (moved - black.view(1, 3, 1, 1)).abs().amax(1) < 1e-5  # [B, H, W]
    rows, columns = dark.all(2).sum(1), dark.all(1).sum(1)
    assert rows.max() == columns.max() == 10 and rows.min() == columns.min() == 0  # up to `pad` pixels of each axis
    pixels = (moved * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)) * 255
    assert set(pixels[:, 0].round().unique().tolist()) == {0.0, *map(float, range(100, 120))}


def test_half_of_the_images_are_erased_by_the_mean_as_a_normalised_value():
    images = torch.full((600, 3, 60, 30), 7.0)
    found = erase(images, 0.5, MEAN, Generator().manual_seed(2))
    assert (images == 7).all()
    gone = (found != images).any(1)
    assert (found.permute(0, 2, 3, 1)[gone] == torch.tensor(MEAN)).all()
    hit = gone.flatten(1).any(1)
    assert hit.float().mean().item() == pytest.approx(0.5, abs=0.06)
    tall, wide = gone.any(2).sum(1)[hit], gone.any(1).sum(1)[hit]
    assert torch.equal(tall * wide, gone.flatten(1).sum(1)[hit])  # a rectangle
    area, aspect = tall * wide / 1800, tall / wide
    assert 0.015 < area.min() < 0.04 and 0.36 < area.max() < 0.42  # .02 to .4
    assert 0.25 < aspect.min() < 0.45 and 2.6 < aspect.max() < 3.8  # .3 to 3.3


def test_the_order_is_crop_before_erasing():
    """Erased pixels never hold the black of the padding: they are filled behind the crop."""
    images = torch.full((50, 40, 20, 3), 200, dtype=torch.uint8)
    found = augment(images, Irra(erase=1.0, pad=10), SPEC, Generator().manual_seed(3))
    values = {round(value, 4) for value in found[:, 0].unique().tolist()}
    assert values == {round(value, 4) for value in ((200 / 255 - MEAN[0]) / STD[0], -MEAN[0] / STD[0], MEAN[0])}
