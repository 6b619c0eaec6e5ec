"""OGor against golden values of the authors' code and the properties of Algorithm 1."""

import dataclasses
import json
import math
import random

import numpy as np
import PIL
import pytest
from places import GOLDEN

from reanchor.errors import ReanchorError
from reanchor.formats.occlusion import OBJECT
from reanchor.occlusion.draws import generator, image_seed
from reanchor.occlusion.library import PLACEMENT, Cutout
from reanchor.occlusion.ogor import (
    RELEASED,
    draw_released,
    occlude,
    occluder_size,
    paste_cutout,
    place,
    place_released,
)

H, W = 64, 32


def cutout(kind, height, width, alpha=255):
    pixels = np.full((height, width, 4), alpha, np.uint8)
    pixels[..., :3] = (200, 10, 60)
    return Cutout(f"{kind}1.png", kind, PLACEMENT[kind], pixels)


LIBRARY = [cutout("kite", 30, 34), cutout("post", 24, 20), cutout("suitcase", 20, 26), cutout("car", 18, 30),
           cutout("pedestrian", 60, 22)]


def photograph():
    """Image and person mask drawn at random; the occluder's colour does not occur."""
    rng = generator(5)
    return rng.integers(0, 190, (H, W, 3), np.uint8), rng.integers(0, 4, (H, W), np.uint8)


def runs(library=LIBRARY, count=200, **options):
    image, person = photograph()
    seeds = [image_seed(0, str(index), "test") for index in range(count)]
    return [occlude(image, person, library, seed, **options) for seed in seeds]


BOXES = json.loads((GOLDEN / "ogor_boxes.json").read_text())
SEEDED = BOXES["seeded_64x128"]["rows"]


def released_box(kind, occluder, frame):
    """(width, height, left, top) of a cut-out (w, h) in an image (W, H)."""
    size = occluder_size(RELEASED[kind][0] * frame[0] * frame[1], occluder[1] / occluder[0])
    return [*size, *place_released(kind, size, frame)]


def test_released_boxes_equal_the_golden_ones():
    assert {kind: ratio for kind, (ratio, _) in RELEASED.items()} == BOXES["area_ratio"]
    boxes = [released_box(kind, (wide, tall), (width, height))
             for kind, _, width, height, wide, tall, *_ in BOXES["rows"]]
    assert len(boxes) == 240
    assert boxes == [row[-4:] for row in BOXES["rows"]]
    outside = sum(left < 0 or top < 0 or left + w > row[2] or top + h > row[3]
                  for row, (w, h, left, top) in zip(BOXES["rows"], boxes, strict=True))
    assert outside == BOXES["outside_or_larger"] == 81


