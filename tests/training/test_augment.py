"""The training transform against plain Pillow-like loops and its own statistics."""

import numpy as np
import pytest
import torch

from reanchor.training.augment import draw_geometry, normalise, random_crop, random_erase, random_flip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=64, height=12, width=6):
    return torch.randint(1, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator(9))


def test_normalise_maps_bytes_to_minus_one_to_one():
    x = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    assert normalise(x).shape == (1, 3, 1, 1)
    torch.testing.assert_close(normalise(x).flatten(), torch.tensor([-1.0, -0.6, 1.0]))
    expected = torch.tensor([(0 - 0.1) / 0.5, (0.2 - 0.2) / 0.25, (1 - 0.3) / 0.125])
    torch.testing.assert_close(normalise(x, (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)).flatten(), expected)
    assert normalise(images()).is_contiguous() and x.dtype == torch.uint8


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_geometry_is_flip_then_black_padding_then_a_window(dtype):
    x = images(40).to(dtype)
    draws = draw_geometry(40, 0.5, 3, generator())
    result = draws.apply(x)
    for index in range(40):  # the slow way
        image = x[index].numpy()
        image = image[:, ::-1] if draws.flips[index] else image
        padded = np.pad(image, ((3, 3), (3, 3), (0, 0)))
        top, left = int(draws.tops[index]), int(draws.lefts[index])
        np.testing.assert_array_equal(result[index], padded[top:top + 12, left:left + 6])
    assert result.dtype == dtype and set(draws.tops.tolist()) == set(range(7)) == set(draws.lefts.tolist())


def test_masks_go_the_way_of_their_images():
    x = images(20)
    draws = draw_geometry(20, 0.5, 2, generator())
    torch.testing.assert_close(draws.apply(x[..., 0]), draws.apply(x)[..., 0])


def test_flips_mirror_columns_at_their_rate():
    x = images(2000, 2, 2)
    result = random_flip(x, 0.3, generator())
    flipped = (result == x.flip(2)).flatten(1).all(1)
    same = (result == x).flatten(1).all(1)
    assert (flipped | same).all() and 0.26 < flipped.float().mean() < 0.34
    assert torch.equal(random_flip(x, 0.0, generator()), x)
    assert torch.equal(random_flip(x, 1.0, generator()), x.flip(2))


def test_crop_without_padding_changes_nothing():
    assert torch.equal(random_crop(images(), 0, generator()), images())
    assert (random_crop(images(), 2, generator()) == 0).any()


def _box(changed):
    rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
    return int(rows[0]), int(columns[0]), int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


def test_erasing_replaces_one_rectangle_by_normal_noise():
    x = torch.full((600, 3, 96, 48), 7.0)  # no N(0, 1) draw comes near
    result = random_erase(x, 1.0, generator())
    changed = result != x
    assert (changed == changed[:, :1]).all()  # all channels together
    areas, ratios, boxes = [], [], []
    for one in changed[:, 0]:
        top, left, height, width = _box(one)
        assert one[top:top + height, left:left + width].all() and int(one.sum()) == height * width
        areas.append(height * width / (96 * 48))
        ratios.append(height / width)
        boxes.append((top, left, top + height, left + width))
    areas, ratios, boxes = map(np.array, (areas, ratios, boxes))
    assert 0.018 < areas.min() < 0.03 and 0.3 < areas.max() < 0.345 and 0.15 < areas.mean() < 0.19
    assert ratios.min() < 0.5 and 2.8 < ratios.max() < 3.7 and 0.45 < np.mean(ratios > 1.18) < 0.72
    assert boxes[:, :2].min() == 0 and boxes[:, 2].max() == 96 and boxes[:, 3].max() == 48
    noise = result[changed]
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01
    first, second = result[0][changed[0]], result[1][changed[1]]
    assert len(first.unique()) == len(first) and not torch.equal(first[:20], second[:20])
    assert (x == 7).all()


def test_erasing_has_its_rate_and_gives_up_where_nothing_fits():
    x = torch.full((4000, 3, 16, 8), 7.0)
    rate = (random_erase(x, 0.5, generator()) != x).flatten(1).any(1).float().mean()
    assert 0.46 < rate < 0.54
    assert torch.equal(random_erase(x, 0.0, generator()), x)
    assert torch.equal(random_erase(x, 1.0, generator(), area=(0.99, 1.0), aspect=(9.0, 9.0)), x)


def test_equal_generators_give_equal_batches():
    x = normalise(images())
    one, two = (random_erase(x, 0.5, generator(4)) for _ in range(2))
    assert torch.equal(one, two) and not torch.equal(one, random_erase(x, 0.5, generator(5)))
