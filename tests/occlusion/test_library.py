"""Occluder libraries: names, backgrounds, placement sets and bad folders."""

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from reanchor.cli.main import main
from reanchor.errors import ReanchorError
from reanchor.occlusion.background import flooded, without_background
from reanchor.occlusion.library import PLACEMENT, load_library


def save(path, pixels):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def ring_on_white(size=24):
    """A dark ring with a white middle on white, and where ring and middle are."""
    rgb = np.full((size, size, 3), 255, np.uint8)
    rgb[5:19, 4:20] = (30, 60, 90)
    rgb[9:14, 9:14] = 255
    inside = np.zeros((size, size), bool)
    inside[5:19, 4:20] = True
    return rgb, inside


def opaque(rgb):
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


def test_white_background_goes_and_white_inside_the_object_stays(tmp_path):
    rgb, inside = ring_on_white()
    np.testing.assert_array_equal(without_background(opaque(rgb))[..., 3], np.where(inside, 255, 0))
    save(tmp_path / "card1.png", rgb)
    (cutout,) = load_library(tmp_path)
    assert cutout.pixels.shape == (14, 16, 4)
    assert cutout.pixels[..., 3].min() == 255
    assert cutout.pixels[5, 7, :3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("white", [255, 245, 228])
def test_the_outline_is_unmixed_into_alpha_and_the_objects_colour(white):
    colour, shares = np.array([30.0, 60, 90]), np.ones((24, 24))
    shares[:6], shares[18:], shares[:, :5], shares[:, 19:] = 0, 0, 0, 0
    shares[5, 5:19], shares[18, 5:19], shares[6:18, 4] = 0.25, 0.5, 0.75  # half-mixed on three sides
    rgb = (shares[..., None] * colour + (1 - shares[..., None]) * white).round().astype(np.uint8)
    cut = without_background(opaque(rgb))
    np.testing.assert_allclose(cut[..., 3], 255 * shares, atol=3)
    np.testing.assert_array_equal(cut[cut[..., 3] > 0][:, :3], np.broadcast_to(colour, (np.sum(shares > 0), 3)))
    over = cut[..., 3:] / 255 * cut[..., :3] + (1 - cut[..., 3:] / 255) * white  # put back, it is the picture
    np.testing.assert_allclose(over, rgb, atol=2)


def test_only_white_that_reaches_the_border_side_by_side_is_background():
    open_ = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(flooded(open_), np.array([[1, 1, 0, 0], *[[0] * 4] * 3], bool))


@pytest.mark.parametrize(("border", "tolerance", "found"), [
    (255, 15, True), (205, 15, True), (195, 15, False), (120, 15, False)])
def test_what_a_white_background_is(border, tolerance, found):
    rgb = np.full((12, 12, 3), border, np.uint8)
    rgb[4:8, 4:8] = 20
    assert (without_background(opaque(rgb), tolerance) is not None) == found


def test_tolerance_says_how_much_darker_a_background_may_get():
    rgb = np.full((30, 30, 3), 255, np.uint8)
    rgb[16:24, 6:24] = 20
    rgb[4:12, 4:26] = 225  # a shadow
    lost, kept = (without_background(opaque(rgb), tolerance)[6:10, 6:24, 3] for tolerance in (40, 15))
    assert lost.max() == 0 and kept.min() == 255


def test_an_alpha_channel_may_say_that_all_is_object(tmp_path):
    save(tmp_path / "car1.png", opaque(np.full((8, 6, 3), 120, np.uint8)))
    assert load_library(tmp_path)[0].pixels.shape == (8, 6, 4)


def test_transparent_background_is_cropped_to_the_object(tmp_path):
    rgba = np.zeros((12, 10, 4), np.uint8)
    rgba[..., :3] = 255  # white pixels of the object stay: the file has its own alpha
    rgba[3:9, 2:5, 3] = 255
    rgba[0, 0, 3] = 100  # a faint speck is no part of the box
    save(tmp_path / "bag1.png", rgba)
    (cutout,) = load_library(tmp_path)
    assert cutout.pixels.shape == (6, 3, 4)
    assert (cutout.pixels == 255).all()


@pytest.fixture
def dot():
    """A dark square on white."""
    rgb = np.full((12, 12, 3), 255, np.uint8)
    rgb[3:9, 4:8] = 9
    return rgb


def test_placement_follows_the_papers_table(tmp_path, dot):
    groups = {"upper": 2, "middle": 3, "bottom": 10}
    assert {group: list(PLACEMENT.values()).count(group) for group in groups} == groups
    for name in ("kite1", "Road_Sign2", "fire hydrant-3", "suitcase10", "suitcase2"):
        save(tmp_path / f"{name}.png", dot)
    save(tmp_path / "notes.png", dot)
    library = load_library(tmp_path)
    assert [(one.name, one.kind, one.placement) for one in library] == [
        ("Road_Sign2.png", "roadsign", "bottom"), ("fire hydrant-3.png", "firehydrant", "bottom"),
        ("kite1.png", "kite", "upper"), ("suitcase10.png", "suitcase", "middle"),
        ("suitcase2.png", "suitcase", "middle")]


def test_folders_name_classes_too(tmp_path, dot):
    for name in ("kite/red.png", "Road Sign/7.jpg", "bag/.hidden.png", "bag/notes.txt", ".git/car.png", "car1.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save(tmp_path / name, dot) if not name.endswith("txt") else (tmp_path / name).write_text("no cut-out")
    assert [(one.name, one.kind) for one in load_library(tmp_path)] == [
        ("Road Sign/7.jpg", "roadsign"), ("car1.PNG", "car"), ("kite/red.png", "kite")]


def test_unknown_classes_go_to_the_bottom_with_one_warning(tmp_path, dot):
    for name in ("dragon1", "dragon2", "sofa1", "car1"):
        save(tmp_path / f"{name}.png", dot)
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


def bomb():
    """A small file that says it is large."""
    file = io.BytesIO()
    Image.new("1", (6000, 5000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(("pixels", "message"), [
    (np.full((6, 6, 3), 255), r"car1\.png.* shows no object"),
    (np.full((6, 6, 4), 0), r"car1\.png.* shows no object"),
    (np.full((6, 6, 3), 120), r"car1\.png.* neither a transparent nor a white background.*cut the object out"),
    (bomb, r"car1\.png.* is 6000x5000 pixels; allowed: 20000000")],
    ids=["white", "transparent", "no background", "too large"])
def test_picture_that_is_no_cutout_is_an_error(tmp_path, pixels, message):
    if callable(pixels):
        (tmp_path / "car1.png").write_bytes(pixels())
    else:
        save(tmp_path / "car1.png", pixels)
    with pytest.raises(ReanchorError, match=message) as caught:
        load_library(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_builder_writes_a_library_that_reads_back(tmp_path, dot, capsys):
    (tmp_path / "source/sofa").mkdir(parents=True)
    save(tmp_path / "source/sofa/old.png", dot)
    save(tmp_path / "source/sofa/new.png", np.kron(dot, np.ones((40, 40, 1), np.uint8)))
    save(tmp_path / "source/car7.png", dot)
    command = ["cutouts", str(tmp_path / "source"), str(tmp_path / "out"), "--size", "60"]
    with pytest.warns(UserWarning, match="classes sofa"):
        assert main(command) == main(command) == 0  # an earlier library is replaced
    assert "3 cut-outs of 2 classes" in capsys.readouterr().out
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert [(one["file"], one["source"]) for one in index] == [
        ("car1.png", "car7.png"), ("sofa1.png", "sofa/new.png"), ("sofa2.png", "sofa/old.png")]
    with pytest.warns(UserWarning, match="classes sofa"):
        library = load_library(tmp_path / "out")
    assert [one.pixels.shape for one in library] == [(6, 4, 4), (60, 40, 4), (6, 4, 4)]
    for one, entry in zip(library, index, strict=True):
        assert hashlib.sha256(one.pixels.tobytes()).hexdigest() == entry["sha256"]
        assert (one.pixels[..., :3] == 9).all() and (one.pixels[..., 3] == 255).all()
    with Image.open(tmp_path / "out/contact_sheet.png") as sheet:
        assert sheet.size == (12 * 96, 96)


@pytest.mark.parametrize(("source", "out", "size", "message"), [
    ("source", "source/out", "60", "holds or lies in the source folder"), ("source", ".", "60", "holds or lies in"),
    ("source", "other", "60", "holds something else than a library"),
    ("source", "site", "60", "holds something else than a library"), ("source", "out", "4", "size: got 4"),
    ("nowhere", "out", "60", "no folder")])
def test_the_builder_destroys_nothing(tmp_path, dot, capsys, source, out, size, message):
    for name in ("source/car1.png", "other/letter.png"):
        (tmp_path / name).parent.mkdir()
        save(tmp_path / name, dot)
    (tmp_path / "site").mkdir()
    for name in ("index.json", "page.html"):  # somebody else's index
        (tmp_path / "site" / name).write_text("[]")
    before = sorted(tmp_path.rglob("*"))
    assert main(["cutouts", str(tmp_path / source), str(tmp_path / out), "--size", size]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
