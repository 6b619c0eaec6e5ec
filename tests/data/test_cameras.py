"""Cameras from file names: believed where most names say one, and never read out of a hash."""

import hashlib

import pytest
from layout_factory import fill

from reanchor.data.catalogue import read_dataset
from reanchor.data.layouts.cameras import read_cameras


@pytest.mark.parametrize(("name", "camera"), [
    ("0001_c2_7.jpg", 2), ("0001_C1_F0001_X207.jpg", 1), ("c12s1.png", 12), ("0001_c3s2_000151_01.jpg", 3),
    ("C4.jpg", 4), ("0001_c6-1.jpg", 6), ("0001_c7 1.jpg", 7), ("1_c1.v2.jpg", 1), ("c123456789_1.jpg", 123456789),
    ("0001_c1920x1080.jpg", 0), ("c4ca4238a0b923820dcc509a6f75849b.jpg", 0), ("abc1.jpg", 0), ("0001_c1s.jpg", 0),
    ("c81e728d9d4c2f636f067f89cc14862c.jpg", 0), ("0001_c1a.jpg", 0), ("c1234567890.jpg", 0), ("c.jpg", 0)])
def test_the_form_of_a_camera(name, camera):
    camids, notes = read_cameras([f"c9_1/{name}"])  # the folder says nothing
    assert camids == [camera] and bool(notes) == (camera == 0)


def md5(number):
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def test_hashes_have_no_camera(tmp_path):
    names = [f"{md5(number)}.jpg" for number in range(1000)]
    assert sum(name[0] == "c" and name[1].isdigit() for name in names) > 20  # the trap
    assert read_cameras(names) == ([0] * 1000, ["cameras are unknown: no file name carries _cN"])
    short = [*names, "c12.jpg", "c1234567.jpg"]  # of a hash of few digits
    assert read_cameras(short) == ([0] * 1002, [
        "cameras are taken as unknown: only 2 of 1,002 file names carry _cN (such as c12.jpg); if these are cameras, "
        "write _cN into all names"])
    listing = read_dataset("folder", fill(tmp_path, (f"{number % 6}/{name}" for number, name in enumerate(names[:60]))),
                           0)
    assert {entry.camid for entry in listing.entries} == {0} and len(listing.entries) == 60 and not listing.rejections


def test_a_few_names_that_lost_their_camera_are_set_aside(tmp_path):
    names = [f"{number % 5 + 1}/{number:04d}_c{number % 3 + 1}_x.jpg" for number in range(999)]
    camids, notes = read_cameras([*names, "5/final.jpg"])
    assert camids == [number % 3 + 1 for number in range(999)] + [None]
    assert notes == ["1 of 1,000 images are set aside, as their names lack the _cN that the others carry (such as "
                     "5/final.jpg): rename them"]
    listing = read_dataset("folder", fill(tmp_path, [*names[:30], "5/final.jpg"]), 0)
    assert [(one.path, one.reason, one.detail) for one in listing.rejections] == [
        ("5/final.jpg", "bad_name", "without the _cN that other names carry")]
    assert listing.notes == ["1 of 31 images are set aside, as their names lack the _cN that the others carry (such as "
                             "5/final.jpg): rename them"]


def test_more_than_half_of_the_names_decide():
    assert read_cameras(["a_c1.jpg", "b_c2.jpg", "c.jpg"])[0] == [1, 2, None]
    assert read_cameras(["a_c1.jpg", "b_c2.jpg", "c.jpg", "d.jpg"])[0] == [0, 0, 0, 0]
    assert read_cameras(["a_c1.jpg", "b_c2.jpg"]) == ([1, 2], []) and read_cameras([]) == ([], [])


def test_cameras_that_count_from_0_are_moved_as_0_means_unknown():
    assert read_cameras(["a_c0.jpg", "b_c2.jpg", "c.jpg"]) == ([1, 3, None], [
        "file names count cameras from 0: camid is one more than their _cN",
        "1 of 3 images are set aside, as their names lack the _cN that the others carry (such as c.jpg): rename them"])


def test_names_in_another_encoding_have_no_say(tmp_path):
    fill(tmp_path, (f"{pid}/{image}_c{camera}.jpg" for pid in range(1, 5) for camera in (1, 2) for image in (1, 2)))
    for number in range(40):
        (tmp_path / f"1/\udcd0{number}.jpg").write_bytes(b"")
    listing = read_dataset("folder", tmp_path, 0)
    assert {entry.camid for entry in listing.entries} == {1, 2} and listing.notes == []
    assert {one.detail for one in listing.rejections} == {"not UTF-8"} and len(listing.rejections) == 40
