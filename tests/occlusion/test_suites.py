"""The occlude stage's folder: sets, hashes, and independence of processes and row order."""

import json
import shutil

import numpy as np
import pytest
from occlusion_factory import SPLITS, H, W, draw_library, entries, write_prepared
from PIL import Image

from reanchor.config.sections.data import Occlude
from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore, write_store
from reanchor.formats.manifest import Manifest
from reanchor.formats.occluded_set import OccludedSet
from reanchor.occlusion.draws import generator
from reanchor.occlusion.plan import suite_name, training_rows
from reanchor.occlusion.suites import make_occluded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("occlude")
    write_prepared(root / "prepared", entries())
    draw_library(root / "library")
    return root


def settings(root, **changes):
    values = {"library": str(root / "library"), "masking_ratios": [0.2, 0.1], "people_ratios": [0.3]}
    return Occlude(**values | changes)


@pytest.fixture(scope="module")
def made(workspace):
    metrics = make_occluded(settings(workspace), workspace / "prepared", workspace / "occluded", 1)
    return workspace / "occluded", metrics


def files(folder):
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in paths}


def test_folder_holds_every_set(made):
    out, metrics = made
    suites = json.loads((out / "suites.json").read_text())
    names = ["ogor", "gallery-ogor", "masking-0.10", "masking-0.20", "people-0.30"]
    assert [entry["name"] for entry in suites["val"]] == [entry["name"] for entry in suites["test"]] == names
    assert [entry["ratio"] for entry in suites["test"]] == [None, None, 0.1, 0.2, 0.3]
    assert [entry["side"] for entry in suites["test"]] == ["query", "gallery", *["query"] * 3]
    assert [entry["count"] for entry in suites["val"]] == [9, 4, 9, 9, 9]  # one query per identity and camera
    assert [entry["count"] for entry in suites["test"]] == [20, 6, 20, 20, 20]  # 0.3 of 20 gallery images
    assert suites["train"]["count"] == metrics["train.count"] == 12  # 0.3 of 40
    assert metrics["images"] == 12 + 4 * 9 + 4 * 20 + 4 + 6
    assert metrics["test.masking-0.20.area_ratio"] == round(0.2 * H * W) / (H * W)
    assert suites["mask_source"] == "labels"
    assert len(json.loads((out / "library/index.json").read_text())) == metrics["cutouts"] == 4
    with Image.open(out / "contact_sheet.png") as sheet:
        assert sheet.height >= 5 * H and sheet.width > 8 * 2 * W


def test_sets_record_what_happened_to_every_row(made, workspace):
    out, _ = made
    manifest = Manifest.read(workspace / "prepared/manifest.parquet")
    store = ImageStore.open(workspace / "prepared/images.arrow")
    labels = {"ogor": 2, "masking": 2, "people": 3}
    for name in ("train", "val/ogor", "val/gallery-ogor", "test/gallery-ogor", "test/masking-0.10", "test/people-0.30"):
        copies = OccludedSet.open(out / name)
        for index, entry in enumerate(copies.table.to_pylist()):
            row = entry["row"]
            assert row == copies.rows[index]
            assert (entry["image_id"], entry["pid"], entry["camid"]) == (
                manifest.image_id[row], manifest.pid[row], manifest.camid[row])
            covered = copies.masks[index] == labels[entry["kind"]]
            assert entry["area_ratio"] == covered.mean()
            np.testing.assert_array_equal(copies.masks[index][~covered], store.masks[row][~covered] > 0)
            changed = (copies.images[index] != store.images[row]).any(-1)
            changed[entry["y0"]:entry["y1"], entry["x0"]:entry["x1"]] = False
            assert not changed.any()
        splits = {"train": "train", "val": "val", "test": "gallery" if "gallery" in name else "query"}
        assert set(manifest.split[copies.rows]) == {splits[name.split("/")[0]]}
        assert (np.diff(copies.rows) > 0).all()


def test_strangers_come_from_the_gallery_or_the_validation_identities(made):
    out, _ = made
    for split, source in (("val", "val/"), ("test", "gallery/")):
        for entry in OccludedSet.open(out / split / "people-0.30").table.to_pylist():
            assert entry["occluder"].startswith(source)
            assert int(entry["occluder"].split("/")[1][:4]) != entry["pid"]
            assert f"_c{entry['camid']}_" in entry["occluder"]