class Standard:
    """Python's own generator, which the authors' code draws from, in the place of NumPy's."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def integers(self, count):
        return self.random.randrange(count)


@pytest.mark.parametrize("row", SEEDED, ids=lambda row: f"seed{row[0]}")
def test_released_draws_equal_the_golden_ones(row):
    seed, kind, index, *box = row
    sizes = {(name, number): (wide, tall) for name, number, _, _, wide, tall, *_ in BOXES["rows"]}
    library = [Cutout(f"{name}{number}.png", name, PLACEMENT[name], np.zeros((tall, wide, 4), np.uint8))
               for (name, number), (wide, tall) in sorted(sizes.items())]
    drawn = draw_released(library, Standard(seed))
    assert drawn.name == f"{kind}{index}.png"
    assert released_box(kind, sizes[kind, index], (64, 128)) == box


def test_released_occluders_are_clipped_and_labelled():
    results = runs([*LIBRARY, cutout("chair", 40, 80), cutout("bag", 90, 20)], 300, variant="ogor-released")
    kinds = [result.occluder_class for result in results]
    assert min(kinds.count(kind) for kind in set(kinds)) > 20 and len(set(kinds)) == 7
    for result in results:
        x0, y0, x1, y1 = result.box
        assert result.requested_ratio == RELEASED[result.occluder_class][0]
        assert 0 <= x0 < x1 <= W and 0 <= y0 < y1 <= H
        assert (result.mask == OBJECT)[y0:y1, x0:x1].all()
        assert (result.mask == OBJECT).sum() == (x1 - x0) * (y1 - y0) == result.area_ratio * H * W
        if result.occluder_class == "bag":
            assert (x0, y1) == (0, H // 2)
        if result.occluder_class == "pedestrian":
            assert (x1, y1) == (W, H)
    chairs = [result.box for result in results if result.occluder_class == "chair"]
    width, height = occluder_size(0.65 * H * W, 0.5)
    assert width > W and set(chairs) == {(0, H - height, W, H)}


def test_released_classes_are_drawn_evenly_whatever_their_number_of_cutouts():
    library = [cutout("car", 10, 10)] * 9 + [cutout("bag", 10, 10)]
    rng = generator(0)
    drawn = [draw_released(library, rng).kind for _ in range(400)]
    assert 160 < drawn.count("bag") < 240


def test_released_knows_its_own_classes_only():
    library = [cutout("car", 10, 10), dataclasses.replace(cutout("car", 10, 10), kind="sofa")]
    with pytest.raises(ReanchorError, match=r"class 'sofa' has no area ratio in ogor-released.*ogor-paper") as caught:
        draw_released(library, generator(0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["bench", "pedestrian", "umbrella", "bag", "suitcase"])
def test_pasted_pixels_equal_the_golden_ones(kind):
    golden = np.load(GOLDEN / "ogor_pixels.npz")
    width, height, left, top = map(int, golden[f"box_{kind}"])
    (tall, wide), frame = golden["occluder"].shape[:2], golden["holistic"].shape[1::-1]
    assert released_box(kind, (wide, tall), frame) == [width, height, left, top]
    occluder = Cutout("a1.png", kind, "bottom", golden["occluder"])
    image, covered = paste_cutout(golden["holistic"], occluder, left, top, width, height)
    difference = np.abs(image.astype(int) - golden[f"out_{kind}"])
    assert difference.max() <= (0 if PIL.__version__ == str(golden["pillow"]) else 2)
    inside = np.zeros(covered.shape, bool)
    inside[max(0, top):top + height, max(0, left):left + width] = True
    assert not covered[~inside].any()
    assert not difference[~inside].any()


def test_boxes_lie_inside_and_have_the_requested_area_and_aspect():
    aspects = {one.kind: one.pixels.shape[0] / one.pixels.shape[1] for one in LIBRARY}
    results = runs()
    assert {result.occluder_class for result in results} == set(aspects)
    for result in results:
        x0, y0, x1, y1 = result.box
        assert 0 <= x0 < x1 <= W and 0 <= y0 < y1 <= H
        assert 0.1 <= result.requested_ratio <= 0.6
        area, aspect = result.requested_ratio * H * W, aspects[result.occluder_class]
        assert abs((x1 - x0) - math.sqrt(area / aspect)) <= 0.5
        assert abs((y1 - y0) - math.sqrt(area * aspect)) <= 0.5
        assert result.area_ratio == (x1 - x0) * (y1 - y0) / (H * W)  # the cut-outs are opaque
        assert abs(result.area_ratio - result.requested_ratio) < 0.03


def test_delta_is_uniform_where_every_area_fits():
    results = runs([cutout("pedestrian", 40, 20)], 400)
    drawn = np.sort([result.requested_ratio for result in results])
    expected = (drawn - 0.1) / 0.5
    steps = np.arange(401) / 400
    distance = max(np.abs(steps[1:] - expected).max(), np.abs(steps[:-1] - expected).max())
    assert distance < 1.36 / math.sqrt(400)  # Kolmogorov-Smirnov, 5 %


@pytest.mark.parametrize("variant", ["ogor-paper", "ogor-literal"])
def test_placement_by_set(variant):
    lefts = {"upper": set(), "bottom": set()}
    for result in runs(variant=variant):
        x0, y0, _, y1 = result.box
        placement = PLACEMENT[result.occluder_class]
        if placement == "middle":
            assert y0 < H // 2 - (y1 - y0)
        else:
            assert (y0 if placement == "upper" else H - y1) == 0
            lefts[placement].add(x0)
    for positions in lefts.values():
        assert positions == {0} if variant == "ogor-literal" else len(positions) > 5


def test_horizontal_positions_reach_both_edges():
    rng = generator(0)
    spots = {place("bottom", "ogor-paper", (28, 10), (W, H), rng) for _ in range(200)}
    assert spots == {(left, H - 10) for left in range(5)}
    spots = {place("middle", "ogor-paper", (30, 29), (W, H), rng) for _ in range(3000)} - {None}
    assert spots == {(left, top) for left in range(3) for top in range(3)}
    assert place("middle", "ogor-paper", (4, 32), (W, H), rng) is None  # range(0, 0)
    assert place("upper", "ogor-paper", (33, 4), (W, H), rng) is None


def test_mask_is_the_person_minus_the_covered_pixels():
    image, person = photograph()
    for result in runs(count=30):
        x0, y0, x1, y1 = result.box
        expected = (person > 0).astype(np.uint8)
        expected[y0:y1, x0:x1] = 2
        np.testing.assert_array_equal(result.mask, expected)
        changed = (result.image != image).any(-1)
        assert not changed[expected != 2].any()
        assert changed[expected == 2].all()


def test_covered_means_at_least_half_opaque():
    car = cutout("car", 4, 6)
    car.pixels[:, :2, 3], car.pixels[:, 2:4, 3] = 127, 128
    _, covered = paste_cutout(np.zeros((8, 10, 3), np.uint8), car, 1, 2, 6, 4)
    expected = np.zeros((8, 10), bool)
    expected[2:6, 3:7] = True
    np.testing.assert_array_equal(covered, expected)


def test_unknown_person_gives_unknown_labels():
    image, _ = photograph()
    result = occlude(image, None, LIBRARY, 3)
    assert set(np.unique(result.mask)) == {2, 255}
    assert np.mean(result.mask == 2) == result.area_ratio


def test_recorded_seed_repeats_the_draw_and_depends_on_its_three_parts():
    first = runs(count=1)[0]
    again = occlude(*photograph(), LIBRARY, first.seed)
    assert again.box == first.box and again.occluder == first.occluder
    np.testing.assert_array_equal(again.image, first.image)
    parts = [(0, "a", "x"), (1, "a", "x"), (0, "b", "x"), (0, "a", "y")]
    seeds = {image_seed(*part) for part in parts}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_library_that_never_fits_is_an_error():
    image, person = photograph()
    with pytest.raises(ReanchorError, match="none of 1 cut-outs fitted a 32x64 image"):
        occlude(image, person, [cutout("car", 2, 60)], 0)


@pytest.mark.parametrize("variant", ["ogor-paper", "ogor-released"])
def test_cutout_larger_than_the_image_is_scaled(variant):
    image, person = photograph()
    result = occlude(image, person, [cutout("card", 20 * H, 15 * W)], 0, variant=variant)
    assert 0.09 < result.area_ratio < 0.61
