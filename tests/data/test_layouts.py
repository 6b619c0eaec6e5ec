"""Published layouts: what each reader makes of names and lists, and the traps of each."""

import os
import shutil

import pytest
from data_factory import picture
from layout_factory import (
    LAYOUTS,
    cuhk03_np,
    duke,
    fill,
    msmt17,
    occluded_market,
    p_dukemtmc,
    pairs,
    partial_ilids,
    partial_reid,
    pku_reid,
    vehicleid,
    veri776,
)

from reanchor.data.catalogue import DATASETS, read_dataset
from reanchor.errors import ReanchorError


def read(name, root, seed=0, **more):
    card = DATASETS[name]
    return read_dataset(card.reader, root, seed, junk=card.junk, distractors=card.distractors, **more)


def facts(listing):
    return {(entry.pid, entry.camid, entry.split) for entry in listing.entries}


def count(listing, split):
    return sum(entry.split == split for entry in listing.entries)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_order_of_reading_does_not_depend_on_the_file_system(tmp_path, name, monkeypatch):
    root = LAYOUTS[name](tmp_path / "data")
    once = read(name, root)
    scandir, listdir = os.scandir, os.listdir

    class Backwards:
        def __init__(self, *path):
            with scandir(*path) as found:
                self.found = list(found)[::-1]

        def __enter__(self):
            return iter(self.found)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    monkeypatch.setattr(os, "listdir", lambda *path: listdir(*path)[::-1])
    assert read(name, root) == once and once.entries


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_has_the_splits_of_its_card(tmp_path, name):
    listing = read(name, LAYOUTS[name](tmp_path / "data"))
    assert {entry.split for entry in listing.entries} == set(DATASETS[name].splits) and not listing.rejections
    cameras = {entry.camid for entry in listing.entries}
    assert (cameras == {0}) == (DATASETS[name].cameras == "none")
    train = {entry.pid for entry in listing.entries if entry.split == "train"}
    test = {entry.pid for entry in listing.entries if entry.split != "train"}
    assert not train & test


def test_duke_has_neither_junk_nor_distractors(tmp_path):
    root = fill(duke(tmp_path), ["bounding_box_test/0000_c1_f0000001.jpg", "query/0009_c1s1_000001_00.jpg"])
    listing = read("occluded_duke", root)
    assert facts(listing) >= {(1, 1, "train"), (5, 2, "query"), (6, 1, "gallery")}
    assert {r.path: (r.reason, r.detail) for r in listing.rejections} == {
        "bounding_box_test/0000_c1_f0000001.jpg": ("bad_pid", "pid 0; allowed here are positive numbers"),
        "query/0009_c1s1_000001_00.jpg": ("bad_name", "expected PID_cCAM_fFRAME.jpg")}


def test_duke_names_are_not_markets(tmp_path):
    with pytest.raises(ReanchorError, match="none of 16 image names is Market-1501's PID_cCAMsSEQ_FRAME_BOX"):
        read("market1501", duke(tmp_path))


def test_cuhk03_boxes_are_datasets_of_their_own(tmp_path):
    root = cuhk03_np(tmp_path)
    assert read("cuhk03_np", root / "labeled").name == "labeled"
    with pytest.raises(ReanchorError, match=rf"holds detected and labeled.*set prepare.root to {root}/detected"):
        read("cuhk03_np", root)


def test_occluded_market_reads_names_of_both_origins_and_keeps_distractors(tmp_path):
    listing = read("occluded_market", occluded_market(tmp_path))
    assert {entry.path for entry in listing.entries if entry.split == "query" and entry.camid == 1} == {
        "occluded_query/0005_c1s1_000000_01.jpg", "occluded_query/0006_c1s1_000000.jpg"}
    assert (0, 1, "gallery") in facts(listing) and listing.junk == ["bounding_box_test/-1_c1s1_000002_00.jpg"]


@pytest.mark.parametrize(("version", "folder"), [("V1", "train"), ("V2", "mask_train_v2")])
def test_msmt17_reads_its_lists_and_keeps_training_and_test_people_apart(tmp_path, version, folder):
    listing = read("msmt17", msmt17(tmp_path, version))
    train = [entry for entry in listing.entries if entry.split == "train"]
    assert len(train) == 16 and {entry.pid for entry in train} == {1, 2, 3, 4}  # list_train and list_val
    assert {entry.pid for entry in listing.entries if entry.split != "train"} == {5, 6, 7}
    first = next(e for e in train if e.path == f"{folder}/0000/0000_001_02_0303morning_0001_0.jpg")
    assert (first.pid, first.camid) == (1, 2)
    assert count(listing, "query") == count(listing, "gallery") == 6


