"""The doctor: every message, on miniatures with small cards."""

import dataclasses
import shutil

import pytest
from data_factory import market
from findings import only
from layout_factory import LAYOUTS, cuhk03_np, duke, fill, msmt17, p_dukemtmc, pairs, vehicleid, veri776

from reanchor.cli.main import main
from reanchor.data.catalogue import DATASETS
from reanchor.doctor.diagnose import diagnose

IMAGES = ("train_images", "query_images", "gallery_images", "query_identities", "cameras")  # as `small` counts


@pytest.fixture
def small(small, monkeypatch):
    """The shared one, with totals of the miniatures."""
    totals = {"p_dukemtmc": {"images": 28, "identities": 7}, "pku_reid": {"images": 48, "identities": 8}}

    def shrink(name, *given, **more):
        card = dataclasses.replace(small(name, *given, **more), totals=totals.get(name, {}))
        monkeypatch.setitem(DATASETS, name, card)
        return DATASETS[name]
    return shrink


def exchange(root, one, two):
    (root / one).rename(root / "aside")
    (root / two).rename(root / one)
    (root / "aside").rename(root / two)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_whole_dataset_agrees(tmp_path, name, small, capsys):
    root = LAYOUTS[name](tmp_path / "data")
    small(name, root)
    assert main(["doctor", name, str(root)]) == 0
    said = capsys.readouterr().out
    assert f'all known counts agree: make run SET="dataset={name} prepare.root={root}"' in said
    assert f"terms: {DATASETS[name].terms}" in said and "found:" not in said


def test_it_opens_no_image(tmp_path, small, monkeypatch):
    from PIL import Image

    card = small("market1501", market(tmp_path))
    monkeypatch.setattr(Image, "open", None)
    for path in tmp_path.rglob("*.jpg"):
        path.write_bytes(b"")
    assert diagnose(card, tmp_path).findings == []


def test_a_root_too_high_or_too_low(tmp_path):
    market(tmp_path / "a/Market-1501-v15.09.15")
    card = DATASETS["market1501"]
    whole = tmp_path / "a/Market-1501-v15.09.15"
    assert only(card, tmp_path / "a") == (
        f"Market-1501 lies deeper than {tmp_path}/a, in {whole}", f"use prepare.root={whole}")
    assert only(card, tmp_path) == (f"Market-1501 lies deeper than {tmp_path}, in {whole}", f"use prepare.root={whole}")
    assert only(card, whole / "query") == (
        f"Market-1501 lies above {whole}/query, in {whole}", f"use prepare.root={whole}")
    deep = p_dukemtmc(tmp_path / "p") / "test/whole_body_images"
    assert only(DATASETS["p_dukemtmc"], deep)[1] == f"use prepare.root={tmp_path}/p"


def test_missing_folders(tmp_path):
    root, card = market(tmp_path / "m"), DATASETS["market1501"]
    shutil.rmtree(root / "query")
    assert only(card, root) == (f"{root} has bounding_box_train, bounding_box_test but no query",
                                "unpack the whole archive again, all parts into the same folder")
    (root / "bounding_box_test").rename(root / "Bounding_Box_Test")
    assert only(card, root) == (f"{root} has a folder Bounding_Box_Test, which Market-1501 calls bounding_box_test",
                                "rename Bounding_Box_Test to bounding_box_test")
    empty = tmp_path / "e/e/e/e"
    empty.mkdir(parents=True)
    folders = "bounding_box_train, query, bounding_box_test"
    assert only(card, empty) == (f"{empty} has none of Market-1501's folders ({folders}); it holds nothing",
                                 "point at the folder that holds bounding_box_train")
    fill(empty, [f"{letter}/x.jpg" for letter in "abcdef"])
    assert only(card, empty)[0].endswith("it holds a, b, c, d and 2 more")


def test_cuhk03_above_its_boxes(tmp_path):
    root = cuhk03_np(tmp_path)
    assert only(DATASETS["cuhk03_np"], root) == (f"{root} holds detected and labeled; each is a dataset of its own",
                                              f"use prepare.root={root}/detected")


def test_cuhk03_counts_are_those_of_the_boxes(tmp_path):
    found = {f.what for f in diagnose(DATASETS["cuhk03_np"], cuhk03_np(tmp_path) / "labeled").findings}
    assert "train images: 16 found, 7,368 published, 7,352 are missing" in found


def test_msmt17_without_lists(tmp_path):
    root, card = msmt17(tmp_path / "m/MSMT17_V1"), DATASETS["msmt17"]
    (root / "list_val.txt").unlink()
    assert only(card, root) == (
        f"{root} has no list_val.txt; without the lists nobody knows which image is in which split",
        "get the lists from where the images came (they may be a separate download) and put them there")
    (root.parent / "list_val.txt").write_text("x")
    assert only(card, root) == (f"{root} has no list_val.txt, but {root.parent} has", f"move them into {root}")


