"""Masking and pasted people: area ratios, who is pasted over whom, exact masks."""

import math

import numpy as np
import pytest

from reanchor.errors import ReanchorError
from reanchor.formats.occlusion import OBJECT, RATIO_TOLERANCE, STRANGER, TARGET, bounding_box
from reanchor.occlusion.draws import generator
from reanchor.occlusion.library import Cutout
from reanchor.occlusion.masking import SHAPES, block, erase, patches
from reanchor.occlusion.mixed import cover
from reanchor.occlusion.ogor import occlude
from reanchor.occlusion.people import Crowd, Pasting, paste_over, silhouette

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


@pytest.mark.parametrize("position", ["random", "top", "middle", "bottom"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ratio", [*RATIOS, 0.0, 0.01, 0.9])
def test_masking_ratio_is_exact_to_the_pixel(ratio, shape, position):
    images, masks, *_ = street()
    for seed in range(12):
        result = erase(images[0], masks[0], ratio, seed, shape, position)
        erased = result.mask == 2
        assert erased.sum() == round(ratio * H * W)
        assert result.area_ratio == erased.mean()
        assert (result.image[erased] == 128).all()
        np.testing.assert_array_equal(result.image[~erased], images[0][~erased])
        np.testing.assert_array_equal(result.mask[~erased], masks[0][~erased] > 0)
        assert result.occluder == shape
        x0, y0, x1, y1 = result.box
        assert bounding_box(erased) == (x0, y0, x1, y1)
        if shape == "block" and ratio:
            assert (x1 - x0) * (y1 - y0) - erased.sum() < max(y1 - y0, x1 - x0)  # a rectangle, but for one column
        if shape == "stripe" and ratio:
            assert (x0, x1) == (0, min(W, erased.sum())) and 0 <= (y1 - y0) * W - erased.sum() < W


@pytest.mark.parametrize(("shape", "reach"), [("block", 0), ("stripe", 0), ("patches", 6)])
def test_a_position_is_the_height_of_what_is_erased(shape, reach):
    for ratio in (0.1, 0.2, 0.3):
        for seed in range(20):
            boxes = {position: bounding_box(SHAPES[shape](H, W, round(ratio * H * W), generator(seed), position))
                     for position in ("top", "middle", "bottom")}
            assert boxes["top"][1] <= reach and boxes["bottom"][3] >= H - reach
            assert abs(boxes["middle"][1] - (H - boxes["middle"][3])) <= 1 + 2 * reach
            assert boxes["top"][3] < H and boxes["bottom"][1] > 0
            if shape == "block":  # beside the image, wider than tall
                x0, y0, x1, y1 = boxes["top"]
                assert (y1 - y0) / H <= (x1 - x0) / W + 0.06


def test_patches_are_scattered_squares_that_stay_as_more_come():
    for position in ("random", "middle"):
        small, large = (patches(H, W, round(ratio * H * W), generator(5), position) for ratio in (0.1, 0.4))
        assert (large | ~small).all() or position == "middle"  # a band grows with the ratio
        cells = small.reshape(H // 6, 6, W // 6, 6).sum((1, 3))
        assert set(np.unique(cells)) <= {0, 36, round(0.1 * H * W) % 36}
        assert np.count_nonzero(cells) == math.ceil(0.1 * H * W / 36)
        rows = np.flatnonzero(cells.any(1))
        assert len(rows) > 3 and (position == "random" or (rows.min() >= 5 and rows.max() <= 10))


def paste(ratio):
    images, masks, pids, camids = street()
    return paste_over(images[0], masks[0], 1, 1, crowd(images, masks, pids, camids), ratio, 0)


def object_of(low, high):
    library = [Cutout("a.png", "box", "bottom", np.full((20, 10, 4), 255, np.uint8))]
    return occlude(street()[0][0], None, library, 0, ratios=(low, high))


@pytest.mark.parametrize("ratio", [-0.1, 0.91, 1.2, math.nan])
@pytest.mark.parametrize(("draw", "name"), [
    (lambda ratio: erase(street()[0][0], None, ratio, 0), "masking ratio"), (paste, "people ratio"),
    (lambda ratio: object_of(0.1, ratio), "OGor ratio"), (lambda ratio: object_of(ratio, 0.5), "OGor ratio")])
def test_a_ratio_out_of_range_is_one_line(draw, name, ratio):
    with pytest.raises(ReanchorError, match=rf"^{name}: got {ratio:g}; allowed: .* to 0\.9, .*$"):
        draw(ratio)


def test_nothing_is_a_ratio_but_of_an_object():
    assert erase(street()[0][0], None, 0, 0).area_ratio == paste(0).area_ratio == 0
    for ratios, said in (((0.0, 0.5), "OGor ratio: got 0; allowed: above 0"), ((0.5, 0.4), "0.5 to 0.4")):
        with pytest.raises(ReanchorError, match=said):
            object_of(*ratios)


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
        assert abs(covered.mean() - ratio) <= RATIO_TOLERANCE
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


def test_a_stranger_comes_from_the_side_asked_for():
    images, masks, pids, camids = street()
    group = crowd(images, masks, pids, camids)
    for seed in range(12):
        free, left, right = (paste_over(images[0], masks[0], 1, 1, group, 0.2, seed, Pasting(come_from=side))
                             for side in ("random", "left", "right"))
        for result, half in ((left, slice(0, W // 2)), (right, slice(W // 2, W))):
            covered = result.mask == STRANGER
            assert covered[:, half].sum() > 0.8 * covered.sum()
        assert free.occluder == left.occluder == right.occluder  # nothing else differs
        assert any(np.array_equal(free.image, one.image) for one in (left, right))


def test_a_stranger_behind_is_seen_only_beside_the_target():
    images, masks, pids, camids = street()
    group = crowd(images, masks, pids, camids)
    person = masks[0] > 0
    for ratio in (0.1, 0.2, 0.3):
        for seed in range(6):
            result = paste_over(images[0], masks[0], 1, 1, group, ratio, seed, Pasting(layer="behind"))
            np.testing.assert_array_equal(result.image[person], images[0][person])
            assert (result.mask[person] == TARGET).all()
            covered = result.mask == STRANGER
            assert result.area_ratio == covered.mean() and abs(covered.mean() - ratio) <= RATIO_TOLERANCE
            front = paste_over(images[0], masks[0], 1, 1, group, ratio, seed)
            assert front.occluder == result.occluder
    crowded = paste_over(images[0], masks[0], 1, 1, group, 0.9, 0, Pasting(layer="behind"))
    assert crowded.area_ratio <= (~person).mean() and crowded.requested_ratio == 0.9
    with pytest.raises(ReanchorError, match=r"people_layers: 'behind' needs person masks.*occlude\.masks"):
        paste_over(images[0], None, 1, 1, group, 0.2, 0, Pasting(layer="behind"))


def test_edges_differ_where_outlines_do_not():
    images, masks, pids, camids = street()
    group = crowd(images, masks, pids, camids)
    for seed in range(6):
        soft, hard, feathered = (paste_over(images[0], masks[0], 1, 1, group, 0.3, seed, Pasting(edge=edge))
                                 for edge in ("soft", "hard", "feathered"))
        np.testing.assert_array_equal(soft.mask, hard.mask)
        covered = hard.mask == STRANGER
        np.testing.assert_array_equal(hard.image[~covered], images[0][~covered])  # nothing half-mixed
        assert (soft.image[~covered] != images[0][~covered]).any()
        assert abs(feathered.area_ratio - 0.3) <= RATIO_TOLERANCE
        changed = {name: (one.image != images[0]).any(-1) for name, one in (("hard", hard), ("fade", feathered))}
        stranger = 100 + 20 * int(hard.occluder.rpartition("/")[2])
        mixed = {name: np.abs(image.astype(int) - stranger).max(-1)[changed[key]] > 8
                 for name, key, image in (("hard", "hard", hard.image), ("feathered", "fade", feathered.image))}
        assert mixed["feathered"].mean() > 2 * mixed["hard"].mean()


def test_size_scales_the_stranger():
    images, masks, pids, camids = street()
    group = crowd(images, masks, pids, camids)
    for seed in range(6):
        small, plain = (paste_over(images[0], masks[0], 1, 1, group, 0.1, seed, Pasting(size=size)).box
                        for size in (0.5, 1.0))
        assert 0.4 < (small[3] - small[1]) / (plain[3] - plain[1]) < 0.6


@pytest.mark.parametrize("beside", ["mask", "object"])
def test_mixed_covers_the_ratio_by_two_occluders(beside):
    images, masks, pids, camids = street()
    group = crowd(images, masks, pids, camids)
    pixels = np.full((20, 14, 4), 255, np.uint8)
    pixels[:, :4, 3] = 0  # of the object's box, 4 of 14 columns are free
    library = [Cutout("car1.png", "car", "bottom", pixels)]
    for ratio in (0.0, 0.2, 0.4, 0.6):
        for seed in range(6):
            result = cover(images[0], masks[0], 1, 1, group, library, beside, ratio, seed)
            covered = np.isin(result.mask, (OBJECT, STRANGER))
            assert result.area_ratio == pytest.approx(covered.mean()) and abs(covered.mean() - ratio) <= RATIO_TOLERANCE
            np.testing.assert_array_equal(result.mask[~covered], masks[0][~covered] > 0)
            x0, y0, x1, y1 = result.box
            outside = np.ones((H, W), bool)
            outside[y0:y1, x0:x1] = False
            np.testing.assert_array_equal(result.image[outside], images[0][outside])
            if ratio:
                share = (result.mask == OBJECT).mean() / ratio
                assert share == pytest.approx(0.5, abs=0.01) if beside == "mask" else 0.25 < share < 0.45
                assert result.occluder_class == f"{'mask' if beside == 'mask' else 'car'}+person"
    assert np.array_equal(cover(images[0], masks[0], 1, 1, group, library, beside, 0.0, 0).image, images[0])


def test_ratio_zero_changes_nothing():
    images, masks, pids, camids = street()
    result = paste_over(images[0], masks[0], 1, 1, crowd(images, masks, pids, camids), 0.0, 0)
    np.testing.assert_array_equal(result.image, images[0])
    np.testing.assert_array_equal(result.mask, masks[0] > 0)
    assert result.area_ratio == 0.0 and result.box == (0, 0, 0, 0)
