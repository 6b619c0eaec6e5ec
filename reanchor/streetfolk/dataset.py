"""Streetfolk on disk, in Market-1501's layout with captions and masks beside the pictures."""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from PIL import Image
from tqdm import tqdm

from reanchor.config.sections.data import Render
from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory
from reanchor.streetfolk.camera import make_camera
from reanchor.streetfolk.identity import generator
from reanchor.streetfolk.people import CHUNK, Shot, photograph, run_ordered, shots
from reanchor.streetfolk.photo import Frame, take_empty

CAMERAS = 6
DISTRACTOR, JUNK = 0, -1  # Market-1501's pids for people nobody looks for, and for bad boxes
FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
_EMPTY_JUNK = 4  # every fourth junk box holds nobody


@dataclass(frozen=True)
class Shard:
    """A run of people, rendered and written by one process.

    `kind` is train, test, distractor or junk: people of different kinds share no namespace, so none of
    them are look-alikes by construction, and the size of one kind never changes who is in another.
    """

    kind: str
    indices: range
    first_pid: int
    images: int
    seed: int
    frame: Frame
    root: Path


def render_dataset(config: Render, out: Path, processes: int) -> dict:
    """Render the whole dataset into `out`, which appears only when complete.

    Layout: `bounding_box_train/`, `query/`, `bounding_box_test/` with `PID_cCAMs1_FRAME_BOX.jpg`;
    `masks/<folder>/<stem>.png` (labels: indices of `PARTS`); `captions.json` as in CUHK-PEDES.
    Training pids run from 1, test pids follow. A test identity's first image of each camera is a query.
    Every byte depends on `config` alone, not on `processes`; memory does not grow with the identities.
    With `enabled: false` the folder is left empty.

    Returns:
        Counts, `images_per_second`, and `sha256` over all files, sorted by path.

    Raises:
        ReanchorError: a setting that no dataset can be made of, or a full disk.
    """
    _check(config)
    started = time.perf_counter()
    counts: Counter[str] = Counter()
    with atomic_directory(out) as root:
        if config.enabled:
            _make_folders(root)
            with open(root / "captions.json", "w") as captions:
                _write_records(run_ordered(_render_shard, _shards(config, root), processes),
                               captions, counts, _total(config))
        digest = tree_digest(root)
    images = sum(counts.values())
    return {"identities": (config.train_identities + config.test_identities) * config.enabled,
            **{name: counts[name] for name in ("train", "query", "gallery", "distractor", "junk")},
            "images": images, "images_per_second": round(images / (time.perf_counter() - started), 1),
            "sha256": digest}


def tree_digest(root: Path) -> str:
    """sha256 over every file's relative path and content, folder by folder, in sorted order."""
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _check(config: Render) -> None:
    if config.test_images < 4:
        raise ReanchorError(
            f"render.test_images: {config.test_images}; at least 4 are needed "
            "(a query and a gallery image in each of two cameras); raise it")
    if config.train_images < 2:
        raise ReanchorError(f"render.train_images: {config.train_images}; at least 2 are needed "
                            "(one in each of two cameras); raise it")


def _total(config: Render) -> int:
    return (config.train_identities * config.train_images + config.test_identities * config.test_images
            + config.distractors + config.junk)


def _make_folders(root: Path) -> None:
    for folder in FOLDERS.values():
        (root / folder).mkdir()
        (root / "masks" / folder).mkdir(parents=True)


def _shards(config: Render, root: Path) -> Iterator[Shard]:
    frame = Frame(config.height, config.width, config.supersample)
    for kind, people, first_pid, images in (
            ("train", config.train_identities, 1, config.train_images),
            ("test", config.test_identities, 1 + config.train_identities, config.test_images),
            ("distractor", config.distractors, DISTRACTOR, 1), ("junk", config.junk, JUNK, 1)):
        for start in range(0, people, CHUNK):
            yield Shard(kind, range(start, min(start + CHUNK, people)), first_pid, images,
                        config.seed, frame, root)


def _write_records(shards: Iterator[tuple[Counter, list[dict]]], captions: TextIO, counts: Counter,
                   total: int) -> None:
    """Stream the shards' caption records into one JSON list."""
    separator = "[\n"
    with tqdm(total=total, desc="render", unit="image", disable=None) as bar:
        for written, records in shards:
            for record in records:
                captions.write(separator + json.dumps(record))
                separator = ",\n"
            counts.update(written)
            bar.update(sum(written.values()))
    captions.write("\n]\n")


def _render_shard(shard: Shard) -> tuple[Counter, list[dict]]:
    counts: Counter[str] = Counter()
    records: list[dict] = []
    for index in shard.indices:
        for shot, split in _plan(shard, index):
            counts[shard.kind if shard.kind in ("distractor", "junk") else split] += 1
            record = _write_image(shard, shot, split)
            if shard.kind != "junk":
                records.append(record)
    return counts, records


def _plan(shard: Shard, index: int) -> list[tuple[Shot, str]]:
    """An identity's shots and the split each belongs to."""
    seed, namespace = shard.seed, _namespace(shard)
    if shard.kind == "train":
        return [(shot, "train") for shot in shots(seed, namespace, index, shard.images, CAMERAS)]
    if shard.kind != "test":
        return [(Shot(index, 0, int(generator(seed, namespace, 7, index).integers(CAMERAS))), "gallery")]
    plan, seen = [], set()
    for shot in shots(seed, namespace, index, shard.images, CAMERAS, per_camera=2):
        plan.append((shot, "gallery" if shot.camera in seen else "query"))
        seen.add(shot.camera)
    return plan


def _namespace(shard: Shard) -> str:
    return f"streetfolk-{shard.kind}"


def _write_image(shard: Shard, shot: Shot, split: str) -> dict:
    """Write picture and mask; return the caption record."""
    if shard.kind == "junk" and shot.index % _EMPTY_JUNK == _EMPTY_JUNK - 1:
        rng = generator(shard.seed, _namespace(shard), 6, shot.index, shot.image)
        photo, captions = take_empty(rng, shard.seed, make_camera(shard.seed, shot.camera), shard.frame), []
    else:
        photo, captions = photograph(shard.seed, _namespace(shard), shot, shard.frame, shard.kind == "junk")
    named = shard.kind in ("train", "test")
    pid = shard.first_pid + shot.index if named else shard.first_pid
    moment = 25 * shot.image + 1 if named else 25 * shot.index + 1
    folder = FOLDERS[split]
    stem = f"{pid:04d}" if pid >= 0 else str(pid)
    stem += f"_c{shot.camera + 1}s1_{moment:06d}_{1 if named else 0:02d}"
    Image.fromarray(photo.image).save(shard.root / folder / f"{stem}.jpg", quality=95, subsampling=0)
    Image.fromarray(np.ascontiguousarray(photo.mask)).save(shard.root / "masks" / folder / f"{stem}.png")
    return {"split": "train" if split == "train" else "test", "captions": captions,
            "file_path": f"{folder}/{stem}.jpg", "id": pid}
