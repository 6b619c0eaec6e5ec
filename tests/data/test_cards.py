"""Protocol cards, and how `prepare` enforces them."""

import json

import numpy as np
import pytest
from composed import composed
from data_factory import market, picture
from layout_factory import LAYOUTS, fill, occluded_market, pairs, vehicleid, veri776
from occlusion_factory import draw_library
from PIL import Image

from reanchor.config.params import Params
from reanchor.config.sections.data import Occlude, Prepare
from reanchor.config.setting import settings_of
from reanchor.data.catalogue import DATASETS, READERS
from reanchor.data.prepare import prepare
from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore
from reanchor.formats.manifest import Manifest
from reanchor.formats.occluded_set import OccludedSet
from reanchor.occlusion.suites import make_occluded
from stages.check import check_dataset

WITHDRAWN = {"dukemtmc_reid", "occluded_duke", "p_dukemtmc"}
TEST_ONLY = {"occluded_reid", "partial_reid", "partial_ilids"}
BY_SENTENCE = {"cuhk_pedes", "icfg_pedes", "rstpreid"}


def run(root, out, card, **changes):
    settings = {"height": 24, "width": 12, "validation_share": 0.5, "acknowledge_withdrawn": True,
                "reader": DATASETS[card].reader or "market1501"}
    config = Prepare(root=str(root), card=card, **settings | changes)
    metrics = prepare(config, out, 1)
    return metrics, Manifest.read(out / "manifest.parquet"), json.loads((out / "statistics.json").read_text())


def test_every_card_is_whole_and_can_be_configured():
    fields = settings_of(Prepare)
    assert set(DATASETS) == set(fields["card"].choices)
    counted = {f"{split}_{what}" for split in ("train", "val", "query", "gallery")
               for what in ("images", "identities", "sentences")}
    for name, card in DATASETS.items():
        assert card.name == name and card.title and card.layout and card.terms
        assert card.reader in READERS or name == "none"
        assert card.kind in ("person", "vehicle") and card.cameras in ("name", "made", "none")
        assert card.camera_rule in ("market", "none", "auto")
        assert (card.cameras == "name") == (card.camera_rule != "none") or card.by_sentence
        assert bool(card.records) == card.by_sentence == (name in BY_SENTENCE)
        for counts in (card.counts, *card.variants.values()):
            assert set(counts) <= counted | {"junk", "distractors", "cameras"} and min(counts.values(), default=1) > 0
        assert set(card.totals) in (set(), {"images", "identities"}) and not (card.totals and "train_images" in
                                                                              card.counts)
        assert bool(card.source) == card.published or name in ("pku_reid", "streetfolk")
    assert {name for name, card in DATASETS.items() if card.withdrawn} == WITHDRAWN
    assert {name for name, card in DATASETS.items() if card.test_only} == TEST_ONLY
    assert {name: card.galleries for name, card in DATASETS.items() if card.galleries > 1} == {"vehicleid": 10}


def test_the_documentation_names_every_dataset_with_its_counts(root):
    rows = [line for line in (root / "docs/reference/datasets.md").read_text().splitlines() if line.startswith("| `")]
    for name, card in DATASETS.items():
        row = [line for line in rows if f"`{name}`" in line.split("|")[1]]
        assert len(row) == (name != "none"), name
        for split in (split for split in card.splits if f"{split}_images" in card.counts):
            assert f"{card.counts[f'{split}_images']:,}" in row[0], (name, split)
        assert not card.totals or "{images:,} of {identities:,} in all".format(**card.totals) in row[0], name


def test_counts_add_up_to_published_totals():
    def total(name):
        return sum(DATASETS[name].counts[f"{split}_images"] for split in ("train", "query", "gallery"))

    assert total("dukemtmc_reid") == 36_411 and total("occluded_duke") == 35_489  # CLIP-ReID, table 1
    assert total("msmt17") == 126_441 and DATASETS["msmt17"].counts["train_identities"] + 3_060 == 4_101
    for size, images in (("small", 6_493), ("medium", 13_377), ("large", 19_777)):
        counts = DATASETS["vehicleid"].expected(size)
        assert counts["query_images"] + counts["gallery_images"] == images and counts["train_images"] == 113_346
    text = {name: [sum(DATASETS[name].counts.get(f"{split}_{what}", 0) for split in DATASETS[name].splits)
                   for what in ("images", "identities", "sentences")] for name in BY_SENTENCE}
    assert text == {"cuhk_pedes": [40_206, 13_003, 80_440], "icfg_pedes": [54_522, 4_102, 54_522],
                    "rstpreid": [20_505, 4_101, 41_010]}  # the papers' totals
    for boxes in ("detected", "labeled"):  # 767 and 700 people
        assert DATASETS["cuhk03_np"].expected(boxes)["train_images"] in (7_365, 7_368)