def test_msmt17_versions(tmp_path, small):
    root = msmt17(tmp_path / "v1")
    card = small("msmt17", root)
    assert diagnose(card, msmt17(tmp_path / "v2", "V2")).findings == []
    shutil.copytree(tmp_path / "v2/mask_test_v2", root / "mask_test_v2")
    assert diagnose(card, root).findings == []  # V1 is complete, half of V2 harms nobody
    shutil.copytree(tmp_path / "v2/mask_train_v2", root / "mask_train_v2")
    assert only(card, root) == (
        f"{root} holds the folders of MSMT17 V1 (train, test) and of V2 (mask_train_v2, mask_test_v2)",
        "move those of one version away; V2 has blurred faces, and figures of the two differ")
    for folder in ("test", "mask_train_v2"):
        shutil.rmtree(root / folder)
    assert only(card, root) == (f"{root} mixes MSMT17 V1 and V2 up: it holds train, mask_test_v2",
                                "keep train and test (V1), or mask_train_v2 and mask_test_v2 (V2), from one archive")


def test_msmt17_images_that_the_lists_name(tmp_path, small):
    root = msmt17(tmp_path)
    card = small("msmt17", root)
    shutil.rmtree(root / "train/0001")
    assert only(card, root) == (
        "4 of 28 images that the lists name are not there (such as train/0001/0001_000_01_0303morning_0000_0.jpg)",
        "unpacked in part? unpack the archive again; lists and images must be of one version, V1 or V2")


def test_msmt17_swapped_lists(tmp_path, small):
    root = msmt17(tmp_path)
    lines = (root / "list_gallery.txt").read_text().splitlines(keepends=True)
    (root / "list_query.txt").write_text((root / "list_query.txt").read_text() + lines[0])
    (root / "list_gallery.txt").write_text("".join(lines[1:]))
    card = small("msmt17", root)
    exchange(root, "list_query.txt", "list_gallery.txt")
    assert only(card, root) == (
        "query and gallery are swapped: list_query.txt holds 5 images, list_gallery.txt 7; MSMT17 has 7 queries",
        "exchange the names of list_query.txt and list_gallery.txt")


def test_swapped_query_and_gallery(tmp_path, small):
    root = market(tmp_path)
    card = small("market1501", root, (*IMAGES, "junk", "distractors"))
    exchange(root, "query", "bounding_box_test")
    assert only(card, root) == (
        "query and gallery are swapped: query holds 9 images, bounding_box_test 6; Market-1501 has 6 queries",
        "exchange the names of query and bounding_box_test")


def test_unpacked_in_part(tmp_path, small):
    root = market(tmp_path)
    card = small("market1501", root, (*IMAGES, "junk", "distractors"))
    for path in sorted((root / "bounding_box_train").iterdir())[:5]:
        path.unlink()
    assert only(card, root) == (
        "train images: 19 found, 24 published, 5 are missing",
        "unpacked in part? unpack the archive again, and compare its size with the download page's")
    assert main(["doctor", "market1501", str(root)]) == 1


def test_more_images_than_published(tmp_path, small):
    card = small("market1501", root := market(tmp_path))
    fill(root, ["query/0007_c1s1_000009_00.jpg"])
    assert only(card, root) == (
        "query images: 7 found, 6 published, 1 too many",
        "another version, or files of yours among them: unpack the archive into an empty folder")


def test_a_cleaned_copy(tmp_path, small):
    root = market(tmp_path)
    card = small("market1501", root, ("train_images", "query_images", "junk", "distractors"))
    for path in (root / "bounding_box_test").glob("-1_*"):
        path.unlink()
    assert only(card, root) == ("junk: 0 found, 1 published, 1 are missing",
                                "a copy that somebody cleaned? junk counts in no figure, so you may go on")
    for path in (root / "bounding_box_test").glob("0000_*"):
        path.unlink()
    assert diagnose(card, root).findings[1].mend == (
        "a copy that somebody cleaned? figures without distractors are too high: unpack the authors' archive")


def test_as_many_images_of_other_people(tmp_path, small):
    card = small("market1501", root := market(tmp_path), train_identities=7)
    assert only(card, root) == ("train identities: 6 found, 7 published, although the images are as many",
                                "files were renamed or exchanged: unpack the archive again")


def test_another_dataset_in_the_same_folders(tmp_path, small):
    root = duke(tmp_path)
    card = DATASETS["market1501"]
    assert only(card, root) == (
        f"{root} looks like DukeMTMC-reID or Occluded-Duke, not like Market-1501",
        f"run `reanchor doctor dukemtmc_reid {root}`, and use dataset=dukemtmc_reid if it agrees")
    small("occluded_duke", root)
    assert only(card, root)[0] == f"{root} looks like Occluded-Duke, not like Market-1501"
    assert only(DATASETS["dukemtmc_reid"], root)[0] == f"{root} looks like Occluded-Duke, not like DukeMTMC-reID"


@pytest.mark.parametrize(("asked", "there", "title"), [
    ("market1501", veri776, "VeRi-776"), ("veri776", market, "Market-1501"), ("msmt17", p_dukemtmc, "P-DukeMTMC-reID"),
    ("partial_reid", pairs, "Occluded-REID"), ("occluded_reid", vehicleid, "VehicleID"),
    ("p_dukemtmc", msmt17, "MSMT17"), ("occluded_market", market, "Market-1501")])
