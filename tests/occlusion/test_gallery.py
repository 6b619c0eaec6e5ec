"""Occluded galleries: which rows are replaced, and reading images with some rows replaced."""

import numpy as np
import pyarrow as pa
import pytest

from reanchor.config.sections.data import Occlude
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.formats.occluded_set import OccludedSet
from reanchor.formats.overlay import Overlay
from reanchor.occlusion.plan import gallery_rows, plan

# (split, pid, camid); two val and two test identities, three distractors and two junk images.
PEOPLE = ([("train", 1, 1)] * 2 + [("val", pid, camid) for pid in (7, 8) for camid in (1, 1, 2, 2, 3)]
          + [("query", 20, 1), ("query", 21, 1)]
          + [("gallery", pid, camid) for pid in (20, 21) for camid in (1, 1, 1, 2, 3)]
          + [("gallery", 0, camid) for camid in (1, 2, 2, 3, 3)] + [("gallery", -1, 1)] * 2)


def manifest(order=None):
    people = PEOPLE if order is None else [PEOPLE[index] for index in order]
    names = [f"image_{index:02d}" for index in (range(len(PEOPLE)) if order is None else order)]
    count = len(names)
    return Manifest(image_id=names, path=names, pid=np.array([pid for _, pid, _ in people]),
                    camid=np.array([camid for *_, camid in people], np.int32), viewid=np.zeros(count, np.int32),
                    split=np.array([split for split, *_ in people]), captions=[[]] * count,
                    width=np.full(count, 8), height=np.full(count, 8), checksum=[""] * count)


@pytest.mark.parametrize(("split", "share", "counts"), [
    ("test", 0.4, {0: 2, 20: 2, 21: 2}), ("test", 1.0, {0: 5, 20: 5, 21: 5}), ("val", 0.6, {7: 3, 8: 3}),
    ("test", 0.3, {0: 2, 20: 1, 21: 1}), ("val", 0.0, {})])  # round(1.5), round(3.0), round(4.5) = 2, 3, 4
def test_every_identity_and_the_distractors_lose_their_share_and_junk_nothing(split, share, counts):
    one = manifest()
    rows = gallery_rows(one, split, Occlude(gallery_share=share))
    pids, found = np.unique(one.pid[rows], return_counts=True)
    assert dict(zip(pids.tolist(), found.tolist(), strict=True)) == counts
    assert set(one.split[rows]) <= {"gallery" if split == "test" else "val"}
    assert (np.diff(rows) > 0).all()


def test_other_cameras_come_first_whatever_the_order_of_rows():
    one, order = manifest(), np.random.default_rng(0).permutation(len(PEOPLE))
    two = manifest(order)
    for split, pids in (("val", (7, 8)), ("test", (0, 20, 21))):
        rows = gallery_rows(one, split, Occlude(gallery_share=0.6))
        for pid in pids:
            assert sorted(one.camid[row] for row in rows if one.pid[row] == pid) == [1, 2, 3]
        other = gallery_rows(two, split, Occlude(gallery_share=0.6))
        assert {one.image_id[row] for row in rows} == {two.image_id[row] for row in other}


def test_gallery_suites_draw_apart_from_queries():
    suites = {suite.folder: suite for suite in plan(Occlude(), manifest())}
    assert suites["val/gallery-ogor"].side == suites["test/gallery-ogor"].side == "gallery"
    purposes = [suite.purpose for suite in suites.values() if suite.kind == "ogor"]
    assert purposes == ["train/ogor", "val/ogor", "val/gallery/ogor", "test/ogor", "test/gallery/ogor"]
    assert not any(folder.endswith("gallery-ogor")
                   for folder in (suite.folder for suite in plan(Occlude(gallery_share=0.0), manifest())))


def copies_of(rows, height=4, width=2):
    rows = np.array(rows, np.int64)
    images = np.stack([np.full((height, width, 3), 100 + row, np.uint8) for row in rows])
    return OccludedSet(images, np.zeros((len(rows), height, width), np.uint8), rows, pa.table({"row": rows}))


def none_of(height):
    images = np.zeros((0, height, 2, 3), np.uint8)
    return OccludedSet(images, images[..., 0], np.zeros(0, np.int64), pa.table({"row": np.zeros(0, np.int64)}))


def test_overlay_replaces_its_rows_and_no_other():
    images = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 2, 3), np.uint8)
    images.flags.writeable = False
    overlay = Overlay(images, copies_of([5, 1]))
    assert overlay.shape == (6, 4, 2, 3) and len(overlay) == 6 and overlay.rows.tolist() == [5, 1]
    expected = np.array([0, 101, 2, 3, 4, 105], np.uint8)
    for rows in (np.array([3, 5, 1, 1, 0]), [5], np.array([], np.int64), slice(1, 6, 2), slice(None),
                 np.array([True, False, True, False, False, True])):
        read = overlay[rows]
        assert read.dtype == np.uint8 and read.shape == (len(expected[rows]), 4, 2, 3)
        np.testing.assert_array_equal(read, np.broadcast_to(expected[rows][:, None, None, None], read.shape))
    assert (overlay[1] == 101).all() and (overlay[2] == 2).all() and overlay[1].shape == (4, 2, 3)
    overlay[np.array([1, 2])][:] = 0  # a reader's own array
    assert overlay[1].min() == 101 and images[2].min() == 2


@pytest.mark.parametrize("copies", [copies_of([6]), copies_of([1], height=5), none_of(5)],
                         ids=["row", "size", "none"])
def test_overlay_refuses_copies_of_other_images(copies):
    with pytest.raises(ReanchorError, match=r"do not fit data/prepared's .*dvc repro occlude") as caught:
        Overlay(np.zeros((6, 4, 2, 3), np.uint8), copies)
    assert "\n" not in str(caught.value)
    assert len(Overlay(np.zeros((6, 4, 2, 3), np.uint8), none_of(4)).rows) == 0
