"""Occluder libraries: names, backgrounds, placement sets and bad folders."""

import numpy as np
import pytest
from PIL import Image

from reanchor.errors import ReanchorError
from reanchor.occlusion.library import PLACEMENT, load_library, white_background


def save(path, pixels):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def ring_on_white(size=20):
    """A dark ring with a white middle on white: (rgb, the object with its middle)."""
    rgb = np.full((size, size, 3), 255, np.uint8)
    rgb[5:15, 4:16] = (30, 60, 90)
    rgb[8:12, 8:12] = 255
    inside = np.zeros((size, size), bool)
    inside[5:15, 4:16] = True
    return rgb, inside


def test_white_background_goes_and_white_inside_the_object_stays(tmp_path):
    rgb, inside = ring_on_white()
    np.testing.assert_array_equal(white_background(rgb), ~inside)
    save(tmp_path / "card1.png", rgb)
    (cutout,) = load_library(tmp_path)
    assert cutout.pixels.shape == (10, 12, 4)
    assert cutout.pixels[..., 3].min() == 255
    assert cutout.pixels[5, 6, :3].tolist() == [255, 255, 255]


def test_pale_rim_of_a_white_background_goes_with_it():
    rgb, _ = ring_on_white()
    rgb[4, 4:16] = 215  # half-mixed edge
    rgb[15, 4:16] = 150  # a grey part of the object
    background = white_background(rgb)
    assert background[4].all()
    assert not background[15, 4:16].any()


def test_picture_that_fills_its_frame_keeps_all_pixels(tmp_path):
    rgb = np.full((8, 6, 3), 120, np.uint8)
    rgb[0, :2] = 255
    save(tmp_path / "car1.png", rgb)
    assert load_library(tmp_path)[0].pixels[..., 3].min() == 255


def test_transparent_background_is_cropped_to_the_object(tmp_path):
    rgba = np.zeros((12, 10, 4), np.uint8)
    rgba[..., :3] = 255  # white pixels of the object stay: the file has its own alpha
    rgba[3:9, 2:5, 3] = 255
    rgba[0, 0, 3] = 100  # a faint speck is no part of the box
    save(tmp_path / "bag1.png", rgba)
    (cutout,) = load_library(tmp_path)
    assert cutout.pixels.shape == (6, 3, 4)
    assert (cutout.pixels == 255).all()


def test_placement_follows_the_papers_table(tmp_path):
    groups = {"upper": 2, "middle": 3, "bottom": 10}
    assert {group: list(PLACEMENT.values()).count(group) for group in groups} == groups
    for name in ("kite1", "Road_Sign2", "fire hydrant-3", "suitcase10", "suitcase2"):
        save(tmp_path / f"{name}.png", np.full((4, 4, 3), 9))
    save(tmp_path / "notes.png", np.full((4, 4, 3), 9))
    library = load_library(tmp_path)
    assert [(one.name, one.kind, one.placement) for one in library] == [
        ("Road_Sign2.png", "roadsign", "bottom"), ("fire hydrant-3.png", "firehydrant", "bottom"),
        ("kite1.png", "kite", "upper"), ("suitcase10.png", "suitcase", "middle"),
        ("suitcase2.png", "suitcase", "middle")]


def test_unknown_classes_go_to_the_bottom_with_one_warning(tmp_path):
    for name in ("dragon1", "dragon2", "sofa1", "car1"):
        save(tmp_path / f"{name}.png", np.full((4, 4, 3), 9))
    with pytest.warns(UserWarning, match="classes dragon, sofa") as caught:
        library = load_library(tmp_path)
    assert len(caught) == 1
    assert {one.placement for one in library} == {"bottom"}


@pytest.mark.parametrize(("files", "message"), [
    (None, "no folder"),
    ({}, "none of the 0 files .* named CLASSn.png"),
    ({"car.png": b"", "readme.txt": b""}, "none of the 2 files"),
    ({"car1.png": b"no picture"}, "cannot read .*car1.png"),
])
def test_unusable_folder_is_one_line(tmp_path, files, message):
    folder = tmp_path / "library"
    if files is not None:
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
    with pytest.raises(ReanchorError, match=message) as caught:
        load_library(folder)
    assert "\n" not in str(caught.value)


def test_picture_without_an_object_is_an_error(tmp_path):
    save(tmp_path / "car1.png", np.full((6, 6, 3), 255))
    with pytest.raises(ReanchorError, match=r"car1\.png.* shows no object"):
        load_library(tmp_path)
