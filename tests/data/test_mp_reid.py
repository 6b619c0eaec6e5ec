"""MP-ReID: an experiment's lists of identities, and the cameras that search each other."""

import pytest
from composed import composed
from layout_factory import fill, mp_reid

from reanchor.cli.main import main
from reanchor.config.sections.data import Prepare
from reanchor.data.catalogue import DATASETS, read_dataset
from reanchor.data.listing import Entry
from reanchor.data.prepare import prepare
from reanchor.doctor.diagnose import diagnose
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest

GROUND, AIR = "exp_cctv_ir_cctv_rgb", "exp_uav_ir_uav_rgb"


def read(root, **more):
    return read_dataset("mp_reid", root, 0, junk=False, distractors=False, **more)


def facts(listing, split):
    return {(entry.pid, entry.camid) for entry in listing.entries if entry.split == split}


def counts(listing):
    return [sum(entry.split == split for entry in listing.entries) for split in ("train", "query", "gallery")]


def test_infrared_images_on_the_ground_search_those_in_colour(tmp_path):
    listing = read(mp_reid(tmp_path))
    assert listing == read(tmp_path, experiment=GROUND) and not listing.rejections
    assert facts(listing, "train") == {(pid, camid) for pid in range(1, 7) for camid in (1, 7, 11)} | {
        (2, 2), (4, 2), (6, 2)}  # of train_id and val_id, on both sides
    assert facts(listing, "query") == {(pid, camid) for pid in (7, 8, 9) for camid in (7, 11)}
    assert facts(listing, "gallery") == {(7, 1), (8, 1), (9, 1), (8, 2)}
    assert counts(listing) == [42, 12, 8]
    assert Entry("11/0009/0002.jpg", 9, 11, "query") in listing.entries  # camera 11 is not camera 1
    assert Entry("01/0009/0001.jpg", 9, 1, "gallery") in listing.entries


def test_another_experiment_reads_other_cameras(tmp_path):
    listing = read(mp_reid(tmp_path), experiment=AIR)
    assert {camid for _, camid in facts(listing, "train")} == {13, 14} and counts(listing) == [24, 6, 6]
    assert facts(listing, "query") == {(7, 14), (8, 14), (9, 14)} and facts(listing, "gallery") == {
        (7, 13), (8, 13), (9, 13)}


def test_copies_without_zeros_and_lists_in_the_root(tmp_path):
    usual, other = read(mp_reid(tmp_path / "a")), mp_reid(tmp_path / "b", camera=str)
    for folder in (other / "split").iterdir():
        folder.rename(other / folder.name)
    assert [(entry.pid, entry.camid, entry.split) for entry in sorted(usual.entries, key=str)] == sorted(
        ((entry.pid, entry.camid, entry.split) for entry in read(other).entries),
        key=lambda fact: (f"{fact[1]:02d}", fact[0]))
    assert "1/0001/0001.jpg" in {entry.path for entry in read(other).entries}
    assert diagnose(DATASETS["mp_reid"], other).findings == []


def test_the_option_prepares_an_experiment(tmp_path):
    root = mp_reid(tmp_path / "data")
    chosen = composed("dataset=mp_reid", f"prepare.root={root}", f"prepare.experiment={AIR}").prepare
    assert (chosen.reader, chosen.card, chosen.experiment) == ("mp_reid", "mp_reid", AIR)
    config = Prepare(root=str(root), card="mp_reid", reader="mp_reid", experiment=chosen.experiment, height=24,
                     width=12, validation_share=0.34)
    metrics = prepare(config, tmp_path / "out", 1)
    manifest = Manifest.read(tmp_path / "out/manifest.parquet")
    assert (metrics["train_images"], metrics["val_images"], metrics["query_images"], metrics["gallery_images"]) == (
        16, 8, 6, 6)
    assert metrics["quarantined"] == metrics["queries_without_match"] == 0
    assert set(manifest.pid[manifest.rows("query")]) == {7, 8, 9} and set(manifest.camid) == {13, 14}


@pytest.mark.parametrize(("damage", "words"), [
    (lambda root: (root / f"split/{GROUND}/val_id.txt").unlink(), "val_id.txt: this list is missing"),
    (lambda root: (root / f"split/{GROUND}/test_id.txt").write_text("7;8"), "got '7;8'; allowed is one line of whole"),
    (lambda root: (root / f"split/{GROUND}/test_id.txt").write_text(""), "got ''; allowed is one line of whole"),
    (lambda root: (root / f"split/{GROUND}/test_id.txt").write_text("77, 78\n"),
     "has no image of a listed identity from cameras 7, 8, 9, 10, 11, 12 (split query)")])
def test_a_damaged_copy_is_one_line(tmp_path, damage, words):
    damage(mp_reid(tmp_path))
    with pytest.raises(ReanchorError) as caught:
        read(tmp_path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["exp_rgb", "cctv_ir_cctv_rgb", "exp_uav_ir_uav_ir"])
def test_an_experiment_that_is_none_is_refused(tmp_path, name):
    with pytest.raises(ReanchorError, match=rf"^prepare\.experiment: got '{name}'; allowed: exp_cctv_rgb_cctv_ir, "):
        read(mp_reid(tmp_path), experiment=name)


def test_the_doctor_knows_experiments(tmp_path, capsys):
    root = mp_reid(tmp_path / "d")
    assert main(["doctor", "mp_reid", str(root), "--experiment", AIR]) == 0
    said = capsys.readouterr().out
    assert "train 24 images of 6 identities; query 6 images of 3 identities; gallery 6 images of 3 identities" in said
    assert f'make run SET="dataset=mp_reid prepare.root={root} prepare.experiment={AIR}"' in said
    assert main(["doctor", "mp_reid", str(root), "--experiment", "exp_rgb"]) == 1
    assert "found: prepare.experiment: got 'exp_rgb'\n   mend: allowed: exp_cctv_rgb" in capsys.readouterr().out
    (root / f"split/{GROUND}/train_id.txt").unlink()
    assert [finding.what for finding in diagnose(DATASETS["mp_reid"], root).findings] == [
        f"{root} has no split/{GROUND}/train_id.txt; without the lists nobody knows which image is in which split"]
    (root / "14/0001").rename(tmp_path / "away")
    for folder in sorted((root / "14").rglob("*"), reverse=True):
        folder.rmdir() if folder.is_dir() else folder.unlink()
    (root / "14").rmdir()
    assert diagnose(DATASETS["mp_reid"], root).findings[0].what.endswith("12, 13 but no 14")


def test_what_is_beside_the_images_is_named(tmp_path):
    root = fill(mp_reid(tmp_path), ["01/0001/more/0001.jpg"])
    (root / "01/0001/0001.txt").write_text("")
    assert [(one.path, one.holds) for one in read(root).unread] == [
        ("01/0001/more", "1 .jpg"), ("01/0001/*.txt", "1 files")]