@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"none"}))
def test_every_card_has_an_option_that_agrees_with_it(root, name):
    overrides = [f"dataset={name}"]
    params = composed(*overrides)
    card, chosen = DATASETS[name], params.prepare
    assert (chosen.card, chosen.reader) == (name, card.reader)
    assert params.prompts.after == f"{card.kind}."
    assert not chosen.acknowledge_withdrawn and not chosen.drop_distractors
    assert chosen.test_records == 0 and chosen.drop_pids == []
    ways = ("bilinear", "bicubic") if name in BY_SENTENCE else ("bicubic", "bilinear" if card.published else "bicubic")
    assert (chosen.interpolation_train, chosen.interpolation_test) == ways
    if card.published:
        size = (224, 224) if name in BY_SENTENCE else (256, 256) if card.kind == "vehicle" else (256, 128)
        assert (chosen.height, chosen.width) == size
    assert params.render.enabled == (name == "streetfolk")


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_prepare_writes_the_protocol_and_the_same_bytes_again(tmp_path, name):
    root, card = LAYOUTS[name](tmp_path / "data"), DATASETS[name]
    metrics, manifest, statistics = run(root, tmp_path / "out", name)
    expected = {"card": name, "kind": card.kind, "camera_rule": card.camera_rule, "galleries": str(card.galleries),
                "terms": card.terms, "interpolation_train": "bicubic", "interpolation_test": "bicubic"}
    assert expected.items() <= manifest.metadata.items()
    assert metrics["quarantined"] == metrics["queries_without_match"] == 0
    assert statistics["card"]["name"] == name and statistics["card"]["source"] == card.source
    with Image.open(tmp_path / "out/contact_sheet.png") as sheet:
        assert np.asarray(sheet).std() > 10
    again, _, _ = run(root, tmp_path / "again", name)
    files = ("manifest.parquet", "images.arrow", "statistics.json", "contact_sheet.png")
    assert all((tmp_path / "out" / f).read_bytes() == (tmp_path / "again" / f).read_bytes() for f in files)
    assert again == metrics


@pytest.mark.parametrize("name", sorted(WITHDRAWN))
def test_withdrawn_images_need_an_acknowledgement(tmp_path, name, params):
    root = LAYOUTS[name](tmp_path / "data")
    with pytest.raises(ReanchorError, match=r"^prepare\.acknowledge_withdrawn: got false, but .*withdrawn.*Duke Univ"):
        run(root, tmp_path / "out", name, acknowledge_withdrawn=False)
    with pytest.raises(ReanchorError, match=r"^prepare\.acknowledge_withdrawn"):
        run(root, tmp_path / "out", "none", reader=DATASETS[name].reader, acknowledge_withdrawn=False)
    assert not (tmp_path / "out").exists()
    params.prepare.card, params.prepare.reader = name, DATASETS[name].reader
    with pytest.raises(ReanchorError, match=r"^prepare\.acknowledge_withdrawn"):
        check_dataset(params)
    params.prepare.acknowledge_withdrawn = True
    check_dataset(params)


def test_no_example_uses_withdrawn_images(root):
    text = (root / "README.md").read_text().lower()
    assert "dataset=" in text and not any(f"dataset={name}" in text for name in WITHDRAWN)


def test_a_card_is_read_by_its_own_reader(tmp_path):
    with pytest.raises(ReanchorError, match=r"prepare\.reader: got 'market1501' with prepare\.card 'msmt17'; allowed"):
        run(market(tmp_path / "data"), tmp_path / "out", "msmt17", reader="market1501")
    assert run(market(tmp_path / "data"), tmp_path / "out", "none")[1].metadata["camera_rule"] == "auto"


def test_training_is_refused_where_there_is_no_training_split():
    check_dataset(composed("dataset=occluded_reid", "method=zero_shot"))
    check_dataset(Params())
    with pytest.raises(ReanchorError) as caught:
        check_dataset(composed("dataset=occluded_reid", "method=baseline"))
    assert str(caught.value) == (
        "params.yaml: finetune.baseline.train: got true, but Occluded-REID (prepare.card 'occluded_reid') has no "
        "training split; allowed: false for finetune.baseline.train (compose with method=zero_shot), or another "
        "dataset to train on")
    with pytest.raises(ReanchorError, match=r"false for prompts\.train, finetune\.baseline\.train, finetune"):
        check_dataset(composed("dataset=partial_ilids"))


@pytest.mark.parametrize("name", sorted(TEST_ONLY))
def test_a_test_only_set_is_prepared_and_occluded(tmp_path, name):
    from reanchor.training.images import TrainingImages

    metrics, manifest, statistics = run(LAYOUTS[name](tmp_path / "data"), tmp_path / "prepared", name)
    assert metrics["train_images"] == metrics["val_images"] == 0 < metrics["query_images"]
    assert "no training split: only models trained elsewhere can be judged here" in statistics["notes"]
    assert set(manifest.camid[manifest.rows("query")]) == {1} and set(manifest.camid[manifest.rows("gallery")]) == {2}
    config = Occlude(library=str(draw_library(tmp_path / "library")), masking_ratios=[0.2], people_ratios=[0.3])
    occluded = make_occluded(config, tmp_path / "prepared", tmp_path / "occluded", 1)
    suites = json.loads((tmp_path / "occluded/suites.json").read_text())
    assert suites["train"] == {} and suites["val"] == [] and len(suites["test"]) == 4
    assert not any(key.startswith(("train", "val")) for key in occluded)
    assert len(OccludedSet.open(tmp_path / "occluded/test/ogor").rows) == metrics["query_images"]
    with pytest.raises(ReanchorError, match=f"{name} has no training split, so nothing can be trained on it"):
        TrainingImages.open(tmp_path / "prepared", tmp_path / "occluded")


