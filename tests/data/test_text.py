"""Datasets searched by sentences: what `prepare` makes of their lists, and of lists that are wrong."""


import numpy as np
import pytest
from data_factory import market, picture
from layout_factory import cuhk_pedes, icfg_pedes, write_records
from PIL import Image
from text_lists import FIRST, GIVEN, SETTINGS, changed, records, run

from reanchor.config.sections.data import Prepare
from reanchor.data.captions import read_json_list
from reanchor.data.catalogue import DATASETS
from reanchor.data.prepare import prepare
from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore
from reanchor.formats.manifest import Manifest
from reanchor.formats.sentences import sentence_queries


@pytest.mark.parametrize(("card", "counts", "pids"), [
    ("cuhk_pedes", (16, 4, 4), {"train": range(1, 9), "val": (9, 10), "gallery": (11, 12)}),
    ("rstpreid", (8, 4, 4), {"train": range(1, 5), "val": (5, 6), "gallery": (7, 8)})])
def test_the_published_splits_are_kept(tmp_path, card, counts, pids):
    metrics, manifest, statistics, reasons, _ = run(GIVEN[card][0](tmp_path / "data"), tmp_path / "out", card)
    assert tuple(metrics[f"{split}_images"] for split in ("train", "val", "gallery")) == counts and not reasons
    assert metrics["query_images"] == metrics["query_identities"] == metrics["queries_without_match"] == 0
    assert {split: set(manifest.pid[manifest.rows(split)]) for split in pids} == {s: set(p) for s, p in pids.items()}
    assert set(manifest.camid) == ({0} if card == "cuhk_pedes" else {1, 2})
    listed = {f"imgs/{record.get('file_path', record.get('img_path'))}": record["captions"]
              for record in records(tmp_path / "data", GIVEN[card][1])}
    assert dict(zip(manifest.path, manifest.captions, strict=True)) == listed
    assert statistics["found"]["gallery_sentences"] == statistics["sentences"]["gallery"]["sentences"] == 8
    queries = sentence_queries(manifest, "test")
    assert len(queries) == 8 and set(queries.rows) == set(manifest.rows("gallery"))


def test_without_a_validation_split_training_identities_are_held_out(tmp_path):
    root = icfg_pedes(tmp_path / "data")
    metrics, manifest, statistics, _, _ = run(root, tmp_path / "out", "icfg_pedes")
    assert (metrics["train_identities"], metrics["val_identities"], metrics["gallery_identities"]) == (4, 2, 2)
    assert set(manifest.pid[manifest.rows("gallery")]) == {7, 8} and set(manifest.camid) == {1, 2}
    # MSMT17's folders train and test are in both splits
    assert {path.split("/")[1] for path in manifest.path[:12]} == {"train", "test"}
    assert {manifest.path[row].split("/")[1] for row in manifest.rows("gallery")} == {"train", "test"}
    assert statistics["found"]["train_images"] == 12 and statistics["found"]["val_images"] == 0
    (root / "ICFG-PEDES.json").rename(root / "ICFG_PEDES.json")  # as the authors' description has it
    assert run(root, tmp_path / "again", "icfg_pedes")[0] == metrics


def test_validation_images_are_resized_as_test_images_are(tmp_path):
    root = cuhk_pedes(tmp_path / "data")
    _, manifest, _, _, _ = run(root, tmp_path / "out", interpolation_train="bilinear")
    store = ImageStore.open(tmp_path / "out/images.arrow")
    for split, way in (("train", "BILINEAR"), ("val", "BICUBIC"), ("gallery", "BICUBIC")):
        for row in manifest.rows(split):
            with Image.open(root / manifest.path[row]) as image:
                expected = np.asarray(image.resize((12, 24), Image.Resampling[way]))
            np.testing.assert_array_equal(store.images[row], expected)


