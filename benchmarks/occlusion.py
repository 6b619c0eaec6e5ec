"""Occluded copies from the image store against the plain way: open a PNG, paste with Pillow, save, one by one.

    python -m benchmarks.occlusion [--repeats 3] [--images 6000] [--processes 1 2]
    python -m benchmarks.occlusion --memory 20000 100000

Both sides make the same copies from the same draws, and the mask of each; the copies of a sample are
compared pixel by pixel. The plain way reads a PNG of the stored size and saves a JPEG and a mask's PNG; this
project reads images.arrow, writes images.arrow, hashes it and draws a contact sheet. Both find a folder of
cut-outs. For pasted people the plain way walks the stranger in, a pixel at a time. Starting processes counts.
--memory: the peak of anonymous memory (what cannot be dropped, as pages of mapped files can) of all processes
for so many images.
"""

import argparse
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from reanchor.config.sections.data import Occlude
from reanchor.formats.images import write_store
from reanchor.formats.manifest import Manifest
from reanchor.formats.occluded_set import OccludedSet
from reanchor.formats.occlusion import OBJECT, STRANGER, TARGET
from reanchor.occlusion.cutouts import write_library
from reanchor.occlusion.draws import generator, image_seed
from reanchor.occlusion.library import PLACEMENT, load_library
from reanchor.occlusion.people import silhouette
from reanchor.occlusion.suites import make_occluded

H, W = 96, 48
RATIO = 0.3
KINDS = ("ogor", "masking", "people")
POOL = 64  # different pictures, repeated


def pictures() -> np.ndarray:
    """Smooth random photographs with a figure, [POOL, H, W, 3] uint8."""
    rng, person = np.random.default_rng(0), silhouette(H, W)
    found = []
    for _ in range(POOL):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 6, 3), dtype=np.uint8))
        image = np.array(coarse.resize((W, H), Image.Resampling.BICUBIC))
        image[person] = rng.integers(0, 256, 3)
        found.append(image)
    return np.stack(found)


def write_prepared(folder: Path, count: int, split: str) -> Manifest:
    """A prepared folder of `count` images of one split, four per identity; for `query` as many in the gallery."""
    folder.mkdir(parents=True)
    splits = [split, "gallery"] if split == "query" else [split]
    names = [f"{one}/{row:06d}" for one in splits for row in range(count)]
    rows = np.arange(len(names))
    manifest = Manifest(names, [f"{name}.png" for name in names], rows % count // 4 + 1,
                        (rows % 4 + 1).astype(np.int32), np.zeros(len(names), np.int32),
                        np.repeat(splits, count), [[]] * len(names), np.full(len(names), W), np.full(len(names), H),
                        [""] * len(names))
    manifest.write(folder / "manifest.parquet")
    pool, person = pictures(), silhouette(H, W) * np.uint8(1)
    write_store(folder / "images.arrow", (pool[row % POOL] for row in rows), (person for _ in rows), count=len(rows))
    return manifest


def settings(kind: str, library: Path) -> Occlude:
    """One set of this kind and nothing else, with the cut-outs of a folder."""
    return Occlude(library=str(library), splits=["test"] if kind == "ogor" else [], gallery_share=0.0,
                   masking_ratios=[RATIO] if kind == "masking" else [],
                   people_ratios=[RATIO] if kind == "people" else [])


def write_pngs(folder: Path, manifest: Manifest) -> None:
    pool, person = pictures(), Image.fromarray(silhouette(H, W) * np.uint8(1))
    for row, name in enumerate(manifest.image_id):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pool[row % POOL]).save(path)
        person.save(path.with_name(f"{path.stem}_mask.png"))


