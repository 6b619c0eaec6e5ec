"""The doctor on data of one's own, which it must not pass where `prepare` refuses, and on what cards leave open."""

import dataclasses
import json
import os

import pytest
from data_factory import captions, market, picture
from layout_factory import fill, p_dukemtmc, pku_reid

from reanchor.cli.main import main
from reanchor.config.sections.data import Prepare
from reanchor.data.catalogue import DATASETS
from reanchor.data.prepare import prepare
from reanchor.doctor.diagnose import diagnose
from reanchor.errors import ReanchorError

NAMES = ("a_c1.jpg", "b_c1.jpg", "a_c2.jpg", "b_c2.jpg")


def findings(name, root):
    return [(finding.what, finding.mend) for finding in diagnose(DATASETS[name], root).findings]


def refusal(tmp_path, name, root):
    config = Prepare(root=str(root), card=name, reader=DATASETS[name].reader, height=24, width=12)
    with pytest.raises(ReanchorError) as caught:
        prepare(config, tmp_path / "out", 1)
    return str(caught.value)


def people(root, count=6):
    return fill(root, (f"{pid}/{name}" for pid in range(1, count + 1) for name in NAMES))


def table(root, paths=lambda path: path, split=lambda pid, name: "train" if pid < 5 else
          "query" if name.startswith("a") else "gallery"):
    """Eight people, four of them to train, and the table that names their images by `paths`; no split, no row."""
    people(root, 8)
    rows = [f"{paths(f'{pid}/{name}')},{pid},{name[3]},{split(pid, name)}" for pid in range(1, 9) for name in NAMES
            if split(pid, name)]
    (root / "dataset.csv").write_text("\n".join(["path,pid,camid,split", *rows]))
    return root


def test_data_of_ones_own(tmp_path, capsys):
    (tmp_path / "table").mkdir()
    assert findings("csv", tmp_path / "table") == [(
        f"'{tmp_path}/table' has no dataset.csv", "put one there or set prepare.table")]
    people(tmp_path / "people")
    assert main(["doctor", "folder", str(tmp_path / "people")]) == 0
    assert "the layout can be read; no count is known beforehand: make run" in capsys.readouterr().out


def test_a_table_that_prepare_takes_agrees(tmp_path):
    root = table(tmp_path / "data")
    assert findings("csv", root) == []
    config = Prepare(root=str(root), card="csv", reader="csv", height=24, width=12, validation_share=0.5)
    assert prepare(config, tmp_path / "out", 1)["quarantined"] == 0


@pytest.mark.parametrize(("way", "what", "mend"), [
    ("{root}/{path}", "32 of 32 images lie outside {root} (such as {root}/1/a_c1.jpg: absolute, or has '..'; a path "
     "must stay inside the dataset's root)", "copy the images there and name them relative to it"),
    ("../data/{path}", "32 of 32 images lie outside {root} (such as ../data/1/a_c1.jpg: absolute, or has '..'; a path "
     "must stay inside the dataset's root)", "copy the images there and name them relative to it"),
    ("gone/{path}", "32 of 32 images that the table names are not there (such as gone/1/a_c1.jpg: there is no such "
     "file)", "correct the paths, which are relative to {root}, or put the files there"),
    ("{back}", "32 of 32 images that the table names are not there (such as 1\\a_c1.jpg: there is no such file)",
     "write / in place of \\ in the paths")])
def test_paths_of_a_table(tmp_path, way, what, mend):
    root = tmp_path / "data"
    table(root, lambda path: way.format(root=root, path=path, back=path.replace("/", "\\")))
    expected = [(what.format(root=root), mend.format(root=root))]
    assert findings("csv", root) == expected
    assert "files in" in (said := refusal(tmp_path, "csv", root)) and "are bad" in said
    assert main(["doctor", "csv", str(root)]) == 1


@pytest.mark.parametrize(("empty", "what", "mend"), [
    ("query", "there is no query image, and no gallery image has a caption to search by", "add queries or captions"),
    ("gallery", "split gallery has 0 usable identities, at least 1 are needed", "add images or correct prepare.root")])
def test_a_table_without_a_split(tmp_path, empty, what, mend):
    root = table(tmp_path / "data", split=lambda pid, name: "train" if pid < 5 else
                 (empty != "query") * "query" if name.startswith("a") else (empty != "gallery") * "gallery")
    assert findings("csv", root) == [(what, mend)]
    assert what in refusal(tmp_path, "csv", root)


def test_gallery_captions_stand_for_queries(tmp_path):
    root = table(tmp_path, split=lambda pid, name: "train" if pid < 5 else "gallery")
    captions(root, {"5/a_c1.jpg": ["a red coat"]})
    assert findings("csv", root) == []
    (root / "captions.json").write_text("{")
    assert findings("csv", root)[0][1] == "repair it or take it away"


def test_a_table_without_training_rows_is_a_test_set(tmp_path):
    root = table(tmp_path, split=lambda pid, name: "query" if name.startswith("a") else "gallery")
    diagnosis = diagnose(DATASETS["csv"], root)
    assert diagnosis.findings == [] and diagnosis.notes == [
        "terms: yours", "it has no training images: judge models trained elsewhere (method=zero_shot trains nothing)"]


def test_people_both_trained_on_and_tested(tmp_path):
    root = table(tmp_path, split=lambda pid, name: "train" if name.endswith("1.jpg") and pid < 5 else
                 "query" if name.startswith("a") else "gallery")
    expected = [("4 identities are both trained on and tested (such as pid 1): figures would be too good",
                 "keep each identity in training or in test; if the two splits number different people, number the "
                 "test's anew")]
    assert findings("csv", root) == expected
    folders = fill(tmp_path / "f", (f"{split}/{pid}/{split}_c{camera}.jpg" for split in ("train", "query", "gallery")
                                    for pid in (1, 2, 3, 4) for camera in (1, 2)))
    assert findings("folder", folders) == expected


