"""The whole stage on small datasets: manifest, pixels, split, statistics."""

import errno
import hashlib
import json
import os

import numpy as np
import pytest
from data_factory import captions, market
from PIL import Image

from reanchor.config.sections.data import Prepare
from reanchor.data.catalogue import DATASETS
from reanchor.data.prepare import prepare
from reanchor.data.split import held_out_pids
from reanchor.data.statistics import compare
from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore
from reanchor.formats.manifest import Manifest, validation_rows

SETTINGS = {"card": "none", "height": 24, "width": 12, "validation_share": 0.34}
TEXTS = {"bounding_box_train/0001_c1s1_000000_00.jpg": ["a coat"],
         "query/0007_c1s1_000000_00.jpg": ["a hat", "b"]}


@pytest.fixture
def street(tmp_path):
    root = market(tmp_path / "street", masks=True)
    captions(root, TEXTS)
    return root


def run(root, out, processes=1, **changes):
    return prepare(Prepare(root=str(root), **SETTINGS | changes), out, processes)


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_outputs_and_metrics(street, tmp_path):
    metrics = run(street, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "manifest.parquet", "images.arrow", "quarantine.parquet", "statistics.json", "contact_sheet.png"}
    assert metrics == {"train_images": 16, "train_identities": 4, "val_images": 8, "val_identities": 2,
                       "query_images": 6, "query_identities": 3, "gallery_images": 8, "gallery_identities": 3,
                       "distractors": 2, "junk": 1, "captions": 3, "queries_without_match": 0,
                       "card_differences": 0, "quarantined": 0}
    with Image.open(tmp_path / "out/contact_sheet.png") as sheet:
        assert sheet.width > 10 * 12 and np.asarray(sheet).std() > 10


def test_manifest_rows_match_their_files_and_pixels(street, tmp_path):
    run(street, tmp_path / "out")
    manifest = Manifest.read(tmp_path / "out/manifest.parquet")
    store = ImageStore.open(tmp_path / "out/images.arrow")
    assert len(manifest) == len(store) == 38
    assert manifest.metadata == {
        "name": "street", "reader": "market1501", "root": str(street), "height": "24", "width": "12",
        "interpolation_train": "bicubic", "interpolation_test": "bicubic", "card": "none", "kind": "person",
        "camera_rule": "auto", "galleries": "1", "terms": "yours"}
    order = ["train", "val", "query", "gallery"]
    keys = [(order.index(split), path) for split, path in zip(manifest.split, manifest.path, strict=True)]
    assert keys == sorted(keys)
    for row in range(len(manifest)):
        path = street / manifest.path[row]
        name = path.name.split("_")
        assert (manifest.pid[row], f"c{manifest.camid[row]}s1") == (int(name[0]), name[1])
        assert manifest.checksum[row] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (manifest.width[row], manifest.height[row], manifest.viewid[row]) == (16, 32, 0)
        assert manifest.image_id[row] == manifest.path[row].removesuffix(".jpg")
        assert manifest.captions[row] == TEXTS.get(manifest.path[row], [])
        with Image.open(path) as image:
            pixels = np.asarray(image.resize((12, 24), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(store.images[row], pixels)
    assert set(np.unique(store.masks)) == {0, 5} and (store.masks == store.masks[0]).all()
    assert store.masks[0].sum() == 5 * 12 * 6


def test_any_number_of_workers_gives_the_same_bytes(street, tmp_path):
    for processes in (1, 3):
        run(street, tmp_path / f"out{processes}", processes)
    assert hashes(tmp_path / "out1") == hashes(tmp_path / "out3")


def test_root_is_relative_to_the_workspace(street, tmp_path):
    prepare(Prepare(root="street", **SETTINGS), tmp_path / "out", 1, workspace=tmp_path)
    assert Manifest.read(tmp_path / "out/manifest.parquet").metadata["root"] == "street"


def test_validation_queries_are_first_images_of_each_camera(street, tmp_path):
    run(street, tmp_path / "out")
    manifest = Manifest.read(tmp_path / "out/manifest.parquet")
    query, gallery = validation_rows(manifest)
    np.testing.assert_array_equal(gallery, manifest.rows("val"))
    assert len(query) == 4 and query.dtype == np.int64
    for row in query:
        same = (manifest.pid[gallery] == manifest.pid[row]) & (manifest.camid[gallery] == manifest.camid[row])
        assert manifest.path[row] == min(manifest.path[other] for other in gallery[same])
    train = set(manifest.pid[manifest.rows("train")])
    assert not train & set(manifest.pid[gallery]) and len(train) == 4


def test_held_out_identities_depend_on_the_seed_not_the_order():
    pids = list(range(100, 200))
    held = held_out_pids(pids, 0.112, 5)
    assert len(held) == 11 and held == held_out_pids(pids[::-1] * 3, 0.112, 5)
    assert held != held_out_pids(pids, 0.112, 6)
    assert held_out_pids(pids, 0.0, 5) == set()


@pytest.mark.parametrize(("count", "share", "words"), [
    (10, 0.1, "0.1 of 10 training identities is 1, but train and val need 2 each; choose 0.2 to 0.5"),
    (10, 0.9, "0.9 of 10 training identities is 9"),
    (3, 0.5, "3 training identities cannot be divided, at least 4"),
])
def test_a_split_too_small_is_refused(count, share, words):
    with pytest.raises(ReanchorError, match=words):
        held_out_pids(list(range(count)), share, 0)


def test_statistics_say_differences_in_words(street, tmp_path):
    run(street, tmp_path / "out", card="market1501")
    statistics = json.loads((tmp_path / "out/statistics.json").read_text())
    assert statistics["card"]["expected"] == DATASETS["market1501"].counts
    assert "gallery images: 8 found, 15,913 expected (15,905 fewer)" in statistics["card"]["differences"]
    assert statistics["splits"]["train"]["images_per_identity_min_median_max"] == [4, 4.0, 4]
    assert statistics["found"]["cameras"] == 3 and statistics["masks"] is True
    assert compare({"junk": 2}, {"junk": 2})["differences"] == []
    assert compare({"junk": 2}, {"junk": 5})["differences"] == ["junk: 5 found, 2 expected (3 more)"]


def test_market_counts_add_up():
    card = DATASETS["market1501"].counts
    assert card["gallery_images"] + card["junk"] == 19_732
    assert card["gallery_images"] - card["distractors"] == 13_115


def test_a_full_disk_is_one_line_and_leaves_the_old_output(street, tmp_path, monkeypatch):
    run(street, tmp_path / "out")
    before = hashes(tmp_path / "out")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(ReanchorError, match="no space left on the disk"):
        run(street, tmp_path / "out", processes=2)
    assert hashes(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "street"]


def test_a_missing_or_foreign_manifest_is_one_line(tmp_path):
    with pytest.raises(ReanchorError, match="no manifest there; run the prepare stage"):
        Manifest.read(tmp_path / "manifest.parquet")
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(ReanchorError, match="not a manifest"):
        Manifest.read(tmp_path / "manifest.parquet")