def test_the_list_without_splits_is_refused_unless_it_has_some(tmp_path):
    root = cuhk_pedes(tmp_path / "data")
    (root / "reid_raw.json").rename(root / "caption_all.json")
    assert run(root, tmp_path / "out")[0]["train_images"] == 16  # its records say their split
    write_records(root / "caption_all.json", [{key: record[key] for key in ("id", "file_path", "captions")}
                                              for record in records(root, "caption_all.json")])
    with pytest.raises(ReanchorError) as caught:
        run(root, tmp_path / "again")
    assert str(caught.value) == (
        f"prepare.root: '{root}/caption_all.json' names no split, and there is no reid_raw.json, which says who trains "
        "and who tests; get reid_raw.json (the authors' page links to it) and put it there")


@pytest.mark.parametrize("missing", ["imgs", "reid_raw.json"])
def test_a_missing_part_points_to_the_doctor(tmp_path, missing):
    root = cuhk_pedes(tmp_path / "data")
    (root / missing).rename(tmp_path / "away")
    with pytest.raises(ReanchorError, match=rf"has no {missing}; .*`reanchor doctor cuhk_pedes {root}` says"):
        run(root, tmp_path / "out")


def test_released_options(tmp_path):
    root = icfg_pedes(tmp_path / "icfg")
    cut, _, statistics, _, _ = run(root, tmp_path / "cut", "icfg_pedes", test_records=3)
    assert cut["gallery_images"] == 3 and cut["train_images"] + cut["val_images"] == 12
    assert "prepare.test_records keeps the first 3 test records only" in statistics["notes"][0]
    kept = [f"imgs/{record['file_path']}" for record in records(root, "ICFG-PEDES.json") if record["split"] == "test"]
    manifest = Manifest.read(tmp_path / "cut/manifest.parquet")
    assert {manifest.path[row] for row in manifest.rows("gallery")} == set(kept[:3])
    root = cuhk_pedes(tmp_path / "cuhk")
    whole = run(root, tmp_path / "whole")[0]
    metrics, manifest, statistics, reasons, _ = run(root, tmp_path / "dropped", drop_pids=[8, 2])
    assert whole["train_images"] - metrics["train_images"] == 4 and not {2, 8} & set(manifest.pid) and not reasons
    assert statistics["notes"][0] == "prepare.drop_pids leaves out 2 identities (pids 2, 8)"
    assert statistics["found"]["train_images"] == 16  # as distributed
    with pytest.raises(ReanchorError, match=r"prepare\.drop_pids: got 99, but no image of 'cuhk' has this pid"):
        run(root, tmp_path / "none", drop_pids=[2, 99])
    with pytest.raises(ReanchorError, match=r"prepare\.test_records: got 3 with prepare\.reader 'market1501'"):
        prepare(Prepare(root=str(market(tmp_path / "m")), **SETTINGS, test_records=3), tmp_path / "none", 1)


@pytest.mark.parametrize(("fields", "reason", "words"), [
    ({"id": "x"}, "bad_pid", "id is 'x'; allowed is a whole number from 1"),
    ({"id": 1.5}, "bad_pid", "id is 1.5"), ({"id": True}, "bad_pid", "id is True"), ({"id": ...}, "bad_pid", "None"),
    ({"id": 0}, "bad_pid", "id is 0"), ({"id": -1}, "bad_pid", "id is -1"), ({"id": 10**30}, "bad_pid", "id is 1000"),
    ({"split": "exam"}, "bad_record", "split is 'exam'; allowed are train, val, test"),
    ({"split": ...}, "bad_record", "split is None"), ({"split": ["train"]}, "bad_record", "split is ['train']"),
    ({"captions": "one text"}, "bad_record", "captions is 'one text', expected a list of texts"),
    ({"captions": ...}, "bad_record", "captions is None"), ({"captions": {"a": 1}}, "bad_record", "captions is {'a'")])
def test_a_record_without_its_fields_is_set_aside(tmp_path, fields, reason, words):
    metrics, manifest, statistics, reasons, details = run(changed(tmp_path / "data", **fields), tmp_path / "out")
    assert reasons == {FIRST: [reason]} and words in details[FIRST] and FIRST not in manifest.path
    assert metrics["quarantined"] == metrics[f"quarantined_{reason}"] == 1 and metrics["train_images"] == 15
    assert statistics["quarantined"] == {reason: 1}


