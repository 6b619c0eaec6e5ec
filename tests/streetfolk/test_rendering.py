"""Streetfolk's people, drawing and masks."""

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from reanchor.streetfolk.camera import make_camera
from reanchor.streetfolk.canvas import FEATURES, PARTS, Canvas, reduce_labels
from reanchor.streetfolk.figure import Figure, draw
from reanchor.streetfolk.geometry import Lathe, Tube, View, hull
from reanchor.streetfolk.identity import FAMILY, TABLES, generator, make_identity
from reanchor.streetfolk.people import render_people, shots
from reanchor.streetfolk.pose import make_pose

MAGENTA = (255, 0, 255)


@pytest.fixture(scope="module")
def people():
    return render_people(1, "test-people", range(8, 20), 6, cameras=6, supersample=2)


def canvas_of(identity, yaw, walk=0):
    canvas = Canvas(Image.new("RGB", (192, 384), MAGENTA))
    view = View(yaw, 0.1, 0.1, 340, 96, 370)
    draw(Figure(canvas, view, identity, make_pose(generator(0, "pose", walk), identity.details)))
    return canvas


def features_of(identity, yaw, walk=0):
    labels = np.asarray(canvas_of(identity, yaw, walk).labels)
    return {FEATURES[k] for k in np.unique(labels)}


def with_attributes(index=0, opening=None, **changes):
    """An identity with some attributes of our choice."""
    base = make_identity(0, "fixed", index)
    details = base.details if opening is None else replace(base.details, opening=opening)
    return replace(base, attributes=base.attributes | changes, details=details)


def test_people_have_the_promised_shapes(people):
    assert people.images.shape == (72, 96, 48, 3) and people.images.dtype == np.uint8
    assert people.masks.shape == (72, 96, 48) and people.masks.dtype == np.uint8
    assert people.pids.tolist() == [pid for pid in range(8, 20) for _ in range(6)]
    assert people.pids.dtype == people.camids.dtype == np.int64
    assert people.camids.min() >= 0 and people.camids.max() <= 5
    assert [len(pair) for pair in people.captions] == [2] * 72


def test_people_do_not_depend_on_processes_or_on_the_other_identities(people):
    parallel = render_people(1, "test-people", range(10, 28), 6, cameras=6, supersample=2, processes=2)
    rows, others = slice(12, 72), slice(0, 60)
    for name in ("images", "masks", "pids", "camids", "captions"):
        assert np.array_equal(getattr(people, name)[rows], getattr(parallel, name)[others])


def test_seed_and_namespace_make_other_people(people):
    for seed, namespace in ((2, "test-people"), (1, "elsewhere")):
        other = render_people(seed, namespace, range(8, 12), 6, supersample=2)
        same = (other.images[:, None] == people.images[None, :24]).reshape(24, 24, -1).all(-1)
        assert not same.any()
    here = {str(make_identity(1, "test-people", k).attributes) for k in range(200)}
    there = {str(make_identity(1, "elsewhere", k).attributes) for k in range(200)}
    assert len(here) == len(there) == 200 and not here & there


def test_families_share_most_attributes_and_no_two_members_are_alike():
    rng = np.random.default_rng(0)
    inside, outside = [], []
    for family in range(60):
        members = [make_identity(1, "families", FAMILY * family + k).attributes for k in range(FAMILY)]
        stranger = make_identity(1, "families", FAMILY * (family + 60 + int(rng.integers(9)))).attributes
        for k, one in enumerate(members):
            outside.append(agreement(one, stranger))
            inside += [agreement(one, other) for other in members[:k]]
    assert 0.6 < np.mean(inside) < 0.85 and max(inside) < 1
    assert np.mean(outside) < 0.45


def agreement(one, other):
    return np.mean([one[name] == other[name] for name in TABLES])


def test_attributes_come_from_their_tables_and_suit_each_other():
    for k in range(300):
        attributes = make_identity(5, "tables", k).attributes
        assert attributes.keys() == TABLES.keys()
        assert all(attributes[name] in TABLES[name] for name in TABLES)
        assert attributes["upper_colour"] != attributes["upper_accent"]
        assert attributes["upper_colour"] != attributes["print_colour"]
        if attributes["lower"] == "jeans":
            assert attributes["lower_colour"] in ("blue", "black", "grey", "navy")


def test_every_identity_meets_at_least_two_cameras_evenly():
    for k in range(100):
        cameras = [shot.camera for shot in shots(1, "x", k, 8, 6)]
        counts = np.bincount(cameras, minlength=6)
        assert (counts > 0).sum() >= 3 and counts[counts > 0].max() - counts[counts > 0].min() <= 1
        few = [shot.camera for shot in shots(1, "x", k, 4, 6, per_camera=2)]
        assert sorted(np.bincount(few)[np.unique(few)]) == [2, 2]


def test_cameras_depend_on_seed_alone_and_differ():
    assert make_camera(1, 2) == make_camera(1, 2)
    casts = np.stack([make_camera(1, k).colour.sum(1) for k in range(6)])
    assert np.ptp(casts, axis=0).min() > 0.15


