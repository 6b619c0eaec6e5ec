"""Occlude a prepared dataset: training copies and the controlled suites, in parallel."""

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from tqdm import tqdm

from reanchor.config.sections.data import Occlude
from reanchor.files import atomic_directory, write_json
from reanchor.formats.occluded_set import write_occluded
from reanchor.formats.occlusion import TARGET
from reanchor.occlusion.library import Cutout, load_library
from reanchor.occlusion.plan import Suite, plan
from reanchor.occlusion.sheet import write_contact_sheet
from reanchor.occlusion.workshop import Copies, Workshop, open_workshop, work
from reanchor.workers import Processes, ending

CHUNK = 64  # images per job


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
        workshop.require_masks(suites)
        summary = _make_sets(suites, workshop, folder, (config, Path(prepared), library), processes)
        summary |= {"seed": config.seed, "variant": config.variant, "sides": config.sides,
                    "ratio_low": config.ratio_low, "ratio_high": config.ratio_high,
                    "unseen_classes": sorted(config.unseen_classes),
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
    several = ending(Processes(processes, open_workshop, arguments)) if processes > 1 else nullcontext()
    with several as pool, tqdm(total=total, desc="occlude", unit="image", disable=None) as bar:
        for suite in suites:
            entry = _make_set(suite, workshop, folder / suite.folder, pool, processes, bar)
            if suite.split == "train":
                summary["train"] = entry
            else:
                summary[suite.split].append(entry)
    return summary


def _make_set(suite: Suite, workshop: Workshop, folder: Path, pool: Executor | None, processes: int,
              bar: tqdm) -> dict:
    shares: list[float] = []  # of the person, still visible

    def copies() -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
        for chunk in _chunks(suite, workshop, pool, processes):
            for entry, image, mask in chunk:
                person = workshop.person(entry["row"])
                if person is not None:
                    whole = np.count_nonzero(person)
                    shares.append(np.count_nonzero(mask == TARGET) / max(1, whole))
                bar.update()
                yield entry, image, mask

    written = write_occluded(folder, copies(), len(suite.rows), workshop.mask_source)
    ratios = written.table["area_ratio"].to_numpy()
    summary = {"name": suite.name, "side": suite.side, "kind": suite.kind, "series": suite.series,
               "ratio": suite.ratio, "count": len(ratios), "sha256": written.sha256, "area_ratio": float(ratios.mean()),
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
        waiting.append(pool.submit(work, suite, suite.rows[start:start + CHUNK]))
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