def test_training_share_is_even_over_identities_and_prefers_other_cameras(workspace):
    manifest = Manifest.read(workspace / "prepared/manifest.parquet")
    for share in (0.0, 0.3, 0.5, 1.0):
        chosen = training_rows(manifest, Occlude(train_share=share))
        assert len(chosen) == round(share * 40)
        counts = np.bincount(manifest.pid[chosen], minlength=9)[1:]
        assert counts.max() - counts.min() <= 1
    chosen = training_rows(manifest, Occlude(train_share=0.6))  # three of five images: one of each camera
    for pid in SPLITS["train"]:
        assert sorted(manifest.camid[row] for row in chosen if manifest.pid[row] == pid) == [1, 2, 3]
    assert not np.array_equal(*(training_rows(manifest, Occlude(seed=seed)) for seed in (0, 1)))


def test_any_number_of_processes_gives_the_same_bytes(made, workspace):
    again = make_occluded(settings(workspace), workspace / "prepared", workspace / "again", 3)
    assert again == made[1]
    assert files(workspace / "again") == files(made[0])


def test_copies_do_not_depend_on_the_order_of_rows(made, workspace):
    rows = entries()
    generator(0).shuffle(rows)
    write_prepared(workspace / "shuffled", rows)
    make_occluded(settings(workspace), workspace / "shuffled", workspace / "other", 1)
    for name in ("train", "test/ogor", "test/gallery-ogor", "test/people-0.30"):
        one, two = OccludedSet.open(made[0] / name), OccludedSet.open(workspace / "other" / name)
        order = {image_id: index for index, image_id in enumerate(two.table["image_id"].to_pylist())}
        match = [order[image_id] for image_id in one.table["image_id"].to_pylist()]
        np.testing.assert_array_equal(one.images, two.images[match])
        np.testing.assert_array_equal(one.masks, two.masks[match])


def test_hash_changes_with_a_pixel_and_with_the_seed(made, workspace):
    store = ImageStore.open(workspace / "prepared/images.arrow")
    images = store.images.copy()
    query = OccludedSet.open(made[0] / "test/ogor")
    y, x = np.argwhere(query.masks[0] != 2)[0]
    images[query.rows[0], y, x, 0] ^= 1
    shutil.copytree(workspace / "prepared", workspace / "touched")
    write_store(workspace / "touched/images.arrow", images, store.masks)
    small = {"masking_ratios": [], "people_ratios": []}

    def make(prepared, seed):
        config = settings(workspace, seed=seed, **small)
        return make_occluded(config, workspace / prepared, workspace / "small", 1)

    results = [make("prepared", 0), make("touched", 0), make("prepared", 1), make("prepared", 0)]
    hashes = [result["sha256"] for result in results]
    assert len(set(hashes)) == 3 and hashes[0] == hashes[3]
    assert results[0]["test.ogor.area_ratio"] == results[1]["test.ogor.area_ratio"]  # only a pixel differs


def test_dataset_without_masks_gets_unknown_pixels_and_silhouettes(workspace):
    rows = [row for row in entries() if row[0] != "val"]  # nor validation identities
    write_prepared(workspace / "maskless", rows, with_masks=False)
    out = workspace / "unknown"
    metrics = make_occluded(settings(workspace), workspace / "maskless", out, 1)
    people = OccludedSet.open(out / "test/people-0.30")
    assert set(np.unique(people.masks)) == {3, 255}
    assert set(np.unique(OccludedSet.open(out / "train").masks)) == {2, 255}
    assert people.table.schema.metadata[b"mask_source"] == b"silhouette"
    assert json.loads((out / "suites.json").read_text())["val"] == []
    assert not any("visible_share" in name for name in metrics)


def test_nothing_half_written_stays_behind(workspace):
    for message, wrong in ((r"ratio_low: 0\.5 is above .* 0\.2", {"ratio_low": 0.5, "ratio_high": 0.2}),
                           ("no folder", {"library": "nowhere"})):
        with pytest.raises(ReanchorError, match=message):
            make_occluded(settings(workspace, **wrong), workspace / "prepared", workspace / "bad", 1)
    assert not [path for path in workspace.iterdir() if "bad" in path.name]
    with pytest.raises(ReanchorError, match="no occluded set there"):
        OccludedSet.open(workspace / "bad")


def test_suite_names():
    names = [suite_name("people", ratio) for ratio in (0.1, 0.3, 0.125)]
    assert names == ["people-0.10", "people-0.30", "people-0.125"]
