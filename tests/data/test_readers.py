"""Layouts: what is read from names and folders, and what a wrong layout is told."""

import pytest
from data_factory import captions, market, picture

from reanchor.config.sections.data import Prepare
from reanchor.config.setting import settings_of
from reanchor.data.listing import Entry, split_by_identity
from reanchor.data.readers.catalogue import READERS, read_dataset
from reanchor.errors import ReanchorError


def test_every_reader_can_be_configured():
    assert set(READERS) == set(settings_of(Prepare)["reader"].choices)


def test_market_names_give_pid_camera_and_split(tmp_path):
    listing = read_dataset("market1501", market(tmp_path / "street", train=2, test=1), 0)
    assert listing.name == "street"
    assert listing.entries[0] == Entry("bounding_box_test/0000_c3s1_000013_00.jpg", 0, 3, "gallery")
    found = {(entry.pid, entry.camid, entry.split) for entry in listing.entries}
    assert found == {(1, 1, "train"), (1, 2, "train"), (2, 1, "train"), (2, 2, "train"), (3, 1, "query"),
                     (3, 2, "query"), (3, 1, "gallery"), (3, 2, "gallery"), (0, 3, "gallery")}
    assert listing.junk == ["bounding_box_test/-1_c3s1_000012_00.jpg"]
    assert len(listing.entries) == 8 + 2 + 2 + 2 and not listing.rejections


def test_market_sets_other_names_and_misplaced_distractors_aside(tmp_path):
    root = market(tmp_path)
    picture(root / "query/person.jpg", 90)
    picture(root / "query/0000_c1s1_000001_00.jpg", 91)
    picture(root / "query/0007_c1s1_000000_00.png", 92)  # 0007_c1s1_000000_00.jpg is there
    (root / "query/Thumbs.db").write_bytes(b"")
    listing = read_dataset("market1501", root, 0)
    assert {rejection.path: rejection.reason for rejection in listing.rejections} == {
        "query/person.jpg": "bad_name", "query/0000_c1s1_000001_00.jpg": "bad_pid",
        "query/0007_c1s1_000000_00.png": "bad_name"}


def _nested(root):
    market(root / "Market-1501-v15.09.15")


def _inside(root):
    market(root.parent)
    root.mkdir(exist_ok=True)


def _without_query(root):
    market(root)
    for path in (root / "query").iterdir():
        path.unlink()
    (root / "query").rmdir()


def _empty_query(root):
    _without_query(root)
    (root / "query").mkdir()


def _other_names(root):
    _empty_query(root)
    picture(root / "query/anna.jpg", 1)


@pytest.mark.parametrize(("make", "words"), [
    (lambda root: None, ["does not exist", "set prepare.root"]),
    (lambda root: root.mkdir(), ["has no folder bounding_box_train and no query", "prepare.reader=folder"]),
    (_nested, ["found bounding_box_train under", "Market-1501-v15.09.15: set prepare.root to it"]),
    (_without_query, ["has no folder query;"]),
    (_empty_query, ["query: no images in it (split query)"]),
    (_other_names, ["none of 1 image names", "query/anna.jpg", "prepare.reader=folder or csv"]),
])
def test_a_wrong_market_layout_is_one_line_with_a_remedy(tmp_path, make, words):
    make(tmp_path / "data")
    with pytest.raises(ReanchorError) as caught:
        read_dataset("market1501", tmp_path / "data", 0)
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in [*words, str(tmp_path)]), message


def test_a_root_one_level_too_deep_is_corrected(tmp_path):
    market(tmp_path)
    with pytest.raises(ReanchorError, match=f"under {tmp_path}: set prepare.root"):
        read_dataset("market1501", tmp_path / "query", 0)


def test_folder_with_splits_numbers_names_alike(tmp_path):
    for split in ("train", "query", "gallery"):
        for name in ("carl", "dora") if split == "train" else ("anna", "bob"):
            picture(tmp_path / split / name / "x_c2_1.jpg", 0)
            picture(tmp_path / split / name / "c12s1.png", 0)
    entries = read_dataset("folder", tmp_path, 0).entries
    assert {entry.pid for entry in entries if entry.split != "train"} == {1, 2}
    assert {entry.pid for entry in entries if entry.split == "train"} == {3, 4}
    assert {(entry.path, entry.camid) for entry in entries if entry.split == "query" and entry.pid == 1} == {
        ("query/anna/x_c2_1.jpg", 2), ("query/anna/c12s1.png", 12)}