def test_msmt17_versions_and_lists_are_checked(tmp_path):
    root = msmt17(tmp_path / "v1")
    msmt17(tmp_path / "v2", "V2")
    shutil.copytree(tmp_path / "v2/mask_train_v2", root / "mask_train_v2")
    assert len(read("msmt17", root).entries) == 28  # V2 is not complete
    shutil.copytree(tmp_path / "v2/mask_test_v2", root / "mask_test_v2")
    with pytest.raises(ReanchorError, match="folders of MSMT17 V1 and V2; the lists fit one"):
        read("msmt17", root)
    with pytest.raises(ReanchorError, match=r"neither train and test \(MSMT17 V1\) nor mask_train_v2"):
        read("msmt17", root / "train")
    (tmp_path / "v2/list_val.txt").unlink()
    with pytest.raises(ReanchorError, match=r"list_val\.txt: this list is missing"):
        read("msmt17", tmp_path / "v2")


@pytest.mark.parametrize(("line", "words"), [
    ("0000/x.jpg", "line 2: got '0000/x.jpg'; allowed is `NAME PID`"), ("a b c", "line 2: got 'a b c'"),
    ("a_b_01_c.jpg -1", "line 2"), ("a_b_01_c.jpg x", "line 2")])
def test_a_wrong_line_of_a_list_is_named(tmp_path, line, words):
    root = msmt17(tmp_path)
    lines = (root / "list_query.txt").read_text().splitlines()
    (root / "list_query.txt").write_text("\n".join([lines[0], line]))
    with pytest.raises(ReanchorError, match=words):
        read("msmt17", root)


def test_a_listed_name_of_another_form_is_set_aside(tmp_path):
    root = msmt17(tmp_path)
    with (root / "list_gallery.txt").open("a") as file:
        file.write("0000/portrait.jpg 0\n../../0000_000_01_x.jpg 1\n")
    listing = read("msmt17", root)
    assert [(r.path, r.reason) for r in listing.rejections] == [("test/0000/portrait.jpg", "bad_name")]
    assert "test/../../0000_000_01_x.jpg" in {entry.path for entry in listing.entries}  # refused when opened


def test_p_dukemtmc_trains_on_both_sides_and_searches_occluded_in_whole(tmp_path):
    listing = read("p_dukemtmc", p_dukemtmc(tmp_path))
    assert facts(listing) == {(pid, camid, "train") for pid in range(1, 5) for camid in (1, 2)} | {
        (pid, 1, "query") for pid in (5, 6, 7)} | {(pid, 2, "gallery") for pid in (5, 6, 7)}
    assert count(listing, "train") == 16


def test_occluded_reid_has_made_cameras_and_minds_folders(tmp_path):
    root = fill(pairs(tmp_path), ["whole_body_images/002/003_09.tif", "whole_body_images/002/x.tif"])
    (root / "Readme.txt").write_text("")
    listing = read("occluded_reid", root)
    assert facts(listing) == {(pid, 1, "query") for pid in range(1, 5)} | {(pid, 2, "gallery") for pid in range(1, 5)}
    assert {r.path: r.detail.split(",")[0] for r in listing.rejections} == {
        "whole_body_images/002/003_09.tif": "its name gives another pid than its folder",
        "whole_body_images/002/x.tif": "expected a name that begins with the pid"}


def test_partial_reid_reads_the_cut_images(tmp_path):
    listing = read("partial_reid", partial_reid(tmp_path))
    assert {entry.path.split("/")[0] for entry in listing.entries} == {"partial_body_images", "whole_body_images"}
    assert facts(listing) == {(p, c, s) for p in (1, 2, 3) for c, s in ((1, "query"), (2, "gallery"))}


@pytest.mark.parametrize("folders", [("Probe", "Gallery"), ("query", "gallery")])
def test_partial_ilids_counts_from_one_whatever_the_names_do(tmp_path, folders):
    listing = read("partial_ilids", partial_ilids(tmp_path, folders, first=0))
    assert facts(listing) == {(p, c, s) for p in (1, 2, 3) for c, s in ((1, "query"), (2, "gallery"))}
    assert {e.path for e in listing.entries if e.pid == 1} == {f"{folder}/000.jpg" for folder in folders}


