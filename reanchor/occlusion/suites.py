"""Occlude a prepared dataset: training copies and the controlled suites, in parallel."""

import hashlib
import json
import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from reanchor.config.sections import Occlude
from reanchor.data import ImageStore, Manifest
from reanchor.files import atomic_directory, write_json
from reanchor.occlusion import masking, ogor, people
from reanchor.occlusion.draws import image_seed
from reanchor.occlusion.image import TARGET, Occlusion
from reanchor.occlusion.library import Cutout, load_library
from reanchor.occlusion.occluded_set import record, write_occluded
from reanchor.occlusion.plan import Suite, plan
from reanchor.occlusion.sheet import write_contact_sheet

CHUNK = 64  # images per job

Copies = list[tuple[dict, np.ndarray, np.ndarray]]


class Workshop:
    """Everything that occluding a row needs; each process opens its own."""

    def __init__(self, config: Occlude, prepared: Path, library: Sequence[Cutout]):
        self.config, self.library = config, library
        self.manifest = Manifest.read(prepared / "manifest.parquet")
        self.store = ImageStore.open(prepared / "images.arrow")
        self.mask_source = "silhouette" if self.store.masks is None else "labels"
        self.crowds: dict[str, people.Crowd] = {}

    def crowd(self, split: str) -> people.Crowd:
        """The people who may be pasted: the gallery's for test queries, all rows of val for val."""
        if split not in self.crowds:
            manifest, store = self.manifest, self.store
            rows = manifest.rows("gallery" if split == "test" else split)
            self.crowds[split] = people.Crowd(store.images, store.masks, rows, manifest.image_id,
                                              manifest.pid, manifest.camid)
        return self.crowds[split]

    def occlude(self, suite: Suite, row: int) -> Occlusion:
        """The suite's copy of one row of the prepared manifest."""
        image = self.store.images[row]
        person = None if self.store.masks is None else self.store.masks[row]
        seed = image_seed(self.config.seed, self.manifest.image_id[row], suite.purpose)
        if suite.kind == "ogor":
            return ogor.occlude(image, person, self.library, seed, variant=self.config.variant,
                                ratios=(self.config.ratio_low, self.config.ratio_high))
        if suite.kind == "masking":
            return masking.erase(image, person, suite.ratio, seed)
        return people.paste_over(image, person, int(self.manifest.pid[row]), int(self.manifest.camid[row]),
                                 self.crowd(suite.split), suite.ratio, seed)

    def copies(self, suite: Suite, rows: np.ndarray) -> Copies:
        """(manifest record, image, mask) of each row."""
        made = ((int(row), self.occlude(suite, int(row))) for row in rows)
        return [(record(row, self.manifest.image_id[row], int(self.manifest.pid[row]),
                        int(self.manifest.camid[row]), one), one.image, one.mask) for row, one in made]


_workshop: Workshop  # of a worker process


def _open_workshop(*arguments) -> None:
    global _workshop
    _workshop = Workshop(*arguments)


def _work(suite: Suite, rows: np.ndarray) -> Copies:
    return _workshop.copies(suite, rows)


def make_occluded(config: Occlude, prepared: Path, out: Path, processes: int) -> dict:
    """Make `out` whole: library/, train/, val/<suite>/, test/<suite>/, suites.json, contact_sheet.png.

    `prepared` holds manifest.parquet and images.arrow. The same bytes for any number of processes.
    Returns flat metrics: count and mean area ratio of each set, mean share of the person that stays
    visible, and one hash over all sets.

    Raises:
        ReanchorError: an unusable library, ratios out of order, no second identity to paste.
    """
    with atomic_directory(out) as folder:
        library = _library(config, folder / "library")
        workshop = Workshop(config, Path(prepared), library)
        suites = plan(config, workshop.manifest)
        summary = _make_sets(suites, workshop, folder, (config, Path(prepared), library), processes)
        summary |= {"seed": config.seed, "variant": config.variant,
                    "library": {"source": config.library, "cutouts": len(library),
                                "classes": len({one.kind for one in library})}}
        write_json(folder / "suites.json", summary)
        write_contact_sheet(folder / "contact_sheet.png", folder, suites)
    return _metrics(summary)