def test_folder_without_splits_divides_identities_by_seed(tmp_path):
    for pid in range(1, 9):
        for camera in (1, 2):
            for image in range(2):
                picture(tmp_path / str(pid) / f"{image}_c{camera}.jpg", pid)
    picture(tmp_path / "0" / "5_c1.jpg", 0)
    picture(tmp_path / "masks" / "1" / "0_c1.png", 0)

    def train(seed):
        listing = read_dataset("folder", tmp_path, seed)
        return {entry.pid for entry in listing.entries if entry.split == "train"}

    entries = read_dataset("folder", tmp_path, 3).entries
    assert len(train(3)) == 4 and train(3) == train(3) and len({frozenset(train(s)) for s in range(9)}) > 3
    queries = [entry for entry in entries if entry.split == "query"]
    assert {entry.path.split("/")[1] for entry in queries} == {"0_c1.jpg", "0_c2.jpg"}
    assert len(queries) == 8 and [entry.split for entry in entries if entry.pid == 0] == ["gallery"]
    assert len(entries) == 33


def test_a_query_always_leaves_a_gallery_image_to_find():
    def entry(pid, camid, image):
        return Entry(f"{pid}/{image}.jpg", pid, camid, "")

    entries = [entry(pid, *spec) for pid in range(1, 9) for spec in ((1, 0), (2, 1))]  # one image per camera
    divided = split_by_identity(entries, 0)
    by_split = {split: [e for e in divided if e.split == split] for split in ("query", "gallery")}
    assert [e.camid for e in by_split["query"]] == [1] * 4
    assert [e.camid for e in by_split["gallery"]] == [2] * 4
    single = split_by_identity([entry(pid, 1, 0) for pid in range(1, 9)], 0)  # nothing could be found
    assert not [e for e in single if e.split == "query"]


@pytest.mark.parametrize("reader", ["folder", "csv"])
def test_no_identity_is_in_both_halves_and_none_is_lost(tmp_path, reader):
    rows = ["path,pid,camid"]
    for pid in range(1, 8):
        for name in ("a_c1.jpg", "b_c1.jpg", "c_c2.jpg"):
            picture(tmp_path / str(pid) / name, pid)
            rows.append(f"{pid}/{name},{pid},{name[3]}")
    (tmp_path / "dataset.csv").write_text("\n".join(rows))
    for seed in range(12):
        entries = read_dataset(reader, tmp_path, seed).entries
        by_split = {split: {e.pid for e in entries if e.split == split} for split in ("train", "query", "gallery")}
        assert by_split["query"] == by_split["gallery"] == set(range(1, 8)) - by_split["train"]
        assert len(by_split["train"]) == 4 and len(entries) == 21


def test_folder_names_without_camera_among_others_are_set_aside(tmp_path):
    for pid in range(1, 5):
        picture(tmp_path / str(pid) / "a_c1.jpg", 0)
        picture(tmp_path / str(pid) / "a_c2.jpg", 0)
    picture(tmp_path / "1" / "b.jpg", 0)
    assert [rejection.path for rejection in read_dataset("folder", tmp_path, 0).rejections] == ["1/b.jpg"]


def test_wrong_folder_layouts(tmp_path):
    with pytest.raises(ReanchorError, match=r"set prepare\.reader=market1501"):
        read_dataset("folder", market(tmp_path / "market"), 0)
    picture(tmp_path / "half/train/1/a.jpg", 0)
    with pytest.raises(ReanchorError, match="has train but no query and no gallery"):
        read_dataset("folder", tmp_path / "half", 0)
    picture(tmp_path / "few/1/a.jpg", 0)
    with pytest.raises(ReanchorError, match="1 identities found, at least 4"):
        read_dataset("folder", tmp_path / "few", 0)


def test_captions_are_attached_and_lost_ones_rejected(tmp_path):
    root = market(tmp_path)
    captions(root, {"bounding_box_train/0001_c1s1_000000_00.jpg": ["one", "two"],
                    "bounding_box_test/-1_c3s1_000036_00.jpg": ["junk is there"],
                    "bounding_box_train/gone.jpg": ["lost"], "../secret.jpg": ["out"]})
    listing = read_dataset("market1501", root, 0)
    texts = {entry.path: entry.captions for entry in listing.entries if entry.captions}
    assert texts == {"bounding_box_train/0001_c1s1_000000_00.jpg": ("one", "two")}
    assert {rejection.path: rejection.reason for rejection in listing.rejections} == {
        "bounding_box_train/gone.jpg": "caption_without_image", "../secret.jpg": "path_escape"}


@pytest.mark.parametrize(("text", "words"), [("{", "not valid JSON"), ("{}", "holds a dict"),
                                             ('[{"file_path": "a.jpg", "captions": "x"}]', "record 0 is")])
