"""The doctor on datasets searched by sentences: every message, on miniatures with small cards."""

import json
import shutil

import pytest
from findings import only
from layout_factory import cuhk_pedes, fill, icfg_pedes, msmt17, rstpreid, write_records

from reanchor.cli.main import main
from reanchor.data.catalogue import DATASETS
from reanchor.doctor.diagnose import diagnose

CUHK, ICFG, RSTP = (DATASETS[name] for name in ("cuhk_pedes", "icfg_pedes", "rstpreid"))
COUNTS = tuple(f"{split}_{what}" for split in ("train", "val", "gallery")
               for what in ("images", "identities", "sentences"))
UNUSABLE = "prepare would set them aside; get the list again if they are many"


def edit(root, name, change):
    listed = json.loads((root / name).read_text())
    change(listed)
    write_records(root / name, listed)


def test_a_root_too_high_or_too_low_among_others_of_the_same_layout(tmp_path):
    for name, layout in (("a-cuhk", cuhk_pedes), ("b-icfg", icfg_pedes), ("c-rstp", rstpreid)):
        layout(tmp_path / name)
    for card, name in ((CUHK, "a-cuhk"), (ICFG, "b-icfg"), (RSTP, "c-rstp")):
        whole = tmp_path / name
        assert only(card, tmp_path) == (f"{card.title} lies deeper than {tmp_path}, in {whole}",
                                        f"use prepare.root={whole}")
        assert only(card, whole / "imgs") == (f"{card.title} lies above {whole}/imgs, in {whole}",
                                              f"use prepare.root={whole}")


@pytest.mark.parametrize(("card", "layout", "name"), [
    (CUHK, cuhk_pedes, "reid_raw.json"), (ICFG, icfg_pedes, "ICFG-PEDES.json"), (RSTP, rstpreid, "data_captions.json")])
def test_a_list_that_is_not_beside_the_images(tmp_path, card, layout, name):
    root = layout(tmp_path / "d/data")
    for folder in (root / "annotations", root / "imgs", root.parent):
        folder.mkdir(exist_ok=True)
        (root / name).rename(folder / name)
        assert only(card, root) == (f"{root} has no {name}, but {folder} has", f"move it into {root}")
        (folder / name).rename(root / name)
    (root / name).unlink()
    assert only(card, root) == (
        f"{root} has no {name}, which says whom each image shows, who trains and who tests",
        "get it from where the images came (it may be a separate download) and put it there")


def test_the_list_without_splits(tmp_path):
    root = cuhk_pedes(tmp_path)
    listed = json.loads((root / "reid_raw.json").read_text())
    write_records(root / "caption_all.json", [{key: one[key] for key in ("id", "file_path", "captions")}
                                              for one in listed])
    (root / "reid_raw.json").rename(root / "imgs/reid_raw.json")
    assert only(CUHK, root) == (f"{root} has no reid_raw.json, but {root}/imgs has", f"move it into {root}")
    (root / "imgs/reid_raw.json").unlink()
    assert only(CUHK, root) == (
        f"'{root}/caption_all.json' names no split, and there is no reid_raw.json, which says who trains and who tests",
        "get reid_raw.json (the authors' page links to it) and put it there")


def test_no_folder_of_images(tmp_path):
    root = cuhk_pedes(tmp_path / "c")
    for path in (root / "imgs").iterdir():
        path.rename(root / path.name)
    (root / "imgs").rmdir()
    assert only(CUHK, root) == (
        f"{root} holds cam_a, cam_b, CUHK01, CUHK03 and 3 more itself, which CUHK-PEDES keeps in imgs",
        "make a folder imgs there and move the images into it")
    root = rstpreid(tmp_path / "r")
    for path in (root / "imgs").iterdir():
        path.rename(root / path.name)
    (root / "imgs").rmdir()
    assert only(RSTP, root)[0].startswith(f"{root} holds 0000_c1_0000.jpg, 0000_c2_0001.jpg, ")
    (root / "Imgs").mkdir()
    shutil.rmtree(root, ignore_errors=True)
    (root / "Imgs").mkdir(parents=True)
    assert only(RSTP, root)[1] == "rename Imgs to imgs"


@pytest.mark.parametrize("source", CUHK.folders)
def test_a_source_that_is_not_there(tmp_path, small, source):
    root = cuhk_pedes(tmp_path)
    card = small("cuhk_pedes", root, COUNTS)
    images = len(list((root / "imgs" / source).iterdir()))
    shutil.rmtree(root / "imgs" / source)
    assert only(card, root) == (
        f"there is no imgs/{source}, where {images} images lie that the list names",
        "the copy is incomplete: ask whom you have it from for all of cam_a, cam_b, CUHK01, CUHK03, Market, "
        "test_query, train_query")


def test_single_images_that_are_not_there(tmp_path, small):
    root = cuhk_pedes(tmp_path / "c")
    card = small("cuhk_pedes", root, COUNTS)
    (root / "imgs/Market/p14_s1.jpg").unlink()
    assert only(card, root) == ("imgs/Market: 1 of 6 images that the list names are not there (such as "
                                "imgs/Market/p14_s1.jpg)", "unpacked in part? unpack the archive again")
    flat = rstpreid(tmp_path / "r")
    card = small("rstpreid", flat, COUNTS)
    (flat / "imgs/0000_c1_0000.jpg").unlink()
    assert only(card, flat)[0] == ("imgs: 1 of 16 images that the list names are not there (such as "
                                   "imgs/0000_c1_0000.jpg)")


