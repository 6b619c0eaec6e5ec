"""Small datasets on disk, made afresh for each test."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


def picture(path: Path, seed: int, size: tuple[int, int] = (16, 32), **options) -> Path:
    """A random image file of `size` (width, height); equal seeds give equal files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def market(root: Path, train: int = 6, test: int = 3, images: int = 2, masks: bool = False) -> Path:
    """Market-1501's layout: `train` and `test` identities, two cameras with `images` images each,
    the first of a test identity's camera as query; one junk and two distractor images."""
    seed = 0
    for pid in range(1, train + test + 1):
        for camera in (1, 2):
            for image in range(images):
                split = "train" if pid <= train else "gallery" if image else "query"
                picture(root / FOLDERS[split] / f"{pid:04d}_c{camera}s1_{image:06d}_00.jpg", seed)
                seed += 1
    for pid in ("-1", "0000", "0000"):
        picture(root / FOLDERS["gallery"] / f"{pid}_c3s1_{seed:06d}_00.jpg", seed)
        seed += 1
    if masks:
        for path in sorted(root.glob("*/*.jpg")):
            target = root / "masks" / path.parent.name / f"{path.stem}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            labels = np.zeros((32, 16), np.uint8)
            labels[8:24, 4:12] = 5
            Image.fromarray(labels).save(target)
    return root


def captions(root: Path, texts: dict[str, list[str]]) -> None:
    records = [{"split": "train", "captions": value, "file_path": path, "id": 1}
               for path, value in texts.items()]
    (root / "captions.json").write_text(json.dumps(records))
