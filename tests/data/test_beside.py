"""What lies among images without being one: it is nobody, moves no number, and is named."""

import errno
import json
import re
from pathlib import Path

import pytest
from data_factory import market, picture
from layout_factory import LAYOUTS, cuhk03_np, fill, p_dukemtmc, pairs

from reanchor.config.sections.data import Prepare
from reanchor.data.beside import unread_notes
from reanchor.data.catalogue import DATASETS, READERS, read_dataset
from reanchor.data.listing import Unread
from reanchor.data.prepare import prepare
from reanchor.doctor.diagnose import diagnose
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.occlusion.library import cutout_files

PEOPLE = ("-1", "0", "1", "2", "3", "4", "5")
SYSTEMS = {"__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information", ".git",
           ".ipynb_checkpoints"}
NAMES = ("a_c1.jpg", "b_c1.jpg", "a_c2.jpg", "b_c2.jpg")


def people(root, split=""):
    return fill(root, (f"{split}{pid}/{name}" for pid in PEOPLE for name in NAMES))


def debris(folder):
    """What zips of a Mac, network drives, file systems and Windows leave in a folder."""
    for name in ("__MACOSX/1/._a_c1.jpg", "__MACOSX/._1", "$RECYCLE.BIN/desktop.ini", ".git/config", "Thumbs.db",
                 "System Volume Information/IndexerVolumeGuid", "._.DS_Store", ".DS_Store", "desktop.ini"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\x00\x05\x16\x07")
    (folder / "lost+found").mkdir()
    for name in ("@eaDir/0001_c1.jpg/SYNOPHOTO_THUMB_M.jpg", "@eaDir/0009_c9.jpg",
                 ".ipynb_checkpoints/a_c1-checkpoint.jpg"):
        picture(folder / name, 1)
    return folder


def seen(listing):
    return sorted((entry.path, entry.pid, entry.camid, entry.split) for entry in listing.entries), listing.junk


def test_folders_without_images_shift_no_pid(tmp_path):
    before = seen(read_dataset("folder", people(tmp_path), 0))
    assert {pid for _, pid, _, _ in before[0]} == {0, 1, 2, 3, 4, 5} and len(before[1]) == len(NAMES)  # junk is nobody
    debris(tmp_path)
    (tmp_path / "masks").mkdir()
    (tmp_path / "annotations/deeper").mkdir(parents=True)
    listing = read_dataset("folder", tmp_path, 0)
    assert seen(listing) == before and not listing.rejections
    assert listing.unread == [
        Unread("$RECYCLE.BIN", "1 .ini"), Unread(".git", "1 files without suffix"),
        Unread(".ipynb_checkpoints", "1 .jpg"),
        Unread("@eaDir", "1 .jpg, 1 folders"), Unread("System Volume Information", "1 files without suffix"),
        Unread("__MACOSX", "1 folders"), Unread("annotations", "1 folders"), Unread("lost+found", "nothing")]


def test_names_are_numbered_alike_whatever_lies_in_the_splits(tmp_path):
    for split in ("train", "query", "gallery"):
        fill(tmp_path / split, (f"{name}/{image}" for name in ("mia", "zoe") for image in NAMES))
    before = seen(read_dataset("folder", tmp_path, 0))
    debris(tmp_path / "query")
    (tmp_path / "train/annotations").mkdir()
    picture(tmp_path / "gallery/masks/mia.png", 1)
    picture(tmp_path / "val/mia/a_c1.jpg", 1)
    listing = read_dataset("folder", tmp_path, 0)
    assert seen(listing) == before and {pid for _, pid, _, _ in before[0]} == {1, 2}
    assert {one.path: one.holds for one in listing.unread if not one.path.startswith("query/")} == {
        "train/annotations": "nothing", "gallery/masks": "1 .png", "val": "1 folders"}


def test_files_among_the_images_are_counted_by_kind(tmp_path):
    root = people(tmp_path)
    for name in ("._a_c1.jpg", "._b_c1.jpg", "Thumbs.db", "x.webp", "y.WEBP", "list"):
        (root / "1" / name).write_bytes(b"")
    picture(root / "1/cam2/a_c2.jpg", 1)
    picture(root / "loose.jpg", 1)
    (root / "README.txt").write_text("not among images")
    listing = read_dataset("folder", root, 0)
    assert listing.unread == [Unread("*.jpg", "1 files", 1), Unread("1/cam2", "1 .jpg"), Unread("1/*", "1 files", 1),
                              Unread("1/*.webp", "2 files", 2), Unread("1/._*", "2 files", 2),
                              Unread("1/Thumbs.db", "1 files", 1)]
    assert unread_notes(listing.unread) == [
        "1 folders are not read and are nobody: 1/cam2 (holds 1 .jpg)",
        "7 files are not read: 2 *.webp, 2 ._*, 1 *.jpg, 1 * and 1 more (first *.jpg); read are .jpg, .jpeg, .png, "
        ".tif, .tiff, .bmp where the layout has images"]
    assert diagnose(DATASETS["folder"], root).notes == ["terms: yours", *unread_notes(listing.unread)]


def test_a_folder_that_nobody_may_see_is_named_all_the_same(tmp_path, monkeypatch):
    (people(tmp_path) / "lost+found").mkdir()
    see = Path.iterdir

    def iterdir(path, closed="lost+found"):
        if path.name == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return see(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert read_dataset("folder", tmp_path, 0).unread == [
        Unread("lost+found", "what nobody may see: Permission denied")]
    monkeypatch.setattr(Path, "iterdir", lambda path: iterdir(path, "3"))
    refusal = f"prepare.root: '{tmp_path}/3' cannot be read (Permission denied); allow it to this user, or move it out"
    with pytest.raises(ReanchorError, match=re.escape(refusal)):
        read_dataset("folder", tmp_path, 0)


def test_a_name_among_numbers_is_said_to_make_people_of_junk(tmp_path):
    assert read_dataset("folder", people(tmp_path), 0).notes == []
    picture(tmp_path / "unsorted/a_c1.jpg", 1)
    listing = read_dataset("folder", tmp_path, 0)
    assert listing.junk == [] and listing.notes == [
        "folders -1, 0 are people here, not junk or distractors: pids are numbers only where all names are, and "
        "'unsorted' is none; rename it, or move it out of prepare.root"]


def test_prepare_lists_what_it_did_not_read(tmp_path):
    root = debris(people(tmp_path / "data"))
    (root / "9").mkdir()
    (root / "9/a.webp").write_bytes(b"")
    config = Prepare(root=str(root), reader="folder", card="folder", height=24, width=12, validation_share=0.0)
    prepare(config, tmp_path / "out", 1)
    statistics = json.loads((tmp_path / "out/statistics.json").read_text())
    assert statistics["unread"]["9"] == "1 .webp" and statistics["unread"]["lost+found"] == "nothing"
    assert statistics["unread"].keys() > SYSTEMS and statistics["quarantined"] == {}
    assert statistics["notes"][0].startswith("8 folders are not read and are nobody: $RECYCLE.BIN (holds 1 .ini), ")
    assert set(Manifest.read(tmp_path / "out/manifest.parquet").pid) == {0, 1, 2, 3, 4, 5}
    assert [finding.what for finding in diagnose(DATASETS["folder"], root).findings] == [
        "1 identity folders hold no image that can be read (such as 9, which holds 1 .webp); these people would be "
        "left out"]


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_no_layout_takes_debris_for_images(tmp_path, name):
    root = LAYOUTS[name](tmp_path / "data")
    before = seen(READERS[DATASETS[name].reader](root, 0))
    for folder in sorted(path for path in root.rglob("*") if path.is_dir()):
        debris(folder)
    debris(root)
    listing = READERS[DATASETS[name].reader](root, 0)
    assert seen(listing) == before and not listing.rejections


@pytest.mark.parametrize("make", [pairs, p_dukemtmc, market, cuhk03_np])
def test_published_layouts_name_debris(tmp_path, make):
    root = make(tmp_path / "data")
    root = root / "detected" if make is cuhk03_np else root
    name = {pairs: "occluded_reid", p_dukemtmc: "p_dukemtmc", market: "market1501", cuhk03_np: "cuhk03_np"}[make]
    folder = next(path.parent for path in sorted(root.rglob("*")) if path.is_file())
    (folder / "._0001_c1.jpg").write_bytes(b"")
    (folder / "@eaDir").mkdir()
    place = folder.relative_to(root).as_posix()
    unread = READERS[name](root, 0).unread
    assert unread == [Unread(f"{place}/@eaDir", "nothing"), Unread(f"{place}/._*", "1 files", 1)]
    assert unread_notes(unread) == [note for note in diagnose(DATASETS[name], root).notes if "not read" in note]


def test_a_root_is_not_looked_for_in_what_a_mac_leaves(tmp_path):
    market(tmp_path / "data/market")
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        (tmp_path / "__MACOSX/market" / name).mkdir(parents=True)
    assert [finding.mend for finding in diagnose(DATASETS["market1501"], tmp_path).findings] == [
        f"use prepare.root={tmp_path}/data/market"]


def test_an_occluder_library_has_no_class_of_debris(tmp_path):
    picture(tmp_path / "car1.png", 1)
    picture(tmp_path / "umbrella/1.png", 1)
    debris(tmp_path)
    debris(tmp_path / "umbrella")
    assert cutout_files(tmp_path) == [("car1.png", "car"), ("umbrella/1.png", "umbrella")]
