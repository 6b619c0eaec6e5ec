"""The whole laboratory: series one change at a time, sides, unseen classes, released OGor, masks from a folder."""

import json

import numpy as np
import pytest
from composed import composed
from occlusion_factory import H, W, draw_library, entries, write_prepared
from PIL import Image

from reanchor.config.sections.data import Occlude
from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore
from reanchor.formats.manifest import Manifest
from reanchor.formats.occluded_set import OccludedSet
from reanchor.formats.occlusion import STRANGER, TARGET
from reanchor.occlusion.people import silhouette
from reanchor.occlusion.plan import controlled, first_of_runs, plan
from reanchor.occlusion.suites import make_occluded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("laboratory")
    write_prepared(root / "prepared", entries())
    write_prepared(root / "maskless", entries(), with_masks=False)
    draw_library(root / "library")
    return root


def preset(root, *overrides):
    """The preset `laboratory` with few ratios and a library of four classes."""
    given = ["method=saga", "occlusion=laboratory", f"occlude.library={root}/library", "occlude.unseen_classes=[kite]",
             "occlude.masking_ratios=[0.0,0.2]", "occlude.people_ratios=[0.2]", "occlude.mixed_ratios=[0.4]",
             *overrides]
    return composed(*given).occlude


@pytest.fixture(scope="module")
def made(workspace):
    make_occluded(preset(workspace), workspace / "prepared", workspace / "occluded", 2)
    return workspace / "occluded"


SERIES = ["masking", "masking-stripe", "masking-patches", "masking-top", "masking-middle", "masking-bottom",
          "people", "people-left", "people-right", "people-behind", "people-hard", "people-feathered",
          "mixed-mask", "mixed-object"]


def test_series_change_one_thing_at_a_time(workspace):
    series = {one.name: one.options for one in controlled(preset(workspace))}
    assert list(series) == SERIES
    for kind in ("masking", "people"):
        for name, options in series.items():
            if name.startswith(f"{kind}-"):
                assert sum(options[key] != series[kind][key] for key in options) == 1
    odd = controlled(Occlude(masking_shapes=["stripe"], masking_positions=["top"], people_layers=["behind"]))
    assert [one.name for one in odd] == ["masking-stripe-top", "people-behind", "mixed-mask", "mixed-object"]


def test_every_suite_is_made_on_both_sides_of_test_and_plain_ones_in_val(made):
    suites = json.loads((made / "suites.json").read_text())
    names = [entry["name"] for entry in suites["test"]]
    plain = [f"{name}-{ratio}" for name in SERIES for ratio in (["0.40"] if "mixed" in name else
                                                                ["0.00", "0.20"] if "masking" in name else ["0.20"])]
    queries = [name for name in names if not name.startswith("gallery-")]
    assert queries == ["ogor", "ogor-unseen", *plain]
    assert sorted(names) == sorted(queries + [f"gallery-{name}" for name in queries])
    assert suites["sides"] == "both"
    assert [entry["name"] for entry in suites["val"]] == ["ogor", "gallery-ogor", "masking-0.00", "masking-0.20",
                                                          "people-0.20"]
    for entry in suites["test"]:
        copies = OccludedSet.open(made / "test" / entry["name"], entry["sha256"])
        assert len(copies.rows) == entry["count"] == (6 if entry["side"] == "gallery" else 20)
        assert entry["series"] == entry["name"].removesuffix(f"-{entry['ratio'] or 0:.2f}")
        labels = set(np.unique(copies.masks)) - {0, TARGET}
        kind = entry["kind"]
        expected = set() if entry["ratio"] == 0 else {"people": {STRANGER}, "mixed": {2, 3}}.get(kind, {2})
        assert labels == expected


def test_series_share_their_draws(made):
    plain, behind = (OccludedSet.open(made / "test" / f"{name}-0.20").table for name in ("people", "people-behind"))
    assert plain["occluder"].to_pylist() == behind["occluder"].to_pylist()
    assert plain["seed"].to_pylist() == behind["seed"].to_pylist()
    left, free, right = (OccludedSet.open(made / "test" / f"people{name}-0.20").images
                         for name in ("-left", "", "-right"))
    same = [np.array_equal(free[i], left[i]) or np.array_equal(free[i], right[i]) for i in range(len(free))]
    assert all(same)


def test_unseen_classes_are_kept_for_their_own_suite(made):
    def classes(name):
        return {kind.split("+")[0] for kind in OccludedSet.open(made / name).table["occluder_class"].to_pylist()}

    for name in ("train", "val/ogor", "val/gallery-ogor", "test/ogor", "test/gallery-ogor", "test/mixed-object-0.40"):
        assert classes(name) and "kite" not in classes(name)
    assert classes("test/ogor-unseen") == classes("test/gallery-ogor-unseen") == {"kite"}


@pytest.mark.parametrize(("classes", "message"), [
    (["dragon"], "unseen_classes: got 'dragon'; allowed: car, kite, pedestrian, post"),
    (["car", "kite", "pedestrian", "post"], "got all 4 classes")])
def test_unseen_classes_must_exist_and_leave_some(workspace, classes, message):
    with pytest.raises(ReanchorError, match=message):
        make_occluded(preset(workspace, f"occlude.unseen_classes=[{','.join(classes)}]"), workspace / "prepared",
                      workspace / "bad", 1)
    assert not (workspace / "bad").exists()


