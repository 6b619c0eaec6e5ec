"""Masking and pasted people: area ratios, who is pasted over whom, exact masks."""

import numpy as np
import pytest

from reanchor.errors import ReanchorError
from reanchor.occlusion.draws import generator
from reanchor.occlusion.image import bounding_box
from reanchor.occlusion.masking import GREY, block, erase
from reanchor.occlusion.people import TOLERANCE, Crowd, paste_over, silhouette

H, W = 96, 48
RATIOS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def street(count=6):
    """People of flat colour on dark noise: images, masks [count, H, W], pids 1.., alternating cameras."""
    rng = generator(1)
    images = rng.integers(0, 60, (count, H, W, 3), np.uint8)
    masks = np.stack([silhouette(H, W) * np.uint8(3)] * count)
    masks[1::2, :, : W // 4] = 0  # one arm missing
    for index in range(count):
        images[index][masks[index] > 0] = 100 + 20 * index
    pids = np.arange(1, count + 1)
    return images, masks, pids, np.arange(count, dtype=np.int32) % 2 + 1


def crowd(images, masks, pids, camids, order=None):
    order = np.arange(len(pids)) if order is None else order
    names = [f"gallery/{index:04d}" for index in order]
    return Crowd(images[order], None if masks is None else masks[order], np.arange(len(order)), names,
                 pids[order], camids[order])


@pytest.mark.parametrize("ratio", [*RATIOS, 0.01, 0.9])
def test_masking_ratio_is_exact_to_the_pixel(ratio):
    images, masks, *_ = street()
    for seed in range(40):
        result = erase(images[0], masks[0], ratio, seed)
        erased = result.mask == 2
        assert erased.sum() == round(ratio * H * W)
        assert result.area_ratio == erased.mean()
        assert (result.image[erased] == GREY).all()
        np.testing.assert_array_equal(result.image[~erased], images[0][~erased])
        np.testing.assert_array_equal(result.mask[~erased], masks[0][~erased] > 0)
        x0, y0, x1, y1 = result.box
        assert 0 <= x0 < x1 <= W and 0 <= y0 < y1 <= H
        assert (x1 - x0) * (y1 - y0) - erased.sum() < max(y1 - y0, x1 - x0)  # a rectangle, but for one column


def test_masking_blocks_vary_in_aspect_and_place():
    boxes = [bounding_box(block(H, W, 461, generator(seed))) for seed in range(200)]
    aspects = [(y1 - y0) / H / ((x1 - x0) / W) for x0, y0, x1, y1 in boxes]
    assert min(aspects) < 0.5 and max(aspects) > 2.0
    assert all(0.35 < aspect < 2.9 for aspect in aspects)
    assert {box[0] for box in boxes} >= {0, 5, 20} and min(box[1] for box in boxes) == 0
    assert max(box[2] for box in boxes) == W and max(box[3] for box in boxes) == H


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("ratio", RATIOS)
def test_pasted_person_covers_the_ratio(ratio, masked):
    images, masks, pids, camids = street()
    group = crowd(images, masks if masked else None, pids, camids)
    sides = set()
    for seed in range(12):
        person = masks[0] if masked else None
        result = paste_over(images[0], person, 1, 1, group, ratio, seed)
        covered = result.mask == 3
        assert abs(covered.mean() - ratio) <= TOLERANCE
        assert result.area_ratio == covered.mean()
        assert result.occluder in {"gallery/0002", "gallery/0004"}  # other people, same camera
        expected = masks[0] > 0 if masked else np.full((H, W), 255)
        np.testing.assert_array_equal(result.mask[~covered], expected[~covered])
        x0, y0, x1, y1 = result.box
        outside = np.ones((H, W), bool)
        outside[y0:y1, x0:x1] = False
        np.testing.assert_array_equal(result.image[outside], images[0][outside])
        half = covered[:, :W // 2].mean() - covered[:, W // 2:].mean()
        sides.add(half > 0)
        if ratio <= 0.4:  # the other side of the target stays in view
            assert (covered[:, :W // 4].mean() < 0.1) or (covered[:, -W // 4:].mean() < 0.1)
    assert sides == {True, False}


def test_pasted_pixels_are_the_strangers():
    images, masks, pids, camids = street()
    result = paste_over(images[0], masks[0], 1, 1, crowd(images, masks, pids, camids), 0.3, 7)
    stranger = int(result.occluder.rpartition("/")[2])
    deep = np.zeros((H, W), bool)
    covered = result.mask == 3
    deep[1:-1, 1:-1] = (covered[1:-1, 1:-1] & covered[:-2, 1:-1] & covered[2:, 1:-1]
                        & covered[1:-1, :-2] & covered[1:-1, 2:])
    assert np.abs(result.image[deep].astype(int) - (100 + 20 * stranger)).max() <= 40  # its edge is mixed
    assert np.median(result.image[deep]) == 100 + 20 * stranger


def test_growing_ratio_keeps_the_same_stranger_and_side():
    images, masks, pids, camids = street()
    group = crowd(images, masks, pids, camids)
    results = [paste_over(images[0], masks[0], 1, 1, group, ratio, 3) for ratio in RATIOS]
    assert len({result.occluder for result in results}) == 1
    visible = [np.count_nonzero(result.mask == 1) for result in results]
    assert visible == sorted(visible, reverse=True) and visible[-1] > 0


def test_another_camera_serves_when_the_same_one_has_nobody_else():
    images, masks, pids, camids = street(2)
    result = paste_over(images[0], masks[0], 1, 1, crowd(images, masks, pids, camids), 0.2, 0)
    assert result.occluder == "gallery/0001"


def test_distractors_junk_and_the_same_person_are_never_pasted():
    images, masks, _, camids = street()
    group = crowd(images, masks, np.array([0, -1, 7, 7, 8, 0]), camids)
    results = [paste_over(images[0], masks[0], 7, 1, group, 0.2, seed) for seed in range(8)]
    assert {result.occluder for result in results} == {"gallery/0004"}
    with pytest.raises(ReanchorError, match="pid 7 is the only identity"):
        paste_over(images[0], masks[0], 7, 1, crowd(images, masks, np.full(6, 7), camids), 0.2, 0)


def test_stranger_does_not_depend_on_the_order_of_rows():
    images, masks, pids, camids = street()
    order = np.array([3, 5, 0, 2, 4, 1])
    for seed in range(4):
        first = paste_over(images[0], masks[0], 1, 1, crowd(images, masks, pids, camids), 0.3, seed)
        second = paste_over(images[0], masks[0], 1, 1, crowd(images, masks, pids, camids, order), 0.3, seed)
        assert first.occluder == second.occluder
        np.testing.assert_array_equal(first.image, second.image)


def test_empty_masks_of_all_strangers_are_an_error():
    images, masks, pids, camids = street()
    with pytest.raises(ReanchorError, match="empty person masks"):
        paste_over(images[0], masks[0], 1, 1, crowd(images, masks * 0, pids, camids), 0.3, 0)