def _library(config: Occlude, folder: Path) -> list[Cutout]:
    """The cut-outs: this project's own, drawn into `folder`, or a folder of the user's."""
    if config.library == "drawn":
        from reanchor.occlusion.cutouts import write_library  # drawing is not needed for other libraries

        write_library(folder)
        library = load_library(folder)
    else:
        library = load_library(Path(config.library))
    folder.mkdir(exist_ok=True)
    write_json(folder / "index.json", [
        {"file": one.name, "class": one.kind, "placement": one.placement, "width": one.pixels.shape[1],
         "height": one.pixels.shape[0], "sha256": hashlib.sha256(one.pixels.tobytes()).hexdigest()}
        for one in library])
    return library


def _make_sets(suites: list[Suite], workshop: Workshop, folder: Path, arguments: tuple,
               processes: int) -> dict:
    """Write every set below `folder`; the summary of each by split."""
    total = sum(len(suite.rows) for suite in suites)
    summary: dict = {"mask_source": workshop.mask_source, "train": {}, "val": [], "test": []}
    # Processes are spawned: a fork of one that has threads (a training library's) may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _open_workshop, arguments) if processes > 1 else None
    try:
        with tqdm(total=total, desc="occlude", unit="image", disable=None) as bar:
            for suite in suites:
                entry = _make_set(suite, workshop, folder / suite.folder, pool, processes, bar)
                if suite.split == "train":
                    summary["train"] = entry
                else:
                    summary[suite.split].append(entry)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    return summary


def _make_set(suite: Suite, workshop: Workshop, folder: Path, pool: Executor | None, processes: int,
              bar: tqdm) -> dict:
    masks = workshop.store.masks
    shares: list[float] = []  # of the person, still visible

    def copies() -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
        for chunk in _chunks(suite, workshop, pool, processes):
            for entry, image, mask in chunk:
                if masks is not None:
                    whole = np.count_nonzero(masks[entry["row"]])
                    shares.append(np.count_nonzero(mask == TARGET) / max(1, whole))
                bar.update()
                yield entry, image, mask

    written = write_occluded(folder, copies(), len(suite.rows), workshop.mask_source)
    ratios = np.array([entry["area_ratio"] for entry in written.records])
    summary = {"name": suite.name, "side": suite.side, "kind": suite.kind, "ratio": suite.ratio, "count": len(ratios),
               "sha256": written.sha256, "area_ratio": float(ratios.mean()),
               "visible_share": float(np.mean(shares)) if shares else None}
    if suite.ratio is not None:
        summary["largest_ratio_error"] = float(np.abs(ratios - suite.ratio).max())
    return summary


def _chunks(suite: Suite, workshop: Workshop, pool: Executor | None, processes: int) -> Iterator[Copies]:
    """The suite's copies in row order, at most a few chunks ahead of the reader."""
    starts = range(0, len(suite.rows), CHUNK)
    if pool is None:
        yield from (workshop.copies(suite, suite.rows[start:start + CHUNK]) for start in starts)
        return
    waiting: deque = deque()
    for start in starts:
        waiting.append(pool.submit(_work, suite, suite.rows[start:start + CHUNK]))
        if len(waiting) > 2 * processes:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _metrics(summary: dict) -> dict:
    sets = [("train", summary["train"])] if summary["train"] else []
    sets += [(f"{split}.{entry['name']}", entry) for split in ("val", "test") for entry in summary[split]]
    metrics: dict = {"cutouts": summary["library"]["cutouts"], "classes": summary["library"]["classes"],
                     "images": sum(entry["count"] for _, entry in sets)}
    for name, entry in sets:
        metrics[f"{name}.count"] = entry["count"]
        metrics[f"{name}.area_ratio"] = entry["area_ratio"]
        if entry["visible_share"] is not None:
            metrics[f"{name}.visible_share"] = entry["visible_share"]
    hashes = {name: entry["sha256"] for name, entry in sets}
    metrics["sha256"] = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
    return metrics