def test_captions_of_another_form(tmp_path, text, words):
    (market(tmp_path) / "captions.json").write_text(text)
    with pytest.raises(ReanchorError, match=words):
        read_dataset("market1501", tmp_path, 0)


def _made(root, names):
    for seed, name in enumerate(names):
        picture(root / name, seed)
    return root


@pytest.mark.parametrize(("names", "words"), [
    ([f"people/{pid}/a.jpg" for pid in range(1, 6)],
     "holds no folders of single identities, but {root}/people does (5, such as 1); set prepare.root to {root}/people"),
    ([f"set/{split}/{pid}/a.jpg" for split in ("train", "query", "gallery") for pid in (1, 2)],
     "holds no identity folders, but {root}/set holds train, query, gallery; set prepare.root to {root}/set"),
    ([f"{pid}/cam{camera}/a.jpg" for pid in range(1, 6) for camera in (1, 2)],
     "has images one folder deeper than PID/*.jpg (such as 1/cam1/a.jpg); move them up into PID with the camera as _cN "
     "in their names, or set prepare.root to the folder that holds the folders of identities"),
    (["1/cam1/a.jpg", "1/cam2/a.jpg"], "has images one folder deeper than PID/*.jpg (such as 1/cam1/a.jpg); move them"),
    (["a.jpg", "b.png"],
     "holds 2 images itself (such as a.jpg), expected a folder per identity; make one for each and move the images "
     "there, or list them in dataset.csv with prepare.reader=csv"),
    ([], "holds no identity folders and no images (it holds nothing); set prepare.root to the folder that holds one "
     "folder per identity"),
    (["masks/1/a.png"], "holds no identity folders and no images (it holds 1 folders); set prepare.root"),
    (["1/a.jpg", "2/a.jpg"], "2 identities found, at least 4 are needed")])
def test_where_the_images_of_a_folder_lie_instead(tmp_path, names, words):
    (tmp_path / "data").mkdir()
    root = _made(tmp_path / "data", names)
    with pytest.raises(ReanchorError) as caught:
        read_dataset("folder", root, 0)
    message = str(caught.value)
    assert words.format(root=root) in message and message.startswith("prepare.root: ") and "\n" not in message


def test_identity_folders_without_readable_images(tmp_path):
    for pid in range(1, 6):
        (tmp_path / str(pid)).mkdir()
        for name in ("a.webp", "b.webp", ".hidden", "list"):
            (tmp_path / str(pid) / name).write_bytes(b"")
    with pytest.raises(ReanchorError) as caught:
        read_dataset("folder", tmp_path, 0)
    assert str(caught.value) == (
        f"prepare.root: '{tmp_path}' has 5 identity folders without an image that can be read (such as 1, which holds "
        "2 .webp, 1 files without suffix); allowed are .jpg, .jpeg, .png, .tif, .tiff, .bmp; convert the files or "
        "correct prepare.root")


def test_a_split_without_readable_images_says_what_is_there(tmp_path):
    _made(tmp_path, [f"{split}/{pid}/a.jpg" for split in ("train", "gallery") for pid in (1, 2)] + ["query/1/c1/a.jpg"])
    with pytest.raises(ReanchorError) as caught:
        read_dataset("folder", tmp_path, 0)
    assert str(caught.value) == (
        f"prepare.root: '{tmp_path}' gives no images for query (query/1 holds 1 folders); expected image files "
        "directly in train/PID, query/PID and gallery/PID folders")


def test_two_folders_of_one_pid_are_refused(tmp_path):
    root = _made(tmp_path, [f"{pid}/a.jpg" for pid in ("01", "1", "2", "3", "4", "0", "00", "-1", "-01")])
    with pytest.raises(ReanchorError) as caught:
        read_dataset("folder", root, 0)
    assert str(caught.value) == (
        f"prepare.root: '{root}' has two folders of pid 1, '01' and '1'; allowed is one folder per identity; merge "
        "them, or rename one if they are two people")
    (root / "1/a.jpg").unlink()
    _made(root, ["01/b.jpg", "2/b.jpg", "3/b.jpg", "4/b.jpg"])
    assert {entry.pid for entry in read_dataset("folder", root, 0).entries} == {0, 1, 2, 3, 4}
    _made(root, ["1/a.jpg", "x/a.jpg"])  # names, not numbers: each is a pid of its own
    assert {entry.pid for entry in read_dataset("folder", root, 0).entries} == set(range(1, 11))


def test_splits_may_write_a_pid_each_in_its_way(tmp_path):
    _made(tmp_path, ["train/3/a.jpg", "query/0001/a.jpg", "gallery/1/a.jpg"])
    assert {entry.pid for entry in read_dataset("folder", tmp_path, 0).entries} == {1, 3}