def test_splits_and_sides_are_made_as_asked(workspace):
    manifest = Manifest.read(workspace / "prepared/manifest.parquet")
    assert {suite.split for suite in plan(Occlude(splits=["val"]), manifest) if suite.kind == "ogor"} == {"val"}
    found = plan(Occlude(sides="gallery", masking_ratios=[0.1], people_ratios=[]), manifest)
    assert [suite.folder for suite in found] == ["train", "val/ogor", "val/gallery-ogor", "val/masking-0.10",
                                                 "test/ogor", "test/gallery-ogor", "test/gallery-masking-0.10"]


def test_released_occludes_the_first_image_of_every_identity(workspace):
    manifest = Manifest.read(workspace / "prepared/manifest.parquet")
    suites = {suite.folder: suite for suite in plan(Occlude(variant="ogor-released", masking_ratios=[],
                                                            people_ratios=[]), manifest)}
    for folder, split in (("train", "train"), ("val/gallery-ogor", "val"), ("test/gallery-ogor", "gallery")):
        rows = manifest.rows(split)
        first = [rows[manifest.pid[rows] == pid].min() for pid in np.unique(manifest.pid[rows])]
        assert suites[folder].rows.tolist() == sorted(first)
    assert not any(suite.side == "gallery" for suite in
                   plan(Occlude(variant="ogor-released", gallery_share=0.0), manifest))
    assert first_of_runs(np.array([2, 3, 5]), np.array([1, 1, 4, 4, 9, 4])).tolist() == [2]  # a run skips other rows


def write_masks(folder, manifest, shape=(H, W)):
    """Person masks of the photographs' size, all of the silhouette's left half."""
    person = silhouette(*shape)
    person[:, shape[1] // 2:] = False
    for name in manifest.image_id:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(person * np.uint8(200)).save(folder / f"{name}.png")
    return person


def test_masks_come_from_a_folder(workspace, tmp_path):
    manifest = Manifest.read(workspace / "maskless/manifest.parquet")
    person = write_masks(tmp_path / "masks", manifest)
    config = preset(workspace, f"occlude.masks={tmp_path}/masks")
    metrics = make_occluded(config, workspace / "maskless", tmp_path / "out", 1)
    store = ImageStore.open(workspace / "maskless/images.arrow")
    behind = OccludedSet.open(tmp_path / "out/test/people-behind-0.20")
    for row, image, mask in zip(behind.rows, behind.images, behind.masks, strict=True):
        np.testing.assert_array_equal(mask == TARGET, person)
        np.testing.assert_array_equal(image[person], store.images[row][person])
    assert behind.table.schema.metadata[b"mask_source"] == b"folder"
    assert metrics["test.masking-0.00.visible_share"] == 1.0


def damage(folder, manifest, what):
    path = folder / f"{manifest.image_id[manifest.rows('query')[3]]}.png"
    if what == "missing":
        path.unlink()
    elif what == "size":
        Image.fromarray(np.zeros((H + 1, W), np.uint8)).save(path)
    elif what == "colour":
        Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(path)
    else:
        path.write_bytes(b"no picture")


@pytest.mark.parametrize(("what", "message"), [
    ("missing", r"has no 'query/.*\.png' \(1 missing\); allowed: a PNG for every image"),
    ("size", r"query/.*\.png': mask's size is \(16, 33\), its image's \(16, 32\)"),
    ("colour", "mask has mode RGB; expected 8-bit labels"), ("damaged", r"query/.*\.png'.*an 8-bit PNG")])
def test_a_bad_mask_is_one_line_and_nothing_is_left(workspace, tmp_path, what, message):
    manifest = Manifest.read(workspace / "maskless/manifest.parquet")
    write_masks(tmp_path / "masks", manifest)
    damage(tmp_path / "masks", manifest, what)
    config = Occlude(library=str(workspace / "library"), masks=str(tmp_path / "masks"), masking_ratios=[0.2],
                     people_ratios=[])
    with pytest.raises(ReanchorError, match=message) as caught:
        make_occluded(config, workspace / "maskless", tmp_path / "out", 1)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks"]


def test_behind_without_masks_and_a_missing_folder_are_refused(workspace, tmp_path):
    for changes, message in (((), r"people_layers: 'behind' needs person masks"),
                             (("occlude.masks=nowhere",), r"occlude\.masks: no folder 'nowhere'")):
        with pytest.raises(ReanchorError, match=message) as caught:
            make_occluded(preset(workspace, *changes), workspace / "maskless", tmp_path / "out", 1)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_one_ratio_is_a_range(workspace):
    config = preset(workspace, "occlude.ratio_low=0.3", "occlude.ratio_high=0.3")
    assert (config.ratio_low, config.ratio_high) == (0.3, 0.3)


@pytest.mark.parametrize(("override", "message"), [
    ("occlude.masking_ratios=[1.2]", "allowed: at least 0.0 and at most 0.9"),
    ("occlude.people_ratios=[-0.1]", "allowed: at least 0.0 and at most 0.9"),
    ("occlude.masking_shapes=[]", "allowed: at least one value"),
    ("occlude.people_edges=[soft,soft]", "each once"), ("occlude.masking_shapes=[blok]", "did you mean 'block'"),
    ("occlude.splits=[train,test]", "allowed: val among them"), ("occlude.gallery_share=0", "allowed: above 0"),
    ("occlude.mixed_ratios=[0.301,0.302]", "differ in their first two decimals")])
def test_settings_that_cannot_be_are_one_line(workspace, override, message):
    with pytest.raises(ReanchorError, match=message) as caught:
        preset(workspace, override)
    assert "\n" not in str(caught.value) and override.split("=")[0] in str(caught.value)
