"""Random batches from the image store against decoding and resizing each file, in one process.

    python -m benchmarks.store [--repeats 5] [--images 2000] [--batch 64]

Both sides return the same uint8 array [B, H, W, 3]. The files are JPEGs of Market-1501's size,
128 x 64, made here; files and store are in the page cache. Sizes stored are this project's
default, the files' own and the field's usual 256 x 128.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from reanchor.formats.images import ImageStore, write_store

SIZES = ((96, 48), (128, 64), (256, 128))  # stored height x width


def make_files(folder: Path, count: int, rng: np.random.Generator) -> list[Path]:
    """Smooth random pictures, about as large in bytes as Market-1501's photographs."""
    paths = []
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 8, 3), dtype=np.uint8))
        path = folder / f"{index:06d}.jpg"
        coarse.resize((64, 128), Image.Resampling.BICUBIC).save(path, quality=95)
        paths.append(path)
    return paths


def decode(path: Path, height: int, width: int) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))


def seconds_per_image(read: Callable[[np.ndarray], np.ndarray], batches: list[np.ndarray],
                      repeats: int) -> float:
    """Median over `repeats` passes over the batches."""
    passes = []
    for _ in range(repeats):
        start = time.perf_counter()
        for batch in batches:
            read(batch)
        passes.append(time.perf_counter() - start)
    return float(np.median(passes)) / sum(map(len, batches))


def compare(paths: list[Path], store_path: Path, height: int, width: int, batch: int, repeats: int,
            rng: np.random.Generator) -> tuple[float, float]:
    """(per-file, store) seconds per image."""
    write_store(store_path, (decode(path, height, width) for path in paths), count=len(paths))
    store = ImageStore.open(store_path)
    batches = np.array_split(rng.permutation(len(paths)), max(len(paths) // batch, 1))

    def from_files(rows: np.ndarray) -> np.ndarray:
        return np.stack([decode(paths[row], height, width) for row in rows])

    def from_store(rows: np.ndarray) -> np.ndarray:
        return store.images[rows]

    assert np.array_equal(from_files(batches[0]), from_store(batches[0]))
    return seconds_per_image(from_files, batches, repeats), seconds_per_image(from_store, batches, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = make_files(Path(folder), arguments.images, rng)
        print(f"{arguments.images} JPEGs of 128 x 64, random batches of {arguments.batch}, "
              f"median of {arguments.repeats} passes, one process")
        print(f"{'stored as':>10}  {'per file, us':>12}  {'store, us':>9}  {'ratio':>6}")
        for height, width in SIZES:
            files, store = compare(paths, Path(folder) / "images.arrow", height, width, arguments.batch,
                                   arguments.repeats, rng)
            size = f"{height} x {width}"
            print(f"{size:>10}  {1e6 * files:12.1f}  {1e6 * store:9.1f}  {files / store:5.1f}x")


if __name__ == "__main__":
    main()