@pytest.mark.parametrize(("name", "missing"), [
    ("occluded_reid", "occluded_body_images and no whole_body_images"), ("partial_ilids", "Probe and no Gallery"),
    ("vehicleid", "image;"), ("veri776", "image_train and no image_query and no image_test")])
def test_an_empty_folder_is_told_what_is_missing(tmp_path, name, missing):
    with pytest.raises(ReanchorError, match=f"has no folder {missing}"):
        read(name, tmp_path)


def test_a_side_without_images_is_named(tmp_path):
    root = pairs(tmp_path)
    shutil.rmtree(root / "whole_body_images")
    picture(root / "whole_body_images/001_01.tif", 1)  # one level too high
    with pytest.raises(ReanchorError, match=r"whole_body_images: no images.*one folder per identity below it"):
        read("occluded_reid", root)


def test_an_archive_is_not_a_folder(tmp_path):
    (tmp_path / "VeRi.zip").write_bytes(b"PK")
    with pytest.raises(ReanchorError, match="is a file, expected the dataset's folder; unpack"):
        read("veri776", tmp_path / "VeRi.zip")


def test_veri_views_come_from_the_lists(tmp_path):
    root = veri776(tmp_path)
    assert {entry.viewid for entry in read("veri776", root).entries} == {0}
    (root / "keypoint_train.txt").write_text("/x/VeRi/image_train/0001_c001_00030600_0.jpg 5 -1 -1 7\n")
    (root / "keypoint_test.txt").write_text("/x/VeRi/image_query/0005_c002_00030600_0.jpg 9 9 0\n")
    views = {entry.path: (entry.viewid, entry.camid) for entry in read("veri776", root).entries}
    assert views["image_train/0001_c001_00030600_0.jpg"] == (8, 1)
    assert views["image_query/0005_c002_00030600_0.jpg"] == views["image_test/0005_c002_00030600_0.jpg"] == (1, 2)
    assert views["image_train/0001_c001_00030601_0.jpg"] == (0, 1)
    (root / "keypoint_test.txt").write_text("a.jpg 0\nb.jpg front\n")
    with pytest.raises(ReanchorError, match=r"keypoint_test\.txt line 2: view 'front'"):
        read("veri776", root)


def test_vehicleid_draws_one_gallery_image_of_each_test_vehicle(tmp_path):
    root = vehicleid(tmp_path)

    def gallery(seed, **more):
        listing = read("vehicleid", root, seed, **more)
        return {e.path: e.pid for e in listing.entries if e.split == "gallery"}

    listing = read("vehicleid", root)
    assert (count(listing, "train"), count(listing, "query"), count(listing, "gallery")) == (12, 4, 2)
    assert {e.camid for e in listing.entries} == {0}
    assert sorted(gallery(0).values()) == [5, 6] and sorted(gallery(0, test_size="large").values()) == [5, 6, 7]
    assert len({frozenset(gallery(seed)) for seed in range(20)}) > 5 and gallery(3) == gallery(3)
    lines = (root / "train_test_split/test_list_800.txt").read_text().splitlines()
    before = gallery(3)
    (root / "train_test_split/test_list_800.txt").write_text("\n".join(lines[::-1]))
    assert gallery(3) == before


def test_vehicle_numbers_from_zero_are_no_distractors(tmp_path):
    assert {e.pid for e in read("vehicleid", vehicleid(tmp_path, first=0)).entries} == set(range(1, 7))


def test_pku_reid_is_divided_by_identity_or_read_in_markets_folders(tmp_path):
    root = pku_reid(tmp_path / "whole")
    listing = read("pku_reid", root, 3)
    train = {e.pid for e in listing.entries if e.split == "train"}
    assert len(train) == 4 and len(listing.entries) == 48
    assert train != {e.pid for e in read("pku_reid", root, 4).entries if e.split == "train"}
    assert read("pku_reid", root / "PKUv1a_128x48", 3).entries[0].path == "001_01_01.png"
    copy = LAYOUTS["market1501"](tmp_path / "copy")
    assert read("pku_reid", copy) == read("market1501", copy)
    with pytest.raises(ReanchorError, match=r"has no image named PID_CAM_\*\.png"):
        read("pku_reid", copy / "query")