def test_masks_are_whole_people(people):
    assert people.masks.max() == len(PARTS) - 1
    share = (people.masks > 0).mean((1, 2))
    assert share.min() > 0.12 and share.max() < 0.6 and 0.25 < share.mean() < 0.42
    for part in ("head", "torso", "legs"):
        assert ((people.masks == PARTS.index(part)).any((1, 2))).mean() > 0.95
    rows = np.arange(96)[None, :, None]
    where = {part: people.masks == PARTS.index(part) for part in ("head", "torso", "legs", "feet")}
    centre = {part: (rows * here).sum() / here.sum() for part, here in where.items()}
    assert centre["head"] < centre["torso"] < centre["legs"] < centre["feet"]


@pytest.mark.parametrize("yaw", [0, 45, 90, 180, 250])
def test_labels_mark_exactly_what_is_drawn(yaw):
    for k in range(12):
        canvas = canvas_of(make_identity(1, "exact", k), yaw, k)
        drawn = (np.asarray(canvas.image) != MAGENTA).any(-1)
        assert np.array_equal(np.asarray(canvas.labels) > 0, drawn)


def test_reduced_mask_is_the_majority_of_a_half_covered_pixel():
    shirt, shoe, bag = (FEATURES.index(name) for name in ("upper", "shoes", "bag"))
    labels = np.array([[shirt, 0, shirt, 0],
                       [shoe, 0, 0, 0],
                       [bag, bag, shoe, shoe],
                       [0, bag, bag, shoe]], dtype=np.uint8)
    mask, coverage, area = reduce_labels(labels, 2)
    torso, feet = PARTS.index("torso"), PARTS.index("feet")
    assert mask.tolist() == [[torso, 0], [PARTS.index("bag"), feet]]
    assert coverage.tolist() == [[0.5, 0.25], [0.75, 1.0]]
    assert (area[shirt], area[shoe], area[bag], area.sum()) == (2, 4, 4, 16)


def test_what_is_seen_depends_on_the_side():
    person = with_attributes(glasses="glasses", beard="beard", bag="backpack", hair="short", headwear="none",
                             outer="none", scarf="none", print="star")
    front, back = features_of(person, 0), features_of(person, 180)
    assert {"glasses", "beard", "face", "strap", "print"} <= front and "bag" not in front
    assert {"bag", "hair"} <= back and not {"glasses", "beard"} & back
    coat = with_attributes(outer="coat", opening=0.0, print="star", bag="none", scarf="none")
    assert "print" not in features_of(coat, 0)
    opened = with_attributes(outer="coat", opening=44.0, bag="none", scarf="none", upper="sweater")
    assert "upper" in features_of(opened, 0)


def test_projection_turns_the_person_to_the_pictures_right():
    side = View(90, 0.0, 0.0, 100, 50, 100)
    assert side.project(0, 0.5, 0.2) == pytest.approx((70, 50))  # the front points right
    assert side.depth(0.1, 0) == pytest.approx(-0.1)  # the left arm is the far one
    front = View(0, 0.5, 0.2, 100, 50, 100)
    assert front.project(0.1, 1.0, 0) == pytest.approx((61, 0))  # 0.1 * 100 * (1 + 0.2 * 0.5)
    assert front.project(0, 0, 0.1)[1] == pytest.approx(105)  # nearer is lower, seen from above


def test_lathe_patch_is_the_visible_part_of_a_strip():
    front = View(0, 0.0, 0.0, 1, 0, 0)
    barrel = Lathe(front, ((0, 1, 0, 2, 1), (0, 0, 0, 2, 1)))
    assert barrel.outline() == [(-2, -1), (-2, 0), (2, 0), (2, -1)]
    (piece,) = barrel.patch(-30, 30)
    across = [x for x, _ in piece]
    assert (min(across), max(across)) == pytest.approx((-1, 1))  # 2 sin 30
    assert barrel.patch(120, 240) == []  # the back
    jacket = barrel.patch(30, 330)  # open in front: two panels
    assert sorted(round(max(x for x, _ in piece) - min(x for x, _ in piece), 3) for piece in jacket) == [1, 1]
    assert barrel.faces(math.pi) == pytest.approx(-1)


def test_tube_pieces():
    view = View(0, 0.0, 0.0, 1, 0, 0)
    limb = Tube(view, ((0, 2, 0), (0, 1, 0), (0, 0, 0)), (1.0, 0.5, 0.5))
    half = limb.between(0.5, 2, grow=2)
    assert half.joints == ((0, 1.5, 0), (0, 1, 0), (0, 0, 0)) and half.radii == (1.5, 1.0, 1.0)
    assert limb.strip(170, 190) == []
    assert [x for x, _ in limb.strip(60, 120)[:3]] == pytest.approx([0.866, 0.433, 0.433], abs=1e-3)
    assert [x for x, _ in limb.strip(60, 120)[3:]] == pytest.approx([0.5, 0.5, 1.0])  # cut off at the edge
    turned = Tube(View(90, 0.0, 0.0, 1, 0, 0), limb.joints, limb.radii)
    assert turned.strip(60, 120) == [] and len(turned.strip(-120, -60)) == 6
    assert sorted(hull([(0, 0), (1, 0), (1, 1), (0, 1), (0.5, 0.5)])) == [(0, 0), (0, 1), (1, 0), (1, 1)]