def test_a_record_that_names_no_image_is_called_by_its_position(tmp_path):
    root = cuhk_pedes(tmp_path / "data")
    write_records(root / "reid_raw.json", [*records(root), "text", {"id": 4, "split": "train", "captions": []},
                                           {"file_path": ["x"], "id": 4}, {"img_path": "", "id": 4}])
    _, _, _, reasons, details = run(root, tmp_path / "out")
    assert reasons == {f"record {position}": ["bad_record"] for position in range(24, 28)}
    assert details["record 24"] == "is 'text', expected an object"
    assert details["record 26"] == "names no image: file_path is ['x']"


def test_ids_may_be_digits_in_quotes(tmp_path):
    assert run(changed(tmp_path / "data", id="1"), tmp_path / "out")[3] == {}


@pytest.mark.parametrize(("path", "as_path", "reason"), [
    ("../secret.jpg", "imgs/../secret.jpg", "path_escape"), ("cam_a/../../../x.jpg", "imgs/cam_a/../../../x.jpg",
                                                            "path_escape"),
    ("/etc/hostname", "/etc/hostname", "path_escape"), ("cam_a/link.jpg", "imgs/cam_a/link.jpg", "path_escape"),
    ("cam_a/none.jpg", "imgs/cam_a/none.jpg", "missing"), ("cam_a/a\0b.jpg", "imgs/cam_a/a\0b.jpg", "missing"),
    ("cam_a/\ud800.jpg", "imgs/cam_a/\\ud800.jpg", "bad_name"), ("x" * 400 + ".jpg", "imgs/" + "x" * 400 + ".jpg",
                                                                "missing"), ("cam_a", "imgs/cam_a", "missing")])
def test_paths_of_records_stay_inside(tmp_path, path, as_path, reason):
    root = changed(tmp_path / "data", file_path=path)
    picture(tmp_path / "secret.jpg", 1)
    picture(tmp_path / "data/secret.jpg", 1)
    (root / "imgs/cam_a/link.jpg").symlink_to(tmp_path / "secret.jpg")
    _, manifest, _, reasons, _ = run(root, tmp_path / "out")
    assert reasons == {as_path: [reason]} and len(manifest) == 23


def test_an_image_listed_twice(tmp_path):
    root = cuhk_pedes(tmp_path / "data")
    listed = records(root)
    again = [listed[0] | {"captions": ["A third text."]}, listed[2] | {"id": 1}, listed[4] | {"split": "test"}]
    write_records(root / "reid_raw.json", listed + again)
    metrics, manifest, statistics, reasons, details = run(root, tmp_path / "out")
    both = [f"imgs/{listed[position]['file_path']}" for position in (2, 4)]
    assert reasons == {path: ["bad_record"] for path in both}  # neither label can be trusted
    assert details[both[0]] == "listed as pid 1 in train and pid 2 in train; one of them is wrong"
    assert details[both[1]] == "listed as pid 3 in gallery and pid 3 in train; one of them is wrong"
    assert manifest.captions[manifest.path.index(FIRST)] == [*listed[0]["captions"], "A third text."]
    assert metrics["train_images"] == 14 and statistics["found"]["train_images"] == 15  # one of them a second time


def test_people_in_two_splits_are_said(tmp_path):
    root = cuhk_pedes(tmp_path / "data")
    listed = records(root)
    for record in listed[16:]:  # val and test people 9 to 12 get the numbers 1 to 4 of training people
        record["id"] -= 8
    write_records(root / "reid_raw.json", listed)
    notes = " ".join(run(root, tmp_path / "out")[2]["notes"])
    assert "2 pids occur in training and in validation (such as 1): models would be chosen on people" in notes
    assert "2 pids occur in training and in test (such as 3)" in notes