def test_another_dataset_altogether(tmp_path, asked, there, title):
    root = there(tmp_path)
    assert only(DATASETS[asked], root)[0] == f"{root} looks like {title}, not like {DATASETS[asked].title}"


def test_names_of_another_pattern(tmp_path, small):
    root = market(tmp_path)
    card = small("market1501", root)
    fill(root, ["query/anna.jpg", "query/bob.jpg", "query/0000_c1s1_000001_00.jpg"])
    first, second = diagnose(card, root).findings
    assert (first.what, first.mend) == (
        "query: 2 images cannot stand there (such as query/anna.jpg: expected PID_cCAMsSEQ_FRAME_BOX.jpg)",
        "rename them or take them away; prepare would set them aside")
    assert second.what == ("query: 1 images cannot stand there (such as query/0000_c1s1_000001_00.jpg: pid 0 marks a "
                           "distractor, which belongs to the gallery, not to query)")
    for path in (root / "query").iterdir():
        path.unlink()
    fill(root, ["query/anna.jpg"])
    assert only(card, root) == (
        f"{root}/query: none of 1 image names is Market-1501's PID_cCAMsSEQ_FRAME_BOX.jpg (first: 'query/anna.jpg')",
        "rename them or use prepare.reader=folder or csv")


def test_notes_on_cameras_and_splits(tmp_path):
    notes = diagnose(DATASETS["occluded_reid"], pairs(tmp_path / "o")).notes
    assert notes == [
        "terms: academic or educational use only, not commercial",
        "its file names know no camera, nothing is missing: the reader makes two, 1 for the occluded or partial images "
        "and 2 for the whole ones, so that no camera rule takes a match away",
        "it has no training split: judge models trained elsewhere (method=zero_shot trains nothing)"]
    assert diagnose(DATASETS["vehicleid"], vehicleid(tmp_path / "v")).notes[1] == (
        "it knows no camera: no match is left out, and figures average 10 random galleries")


def test_notes_on_views(tmp_path):
    root = veri776(tmp_path)
    assert diagnose(DATASETS["veri776"], root).notes[1] == (
        "no keypoint_test.txt and no keypoint_train.txt: viewid is 0 (unknown) for the images they would name; the "
        "lists come with the code of TransReID and CLIP-ReID and are needed for view embeddings only")
    (root / "keypoint_test.txt").write_text("a.jpg 1\n")
    assert diagnose(DATASETS["veri776"], root).notes[1].startswith("no keypoint_train.txt: viewid is 0")
    (root / "keypoint_train.txt").write_text("a.jpg 1\n")
    assert len(diagnose(DATASETS["veri776"], root).notes) == 1


def test_notes_on_terms(tmp_path):
    assert diagnose(DATASETS["dukemtmc_reid"], duke(tmp_path)).notes == [
        "terms: withdrawn in 2019; was CC BY-NC-SA 4.0",
        "DukeMTMC-reID was withdrawn (its publisher, Duke University, took it down in 2019: people were filmed without "
        "consent); prepare reads it only with prepare.acknowledge_withdrawn=true"]


def test_the_test_list_of_vehicleid(tmp_path):
    root = vehicleid(tmp_path)
    (root / "train_test_split/test_list_2400.txt").unlink()
    assert only(DATASETS["vehicleid"], root, test_size="large")[0] == (
        f"{root} has no train_test_split/test_list_2400.txt; without the lists nobody knows which image is in which "
        "split")
    found = diagnose(DATASETS["vehicleid"], root, "medium").findings
    assert "gallery images: 3 found, 1,600 published, 1,597 are missing" in {finding.what for finding in found}


@pytest.mark.parametrize(("arguments", "words"), [
    (["market", "x"], "reanchor doctor: DATASET: got 'market'; did you mean 'market1501'? allowed: csv, cuhk01, "),
    (["none"], "DATASET: got 'none'; "),
    (["veri776", "nowhere"], "ROOT: got 'nowhere', which does not exist; allowed: the folder of VeRi-776"),
    (["veri776", __file__], "which is a file; allowed: a folder; unpack an archive first")])
def test_wrong_usage_is_one_line(arguments, words, capsys):
    assert main(["doctor", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_without_arguments_it_lists_the_datasets(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    for name in DATASETS:
        assert (f"\n{name} " in said) == (name != "none")
    assert "market1501 32,217 market train query gallery research" in " ".join(said.split())
    assert len({line.index(" train ") for line in said.splitlines() if " train " in line}) == 1  # aligned
    assert said.count("[needs an acknowledgement]") == 3


def test_one_name_shows_its_card(capsys):
    assert main(["doctor", "vehicleid"]) == 0
    said = capsys.readouterr().out
    for words in ("camera rule none (cameras: none); figures average 10 random galleries", "kind     vehicle",
                  "large: query images 17,377", "Deep Relative Distance Learning", "train identities 13,164"):
        assert words in said
    assert main(["doctor", "p_dukemtmc"]) == 0
    assert "needs prepare.acknowledge_withdrawn=true" in capsys.readouterr().out
