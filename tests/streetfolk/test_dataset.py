"""Streetfolk on disk."""

import dataclasses
import hashlib
import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reanchor.config.sections.data import Render
from reanchor.errors import ReanchorError
from reanchor.streetfolk.canvas import PARTS
from reanchor.streetfolk.dataset import render_dataset

pytestmark = pytest.mark.slow

SMALL = Render(seed=3, train_identities=18, test_identities=6, train_images=4, test_images=6,
               distractors=5, junk=8, supersample=1)
NAME = re.compile(r"(-1|\d{4,})_c([1-6])s1_(\d{6})_(\d\d)\.jpg")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("street") / "streetfolk"
    return root, render_dataset(SMALL, root, processes=1)


def listing(root, folder):
    """(pid, camid) per file, sorted by name."""
    matches = [NAME.fullmatch(path.name) for path in sorted((root / folder).iterdir())]
    assert all(matches)
    return [(int(match[1]), int(match[2])) for match in matches]


def test_counts_and_pids(made):
    root, metrics = made
    train, query = listing(root, "bounding_box_train"), listing(root, "query")
    gallery = listing(root, "bounding_box_test")
    assert sorted({pid for pid, _ in train}) == list(range(1, 19)) and len(train) == 18 * 4
    assert sorted({pid for pid, _ in query}) == list(range(19, 25))
    assert [pid for pid, _ in gallery].count(0) == 5 and [pid for pid, _ in gallery].count(-1) == 8
    assert len(query) + len(gallery) == 6 * 6 + 5 + 8
    assert {name: metrics[name] for name in ("identities", "train", "distractor", "junk", "images")} == {
        "identities": 24, "train": 72, "distractor": 5, "junk": 8, "images": 72 + 36 + 13}
    assert metrics["query"] == len(query) and metrics["gallery"] == len(gallery) - 13
    assert metrics["images_per_second"] > 0


def test_one_query_per_camera_and_a_match_in_another(made):
    root, _ = made
    query, gallery = listing(root, "query"), listing(root, "bounding_box_test")
    assert len(set(query)) == len(query)
    cameras = defaultdict(set)
    for pid, camid in gallery:
        cameras[pid].add(camid)
    for pid, camid in query:
        assert cameras[pid] - {camid}
        assert camid in cameras[pid]  # every camera also has a gallery image
    train = defaultdict(set)
    for pid, camid in listing(root, "bounding_box_train"):
        train[pid].add(camid)
    assert min(map(len, train.values())) >= 2


def test_every_image_has_its_mask_and_every_person_captions(made):
    root, _ = made
    images = sorted(path.relative_to(root).as_posix() for path in root.glob("*/*.jpg"))
    masks = sorted(path.relative_to(root / "masks").with_suffix(".jpg").as_posix()
                   for path in root.glob("masks/*/*.png"))
    assert images == masks
    empty = []
    for name in images:
        beside = (root / "masks" / name).with_suffix(".png")
        with Image.open(root / name) as image, Image.open(beside) as mask:
            assert image.size == mask.size == (48, 96) and image.mode == "RGB" and mask.mode == "L"
            labels = np.asarray(mask)
        assert labels.max() < len(PARTS)
        empty += [name] if not labels.any() else []
    assert empty and all("/-1_" in name for name in empty)  # only junk boxes hold nobody
    records = json.loads((root / "captions.json").read_text())
    assert {record["file_path"] for record in records} == {name for name in images if "/-1_" not in name}
    for record in records:
        assert set(record) == {"split", "captions", "file_path", "id"} and len(record["captions"]) == 2
        trained = record["file_path"].startswith("bounding_box_train")
        assert record["split"] == ("train" if trained else "test")
        assert record["id"] == int(Path(record["file_path"]).name.split("_")[0])


def test_bytes_do_not_depend_on_processes(made, tmp_path):
    root, metrics = made
    again = render_dataset(SMALL, tmp_path / "again", processes=2)
    assert again["sha256"] == metrics["sha256"] == digest_of(root) == digest_of(tmp_path / "again")


def digest_of(root):
    """sha256 over path and content, folder by folder."""
    total = hashlib.sha256()
    files = [path for path in root.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: (path.parent.relative_to(root).parts, path.name)):
        total.update(path.relative_to(root).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def test_more_training_people_change_nobody_else(made, tmp_path):
    root, _ = made
    larger = dataclasses.replace(SMALL, train_identities=19, junk=0, distractors=0)
    render_dataset(larger, tmp_path / "more", processes=1)
    for path in (root / "bounding_box_train").iterdir():
        assert path.read_bytes() == (tmp_path / "more/bounding_box_train" / path.name).read_bytes()
    for path in (root / "query").iterdir():
        moved = f"{int(path.name[:4]) + 1:04d}{path.name[4:]}"
        assert path.read_bytes() == (tmp_path / "more/query" / moved).read_bytes()


@pytest.mark.parametrize("setting", ["train_images", "test_images"])
def test_settings_no_dataset_can_be_made_of(setting, tmp_path):
    config = Render()
    setattr(config, setting, 1)
    with pytest.raises(ReanchorError, match=f"render.{setting}: 1; at least . are needed.*raise it"):
        render_dataset(config, tmp_path / "out", 1)
    assert not (tmp_path / "out").exists()


def test_switched_off_leaves_an_empty_folder(tmp_path):
    metrics = render_dataset(Render(enabled=False), tmp_path / "out", 1)
    assert (tmp_path / "out").is_dir() and not list((tmp_path / "out").iterdir())
    assert metrics["images"] == 0 and metrics["identities"] == 0


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(shard):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reanchor.streetfolk.dataset._render_shard", fail)
    with pytest.raises(ReanchorError, match="no space left on the disk"):
        render_dataset(SMALL, tmp_path / "out", 1)
    assert not list(tmp_path.iterdir())