@pytest.mark.parametrize(("text", "words"), [
    ('[{"id": 1,\n"split" "train"}]', "not valid JSON (Expecting ':' delimiter: line 2 column 9 (char 19)); repair it"),
    ("", "not valid JSON (Expecting value: line 1 column 1 (char 0))"), ("[" * 200_000, "not valid JSON ("),
    ('{"train": []}', "holds a dict, expected a list of records (CUHK-PEDES)"), ("7", "holds a int"),
    ("[]", "none of its 0 records can be used; each needs"),
    ('[{"image": "a.jpg"}, 3]', "none of its 2 records can be used (such as record 0: names no image: file_path is"),
    (b"\xff\xfe[]", "not valid JSON ('utf-8' codec can't decode")])
def test_a_list_of_another_form_is_one_line_and_leaves_nothing(tmp_path, text, words):
    root = cuhk_pedes(tmp_path / "data")
    (root / "reid_raw.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ReanchorError) as caught:
        run(root, tmp_path / "out")
    message = str(caught.value)
    assert message.startswith(f"{root}/reid_raw.json: ") and words in message and "\n" not in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_a_list_that_cannot_be_opened_is_one_line(tmp_path):
    (tmp_path / "reid_raw.json").mkdir()
    with pytest.raises(ReanchorError, match=r"reid_raw.json: cannot be read \(Is a directory\); expected a list of x"):
        read_json_list(tmp_path / "reid_raw.json", "a list of x")


def test_a_source_that_is_missing_stops_with_its_count(tmp_path):
    root = cuhk_pedes(tmp_path / "data")
    (root / "imgs/Market").rename(tmp_path / "Market")
    with pytest.raises(ReanchorError) as caught:
        run(root, tmp_path / "out", max_bad_share=0.02)
    assert "6 of 24 files" in str(caught.value) and "6 missing (such as imgs/Market/p14_s1.jpg" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("split", "fields", "words"), [
    ("test", {"captions": []}, "there is no query image, and no gallery image has a caption to search by"),
    ("test", {"id": 11}, "split gallery has 1 usable identities, at least 2"),
    ("val", {"id": 9}, "split val has 1 usable identities, at least 2"),
    ("train", {"id": 1}, "split train has 1 usable identities, at least 2"),
    ("train", {"split": "test"}, "split train has 0 usable identities, at least 2")])
def test_too_little_names_what_is_missing(tmp_path, split, fields, words):
    root = cuhk_pedes(tmp_path / "data")
    write_records(root / "reid_raw.json", [record | fields if record["split"] == split else record
                                           for record in records(root)])
    with pytest.raises(ReanchorError, match=words):
        run(root, tmp_path / "out")


def test_a_described_gallery_of_ones_own_needs_no_query_images(tmp_path):
    rows = ["path,pid,camid,split,caption"]
    for pid in range(1, 7):
        for image in (1, 2):
            picture(tmp_path / f"{pid}{image}.jpg", 10 * pid + image)
            split = "train" if pid < 5 else "gallery"
            rows.append(f"{pid}{image}.jpg,{pid},{image},{split},a person called {pid}{image}")
    (tmp_path / "dataset.csv").write_text("\n".join(rows))
    metrics, manifest, _, _, _ = run(tmp_path, tmp_path / "out", "csv", validation_share=0.5)
    assert (metrics["query_images"], metrics["gallery_images"], metrics["captions"]) == (0, 4, 12)
    assert len(sentence_queries(manifest, "test")) == len(sentence_queries(manifest, "val")) == 4


def test_cards_and_readers_agree_on_the_lists():
    from reanchor.data.datasets import cuhk_pedes as cuhk
    from reanchor.data.datasets import icfg_pedes as icfg
    from reanchor.data.datasets import rstpreid as rstp

    for name, reader in (("cuhk_pedes", cuhk), ("icfg_pedes", icfg), ("rstpreid", rstp)):
        assert DATASETS[name].records == reader.LAYOUT.files and DATASETS[name].title == reader.LAYOUT.title
        assert reader.LAYOUT.card == name