def test_identity_folders_that_are_links(tmp_path):
    people(tmp_path / "elsewhere")
    (root := tmp_path / "data").mkdir()
    for folder in (tmp_path / "elsewhere").iterdir():
        (root / folder.name).symlink_to(folder)
    assert findings("folder", root) == [(
        f"24 of 24 images lie outside {root} (such as 1/a_c1.jpg: a symbolic link leads to {tmp_path}/elsewhere/1/"
        "a_c1.jpg, outside the dataset's root)",
        "copy the images there; prepare follows no link out of the dataset's folder")]
    assert "path_escape" in refusal(tmp_path, "folder", root)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")  # the root itself may be one
    assert findings("folder", tmp_path / "link") == []


def test_broken_links(tmp_path):
    root = people(tmp_path)
    os.symlink(root / "nowhere.jpg", root / "1/z_c1.jpg")
    assert findings("folder", root) == [(
        "1 of 25 images are not there (such as 1/z_c1.jpg: there is no such file)",
        "put the files there, or take the broken links away")]


def test_linked_folders_of_published_images(tmp_path):
    root = market(tmp_path / "m")
    (root / "query").rename(tmp_path / "query")
    (root / "query").symlink_to(tmp_path / "query")
    assert findings("streetfolk", root)[0][0].startswith(f"6 of 38 images lie outside {root} (such as query/0007_c1s1_")


def test_identity_folders_without_images_among_others(tmp_path):
    root = people(tmp_path)
    (root / "7").mkdir()
    for name in ("a.webp", "b.webp", "notes.txt"):
        (root / "7" / name).write_bytes(b"")
    assert findings("folder", root) == [(
        "1 identity folders hold no image that can be read (such as 7, which holds 1 .txt, 2 .webp); these people "
        "would be left out", "convert the files to .jpg or .png, or take the folders away")]


def test_a_part_of_pku_reid_is_named_and_prepared(tmp_path, capsys):
    root = pku_reid(tmp_path / "data")
    assert main(["doctor", "pku_reid", str(root)]) == 1
    said = capsys.readouterr().out
    assert "all known counts agree" not in said and (
        "  note: compared: images in all, identities in all, cameras; how many images PKU-Reid has in train, query, "
        "gallery is not known beforehand\n") in said
    assert findings("pku_reid", root) == [(
        "48 images of 8 identities found in all splits together, 1,824 of 114 published",
        "unpacked in part? unpack the archive again; prepare takes a part too, whose figures are comparable among "
        "themselves only")]
    config = Prepare(root=str(root), card="pku_reid", reader="pku_reid", height=24, width=12, validation_share=0.5)
    assert prepare(config, tmp_path / "out", 1)["card_differences"] == 0
    assert json.loads((tmp_path / "out/statistics.json").read_text())["card"]["expected"] == {"cameras": 2}


def test_other_cameras_where_no_image_count_is_known(tmp_path):
    root = fill(pku_reid(tmp_path), ["PKUv1a_128x48/001_03_01.png"])
    assert findings("pku_reid", root)[1] == (
        "cameras: 3 found, 2 published", "files were renamed or exchanged: unpack the archive again")


def test_totals_are_of_all_splits_together(tmp_path, monkeypatch):
    root = p_dukemtmc(tmp_path)

    def said(**totals):
        monkeypatch.setitem(DATASETS, "p_dukemtmc", dataclasses.replace(DATASETS["p_dukemtmc"], totals=totals))
        return findings("p_dukemtmc", root)

    assert DATASETS["p_dukemtmc"].totals == {"images": 24_143, "identities": 1_299}
    assert said(images=28, identities=7) == []
    assert said(images=27, identities=7) == [(
        "28 images of 7 identities found in all splits together, 27 of 7 published",
        "another version, or files of yours among them: unpack the archive into an empty folder")]


def test_what_was_compared_is_said_where_counts_are_open(tmp_path):
    notes = diagnose(DATASETS["streetfolk"], market(tmp_path / "m")).notes
    assert notes[-1] == ("compared: cameras; how many images Streetfolk has in train, query, gallery is not known "
                         "beforehand")
    assert diagnose(DATASETS["folder"], people(tmp_path / "f")).notes == ["terms: yours"]


def test_nearly_swapped_query_and_gallery(tmp_path, monkeypatch):
    root = market(tmp_path, test=9)
    for number in range(60):
        picture(root / f"bounding_box_test/0015_c2s1_{900000 + number:06d}_00.jpg", number)
    counts = {"train_images": 24, "query_images": 18, "gallery_images": 80, "junk": 1}
    card = dataclasses.replace(DATASETS["market1501"], counts=counts)
    monkeypatch.setitem(DATASETS, "market1501", card)
    assert not [what for what, _ in findings("market1501", root) if "swapped" in what]
    for one, two in (("query", "aside"), ("bounding_box_test", "query"), ("aside", "bounding_box_test")):
        (root / one).rename(root / two)
    next((root / "query").iterdir()).unlink()
    assert findings("market1501", root) == [(
        "query and gallery look swapped: query holds 80 images, bounding_box_test 18; Market-1501 has 18 queries and "
        "81 others to search", "exchange the names of query and bounding_box_test, then ask again")]
    for path in sorted((root / "query").iterdir())[30:]:
        path.unlink()  # half an archive says nothing about names
    assert not [what for what, _ in findings("market1501", root) if "swapped" in what]
