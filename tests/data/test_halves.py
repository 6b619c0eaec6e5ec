"""VIPeR and CUHK01: half of the identities train, drawn by the seed, and camera 1 searches camera 2."""

import json

import numpy as np
import pytest
from layout_factory import cuhk01, fill, viper

from reanchor.cli.main import main
from reanchor.config.sections.data import Prepare
from reanchor.data.catalogue import DATASETS, read_dataset
from reanchor.data.layouts.halves import split_in_halves
from reanchor.data.listing import Entry
from reanchor.data.prepare import prepare
from reanchor.data.statistics import files_found
from reanchor.doctor.diagnose import diagnose
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest

PIDS = (1, 2, 3, 6, 8, 10, 12, 13, 31)  # of VIPeR's miniature, whose names count from 0


def read(name, root, seed=0):
    return read_dataset(name, root, seed, junk=False, distractors=False)


def train_pids(name, root, seed):
    return {entry.pid for entry in read(name, root, seed).entries if entry.split == "train"}


def whole(name, root):
    """Empty files of every name that the real dataset has in number; nothing opens them."""
    names = [f"cam_{side}/{number:03d}_{angle}.bmp" for number in range(632) for side, angle in (("a", 0), ("b", 90))]
    names = names if name == "viper" else [f"campus/{pid:04d}{picture:03d}.png" for pid in range(1, 972)
                                           for picture in (1, 2, 3, 4)]
    for path in map(root.joinpath, names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_viper_has_a_person_in_each_folder(tmp_path):
    entries = {entry.path: entry for entry in read("viper", viper(tmp_path)).entries}
    train = {3, 8, 10, 12}  # places 4, 5, 2, 6 of the sorted pids, as seed 0 permutes nine
    assert len(entries) == 18 and {entry.pid for entry in entries.values()} == set(PIDS)
    assert {(entry.pid, entry.camid, entry.split) for entry in entries.values()} == {
        (pid, camid, "train") for pid in train for camid in (1, 2)} | {
        (pid, camid, split) for pid in set(PIDS) - train for camid, split in ((1, "query"), (2, "gallery"))}
    assert entries["cam_a/000_45.bmp"] == Entry("cam_a/000_45.bmp", 1, 1, "query")
    assert entries["cam_b/030_90.bmp"] == Entry("cam_b/030_90.bmp", 31, 2, "gallery")
    assert train_pids("viper", tmp_path, 1) == {13, 1, 2, 8}  # places 7, 0, 1, 4


def test_viper_numbers_that_do_not_count_from_0_are_the_pids(tmp_path):
    assert {entry.pid for entry in read("viper", viper(tmp_path, (1, 2, 3, 4))).entries} == {1, 2, 3, 4}


def test_cuhk01_has_two_pictures_in_each_camera(tmp_path):
    entries = {entry.path: entry for entry in read("cuhk01", cuhk01(tmp_path)).entries}
    assert len(entries) == 36
    assert [entries[f"campus/0001{picture:03d}.png"] for picture in (1, 2, 3, 4)] == [
        Entry("campus/0001001.png", 1, 1, "query"), Entry("campus/0001002.png", 1, 1, "query"),
        Entry("campus/0001003.png", 1, 2, "gallery"), Entry("campus/0001004.png", 1, 2, "gallery")]
    assert {entry.pid for entry in entries.values() if entry.split == "train"} == {5, 6, 3, 7}
    assert {(entry.pid, entry.camid) for entry in entries.values() if entry.split == "train"} == {
        (pid, camid) for pid in (5, 6, 3, 7) for camid in (1, 2)}


@pytest.mark.parametrize(("name", "sizes", "people"), [("viper", (632, 316, 316), 316),
                                                       ("cuhk01", (1_940, 972, 972), 485)])
def test_the_whole_dataset_has_the_counts_of_its_record(tmp_path, name, sizes, people):
    root, dataset = whole(name, tmp_path), DATASETS[name]
    listing = read(name, root)
    found = files_found(listing)
    assert tuple(found[f"{split}_images"] for split in ("train", "query", "gallery")) == sizes
    assert {key: found[key] for key in dataset.counts} == dataset.counts
    splits = {frozenset(entry.pid for entry in split_in_halves(listing.entries, seed) if entry.split == "train")
              for seed in range(10)}
    assert len(splits) == 10 and {len(pids) for pids in splits} == {people}
    diagnosis = diagnose(dataset, root)
    assert diagnosis.findings == [] and diagnosis.notes == [
        "terms: research; as on its authors' page",
        "figures average 10 random splits, prepare.seed=0 to 9; here seed 0 divides it"]


@pytest.mark.parametrize(("name", "make"), [("viper", viper), ("cuhk01", cuhk01)])
def test_it_is_prepared_split_by_split(tmp_path, name, make):
    root = make(tmp_path / "data")
    people = {}
    for seed in (0, 1):
        config = Prepare(root=str(root), card=name, reader=name, height=24, width=12, seed=seed, validation_share=0.5)
        metrics = prepare(config, tmp_path / f"out{seed}", 1)
        each = 1 if name == "viper" else 2
        assert {key: metrics[key] for key in ("train_identities", "val_identities", "query_identities",
                                              "gallery_identities")} == {
            "train_identities": 2, "val_identities": 2, "query_identities": 5, "gallery_identities": 5}
        assert (metrics["train_images"], metrics["query_images"], metrics["gallery_images"]) == (
            4 * each, 5 * each, 5 * each)
        assert metrics["quarantined"] == metrics["queries_without_match"] == 0
        manifest = Manifest.read(tmp_path / f"out{seed}/manifest.parquet")
        assert [set(manifest.camid[manifest.rows(split)]) for split in ("query", "gallery")] == [{1}, {2}]
        held_out = np.isin(manifest.split, ("train", "val"))
        people[seed] = set(manifest.pid[held_out])
        assert not people[seed] & set(manifest.pid[~held_out])
        assert manifest.metadata["card"] == name and manifest.metadata["camera_rule"] == "market"
    assert people[0] != people[1] and len(people[0]) == len(people[1]) == 4
    differences = json.loads((tmp_path / "out0/statistics.json").read_text())["card"]["differences"]
    assert f"query images: {5 * each} found, {DATASETS[name].counts['query_images']} expected" in differences[2]


def test_the_draw_depends_on_the_pids_not_on_their_order():
    entries = [Entry(f"{pid}_{camid}.png", pid, camid, "") for pid in range(1, 12) for camid in (1, 2)]
    divided = split_in_halves(entries, 4)
    assert set(split_in_halves(entries[::-1], 4)) == set(divided)
    assert sum(entry.split == "train" for entry in divided) == 10  # five of eleven people


def test_other_names_are_set_aside(tmp_path):
    root = fill(cuhk01(tmp_path / "c"), ["campus/0001005.png", "campus/0001_01.png", "campus/001001.png"])
    listing = read("cuhk01", root)
    assert len(listing.entries) == 36 and {one.path: (one.reason, one.detail) for one in listing.rejections} == {
        f"campus/{name}.png": ("bad_name", "expected NNNNMMM.png") for name in ("0001005", "0001_01", "001001")}
    root = fill(viper(tmp_path / "v"), ["cam_a/p10_s1.jpg"])
    assert [one.path for one in read("viper", root).rejections] == ["cam_a/p10_s1.jpg"]


def test_a_wrong_folder_is_one_line(tmp_path):
    fill(tmp_path, ["VIPeR/cam_a/000_45.bmp", "VIPeR/cam_b/p1.jpg", "c/campus/x.png"])
    with pytest.raises(ReanchorError, match=rf"has no cam_a, but found cam_a under {tmp_path}/VIPeR: set prepare.root"):
        read("viper", tmp_path)
    with pytest.raises(ReanchorError, match=r"cam_b: no image is named NNN_DEG\.bmp; unpack the dataset again"):
        read("viper", tmp_path / "VIPeR")
    with pytest.raises(ReanchorError, match=r"campus: no image is named NNNNMMM\.png"):
        read("cuhk01", tmp_path / "c")
    (tmp_path / "e").mkdir()
    with pytest.raises(ReanchorError, match="has no folder campus; CUHK01's layout needs campus"):
        read("cuhk01", tmp_path / "e")


def test_the_doctor_says_how_figures_are_averaged(tmp_path, capsys):
    assert main(["doctor", "viper"]) == 0
    assert ("protocol camera rule market (cameras: from file names); half of the identities train, drawn by "
            "prepare.seed; cam_a (camera 1) searches cam_b (camera 2); figures average 10 random splits, "
            "prepare.seed=0 to 9\n") in capsys.readouterr().out
    assert main(["doctor", "cuhk01", str(cuhk01(tmp_path))]) == 1
    assert "found: train images: 16 found, 1,940 published, 1,924 are missing\n" in capsys.readouterr().out