class Plain:
    """One image after the other, files in and files out."""

    def __init__(self, root: Path, out: Path, manifest: Manifest):
        self.root, self.out, self.manifest = root, out, manifest
        self.cutouts = [one.name for one in load_library(root / "library")]
        self.gallery = [name for name in manifest.image_id if name.startswith("gallery")]

    def run(self, kind: str) -> None:
        self.out.mkdir(exist_ok=True)
        for row in self.manifest.rows("query"):
            image, mask = getattr(self, kind)(row)
            name = self.manifest.image_id[row].replace("/", "_")
            image.save(self.out / f"{name}.jpg", quality=95)
            Image.fromarray(mask).save(self.out / f"{name}.png")

    def _open(self, row: int, kind: str) -> tuple[Image.Image, np.ndarray, np.random.Generator]:
        name = self.manifest.image_id[row]
        image = Image.open(self.root / f"{name}.png").convert("RGB")
        mask = np.array(Image.open(self.root / f"{name}_mask.png"))
        return image, mask, generator(image_seed(0, name, f"test/{kind}"))

    def ogor(self, row: int) -> tuple[Image.Image, np.ndarray]:
        image, mask, rng = self._open(row, "ogor")
        while True:
            name = self.cutouts[rng.integers(len(self.cutouts))]
            ratio = rng.uniform(0.1, 0.6)
            occluder = Image.open(self.root / "library" / name)
            aspect = occluder.height / occluder.width
            height, width = round((ratio * H * W * aspect) ** 0.5), round((ratio * H * W / aspect) ** 0.5)
            if width > W or height > H:
                continue
            placement = PLACEMENT[name[:-5]]  # CLASSn.png
            if placement == "middle":
                if H // 2 - height <= 0:
                    continue
                top, left = int(rng.integers(H // 2 - height)), int(rng.integers(W))
                if left + width > W:
                    continue
            else:
                left, top = int(rng.integers(W - width + 1)), 0 if placement == "upper" else H - height
            break
        occluder = occluder.resize((width, height), Image.Resampling.BICUBIC)
        image.paste(occluder, (left, top), occluder)
        alpha = np.array(occluder.getchannel("A")) >= 128
        mask[top:top + height, left:left + width][alpha] = OBJECT
        return image, mask

    def masking(self, row: int) -> tuple[Image.Image, np.ndarray]:
        from reanchor.occlusion.masking import block

        image, mask, rng = self._open(row, "masking")
        erased = block(H, W, round(RATIO * H * W), rng)
        image.paste((128, 128, 128), (0, 0), Image.fromarray(erased))
        mask[erased] = OBJECT
        return image, mask

    def people(self, row: int) -> tuple[Image.Image, np.ndarray]:
        image, mask, rng = self._open(row, "people")
        name = self.gallery[rng.integers(len(self.gallery))]
        stranger = Image.open(self.root / f"{name}.png").convert("RGB")
        outline = Image.fromarray(np.array(Image.open(self.root / f"{name}_mask.png")) * np.uint8(255))
        for left in range(W, -W, -1):
            moved = Image.new("L", (W, H))
            moved.paste(outline, (left, 0))
            covered = np.array(moved) >= 128
            if covered.mean() >= RATIO:
                break
        image.paste(stranger, (left, 0), outline)
        mask[covered] = STRANGER
        return image, mask


def compare(kind: str, root: Path, count: int, processes: list[int], repeats: int) -> None:
    """Print images per second of each side, medians of passes in turn, and check a sample."""
    manifest = Manifest.read(root / "prepared/manifest.parquet")
    plain = Plain(root / "files", root / "plain", manifest)
    sides: dict[str, Callable[[], object]] = {"plain": lambda: plain.run(kind)}
    for number in processes:
        sides[f"{number} process{'es' if number > 1 else ''}"] = lambda number=number: make_occluded(
            settings(kind, root / "files/library"), root / "prepared", root / "out", number)
    seconds: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, run in sides.items():
            start, cpu = time.perf_counter(), _cpu()
            run()
            seconds[side].append((time.perf_counter() - start, _cpu() - cpu))
    check(kind, root, plain)
    medians = {side: np.median(values, axis=0) for side, values in seconds.items()}
    for side, (wall, cpu) in medians.items():
        times = medians["plain"] / (wall, cpu)
        print(f"{kind:8} {side:12} {count / wall:6.0f} images/s, {times[0]:5.2f} x plain;   {count / cpu:6.0f} images "
              f"per CPU second, {times[1]:5.2f} x plain")


def _cpu() -> float:
    """Seconds of CPU of this process and of those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def check(kind: str, root: Path, plain: Plain) -> None:
    """A sample of both sides' copies is the same, but for people, which the plain way moves differently."""
    copies = OccludedSet.open(root / "out/test" / ("ogor" if kind == "ogor" else f"{kind}-{RATIO:.2f}"))
    for index in range(0, len(copies.rows), max(1, len(copies.rows) // 50)):
        image, mask = getattr(plain, kind)(int(copies.rows[index]))
        if kind == "people":
            assert abs(float((mask == STRANGER).mean()) - RATIO) < 0.02 and (mask == TARGET).any()
            continue
        np.testing.assert_array_equal(copies.images[index], np.asarray(image))
        np.testing.assert_array_equal(copies.masks[index], mask)


def _anonymous(pid: int) -> int:
    """Bytes of anonymous memory of a process and its children."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        own = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, StopIteration):
        return 0
    return own + sum(_anonymous(int(child)) for child in children)


def _occlude_all(root: Path, processes: int) -> None:
    config = Occlude(train_share=1.0, gallery_share=0.0, masking_ratios=[], people_ratios=[])
    make_occluded(config, root / "prepared", root / "out", processes)


def memory(count: int, processes: int) -> None:
    """Print the peak of anonymous memory while `count` images are occluded in a process of their own."""
    root = Path(tempfile.mkdtemp())
    try:
        write_prepared(root / "prepared", count, "train")
        worker = multiprocessing.get_context("spawn").Process(target=_occlude_all, args=(root, processes))
        peak, done = [0], threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                peak[0] = max(peak[0], _anonymous(worker.pid))

        start = time.perf_counter()
        worker.start()
        watcher = threading.Thread(target=watch)
        watcher.start()
        worker.join()
        done.set()
        watcher.join()
        size = os.path.getsize(root / "out/train/images.arrow") / 2**20
        print(f"{count} images: peak {peak[0] / 2**20:.0f} MB in {processes} processes and the one that writes, "
              f"{size:.0f} MB written, {count / (time.perf_counter() - start):.0f} images/s")
    finally:
        shutil.rmtree(root)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--memory", type=int, nargs="+", default=[], metavar="IMAGES")
    given = parser.parse_args()
    for count in given.memory:
        memory(count, max(given.processes))
    if given.memory:
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        manifest = write_prepared(root / "prepared", given.images, "query")
        write_pngs(root / "files", manifest)
        write_library(root / "files/library")
        for kind in KINDS:
            compare(kind, root, given.images, given.processes, given.repeats)


if __name__ == "__main__":
    main()