def test_a_table_without_training_rows_is_test_only(tmp_path):
    rows = ["path,pid,camid,split"]
    for pid, (camid, split) in ((p, s) for p in (1, 2) for s in ((1, "query"), (2, "gallery"))):
        picture(tmp_path / f"{pid}{camid}.jpg", len(rows))
        rows.append(f"{pid}{camid}.jpg,{pid},{camid},{split}")
    (tmp_path / "dataset.csv").write_text("\n".join(rows))
    assert run(tmp_path, tmp_path / "out", "csv")[0]["query_images"] == 2


def test_a_published_split_without_its_training_images_is_refused(tmp_path):
    root = occluded_market(tmp_path / "data")
    for path in (root / "occluded_train").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ReanchorError, match="split train has 0 usable identities, at least 2"):
        run(root, tmp_path / "out", "occluded_market", max_bad_share=1.0)


def test_a_published_split_stays_whole(tmp_path):
    root = veri776(tmp_path / "data")
    fill(root, ["image_train/0009_c001_00000001_0.jpg"])  # one camera only
    metrics, manifest, statistics = run(root, tmp_path / "out", "veri776")
    assert metrics["quarantined"] == 0 and (metrics["query_images"], metrics["gallery_images"]) == (4, 8)
    assert len(manifest) == 29 and "4 files repeat an earlier one; kept" in " ".join(statistics["notes"])
    own, _, _ = run(root, tmp_path / "own", "none", reader="veri776", max_bad_share=1.0)
    assert own["quarantined_duplicate"] == 4 and own["quarantined_one_camera"] == 1


def test_distractors_leave_the_gallery_when_asked(tmp_path):
    root = occluded_market(tmp_path / "data")
    with_them, _, _ = run(root, tmp_path / "with", "occluded_market")
    without, manifest, statistics = run(root, tmp_path / "without", "occluded_market", drop_distractors=True)
    assert with_them["gallery_images"] - without["gallery_images"] == 1 and 0 not in manifest.pid
    assert without["distractors"] == statistics["found"]["distractors"] == without["junk"] == 1  # as distributed


def test_the_test_size_of_vehicleid_is_a_setting(tmp_path):
    root = vehicleid(tmp_path / "data")
    small, manifest, statistics = run(root, tmp_path / "small", "vehicleid")
    large, _, _ = run(root, tmp_path / "large", "vehicleid", test_size="large")
    assert (small["gallery_images"], small["query_images"]) == (2, 4)
    assert (large["gallery_images"], large["query_images"]) == (3, 6)
    assert statistics["card"]["expected"]["gallery_images"] == 800 and not manifest.camid.any()
    assert manifest.metadata["galleries"] == "10" and manifest.metadata["kind"] == "vehicle"
    other = run(root, tmp_path / "other", "vehicleid", seed=5)[1]
    assert set(other.path) == set(manifest.path)


def test_vehicles_without_a_gallery_image_are_counted_under_the_rule_none(tmp_path):
    root = pairs(tmp_path / "data")
    for path in (root / "whole_body_images/002").iterdir():
        path.unlink()
    metrics, _, statistics = run(root, tmp_path / "out", "occluded_reid")
    assert metrics["queries_without_match"] == 2
    assert "2 of 8 queries have no gallery image; evaluation leaves them out" in statistics["notes"]


@pytest.mark.parametrize("processes", [1, 3])
def test_training_and_test_images_are_resized_each_in_its_way(tmp_path, processes):
    root = market(tmp_path / "data")
    config = Prepare(root=str(root), height=24, width=12, validation_share=0.34, interpolation_test="bilinear")
    prepare(config, tmp_path / "out", processes)
    manifest = Manifest.read(tmp_path / "out/manifest.parquet")
    store = ImageStore.open(tmp_path / "out/images.arrow")
    ways = [manifest.metadata[f"interpolation_{split}"] for split in ("train", "test")]
    assert ways == ["bicubic", "bilinear"]
    assert set(manifest.split) == {"train", "val", "query", "gallery"}
    for row, path in enumerate(manifest.path):
        way = Image.Resampling.BICUBIC if manifest.split[row] == "train" else Image.Resampling.BILINEAR
        with Image.open(root / path) as image:
            np.testing.assert_array_equal(store.images[row], np.asarray(image.resize((12, 24), way)))