def test_images_one_folder_too_deep(tmp_path, small):
    root = cuhk_pedes(tmp_path)
    card = small("cuhk_pedes", root, COUNTS)
    (root / "imgs").rename(root / "inner")
    (root / "imgs").mkdir()
    (root / "inner").rename(root / "imgs/imgs")
    assert only(card, root) == (f"the images lie one folder too deep, in {root}/imgs/imgs",
                                f"move what is in {root}/imgs/imgs into {root}/imgs")


def test_paths_that_lead_out_or_cannot_be(tmp_path, small):
    root = cuhk_pedes(tmp_path / "c")
    card = small("cuhk_pedes", root, COUNTS)
    fill(tmp_path, ["secret.jpg"])
    for position, path in enumerate(("../../secret.jpg", "x" * 400 + ".jpg")):
        edit(root, "reid_raw.json", lambda listed, place=position, path=path: listed[place].update(file_path=path))
    found = [finding.what for finding in diagnose(card, root).findings]
    assert found == ["1 records lead out of the folder (such as imgs/../../secret.jpg)",
                     f"imgs: 1 of 1 images that the list names are not there (such as imgs/{'x' * 400}.jpg)"]


def test_records_and_captions_that_cannot_be_used(tmp_path, small):
    root = cuhk_pedes(tmp_path)
    card = small("cuhk_pedes", root)

    def spoil(listed):
        listed[0]["captions"] = ["", "\t", "A coat."]
        listed[1]["captions"] = [5]
        listed[2]["id"] = None
        listed[3].pop("split")

    edit(root, "reid_raw.json", spoil)
    found = [(finding.what, finding.mend) for finding in diagnose(card, root).findings][:4]
    assert found == [
        ("1 records cannot be used: bad_pid (such as imgs/cam_b/p11_s1.jpg: id is None; allowed is a whole number from "
         "1)", UNUSABLE),
        ("1 records cannot be used: bad_record (such as imgs/cam_b/p11_s2.jpg: split is None; allowed are train, val, "
         "test)", UNUSABLE),
        ("2 captions cannot be used: caption_blank (such as imgs/cam_a/p10_s1.jpg: a caption is blank)", UNUSABLE),
        ("1 captions cannot be used: caption_not_text (such as imgs/cam_a/p10_s2.jpg: a caption is 5 (int), expected "
         "text)", UNUSABLE)]


def test_another_list_than_the_published(tmp_path, small):
    root = cuhk_pedes(tmp_path)
    card = small("cuhk_pedes", root, COUNTS)
    edit(root, "reid_raw.json", lambda listed: listed[20]["captions"].pop())
    assert only(card, root) == ("gallery sentences: 7 found, 8 published, although the images are as many",
                                "captions were added or taken out: get reid_raw.json again")
    edit(root, "reid_raw.json", lambda listed: listed.pop(20))
    assert only(card, root) == ("gallery images: 3 found, 4 published",
                                "the list is not the published one: get reid_raw.json again")


def test_an_image_that_the_published_list_names_twice_is_no_difference(tmp_path, small):
    root = icfg_pedes(tmp_path)
    edit(root, "ICFG-PEDES.json", lambda listed: listed.append(listed[0]))
    card = small("icfg_pedes", root, ("train_images", "train_sentences", "gallery_images"))
    assert card.counts["train_images"] == 13 and diagnose(card, root).findings == []


def test_people_in_two_splits(tmp_path, small):
    root = cuhk_pedes(tmp_path)
    edit(root, "reid_raw.json", lambda listed: [one.update(id=one["id"] - 8) for one in listed[16:]])
    card = small("cuhk_pedes", root, COUNTS)
    assert only(card, root) == ("4 identities are in two splits (such as pid 1 in train and val)",
                                "get the list again: who is tested must not be trained on")


def test_a_broken_list(tmp_path):
    root = cuhk_pedes(tmp_path)
    (root / "reid_raw.json").write_text("[{")
    assert only(CUHK, root) == (f"{root}/reid_raw.json: not valid JSON (Expecting property name enclosed in double "
                                "quotes: line 1 column 3 (char 2))", "repair it or take it away")


@pytest.mark.parametrize(("asked", "there", "title"), [
    ("cuhk_pedes", icfg_pedes, "ICFG-PEDES"), ("rstpreid", cuhk_pedes, "CUHK-PEDES"),
    ("icfg_pedes", msmt17, "MSMT17"), ("market1501", rstpreid, "RSTPReid")])
def test_another_dataset(tmp_path, asked, there, title):
    root = there(tmp_path)
    assert only(DATASETS[asked], root)[0] == f"{root} looks like {title}, not like {DATASETS[asked].title}"


def test_notes(tmp_path):
    root = cuhk_pedes(tmp_path)
    fill(root, ["imgs/Market/extra.jpg", "imgs/loose.jpg"])
    assert diagnose(CUHK, root).notes == [
        "terms: research only; on request from its authors",
        "its queries are sentences, which search all test images: no image is a query, no camera rule applies, and "
        "evaluation of image queries is skipped",
        "2 image files are in no record (such as imgs/loose.jpg): nobody knows whom they show, and they are left out"]


def test_the_command_shows_splits_and_counts(tmp_path, small, capsys):
    small("rstpreid", rstpreid(tmp_path), COUNTS)
    assert main(["doctor", "rstpreid", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "train 8 images of 4 identities; val 4 images of 2 identities; gallery 4 images of 2 identities" in said
    assert f'all known counts agree: make run SET="dataset=rstpreid prepare.root={tmp_path}"' in said
    assert main(["doctor", "icfg_pedes"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "protocol camera rule none (cameras: from file names); queries are sentences" in said
    assert "splits train, gallery" in said and "gallery sentences 19,848" in said
    assert main(["doctor"]) == 0
    assert "cuhk_pedes 40,206 none train val gallery" in " ".join(capsys.readouterr().out.split())
