"""What searching costs: time per sentence, image and query, memory, and the size of what is stored.

Times of this machine and this run: they stand in cost.json, never among the metrics.
"""

import ctypes
import gc
import resource
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from reanchor.config.sections.judging import Search
from reanchor.formats.searcher import Encoded, Searcher
from reanchor.retrieval.encode import encode_images, encode_sentences, size_of
from reanchor.retrieval.memory import MemoryPlan
from reanchor.retrieval.similarities import Similarities
from reanchor.retrieval.study import Study

SAMPLE = 128  # sentences and images encoded, and sentences matched with the whole gallery
MB = 2**20
STATM = Path("/proc/self/statm")
WATCH_SECONDS = 0.001


def measure_cost(searcher: Searcher, study: Study, sentences: Encoded, gallery: Encoded,
                 plan: MemoryPlan, config: Search) -> dict:
    """Medians over `config.cost_repeats` runs, each on up to SAMPLE items; empty where there are none.

    ms_per_image, ms_per_sentence: encoding. ms_per_query: one encoded sentence against the whole encoded gallery.
    peak_mb_encode, peak_mb_match: what each took above what was held before (of the GPU where one computes), None
    where the system does not tell. bytes_per_image: of a stored gallery image.
    """
    if not config.cost_repeats:
        return {}
    rows_G, rows = study.gallery_rows, study.gallery_rows[:SAMPLE]
    texts = study.sentences.texts[:SAMPLE]
    similarities, numbers = Similarities(searcher, sentences, gallery, plan.block(len(rows_G))), np.arange(len(texts))
    device = next(iter(gallery.values())).device
    runs = {"image": lambda: encode_images(searcher, study.images, rows, config.batch, "cost of images"),
            "sentence": lambda: encode_sentences(searcher, texts, config.batch, "cost of sentences"),
            "query": lambda: similarities(numbers)}
    times = {name: statistics.median(_seconds(run, device) for _ in range(config.cost_repeats))
             for name, run in runs.items()}
    peaks = {name: [_peak(runs[name], device) for _ in range(config.cost_repeats)] for name in ("image", "query")}
    return {
        "device": device.type, "threads": torch.get_num_threads(), "repeats": config.cost_repeats,
        "gallery": len(study.gallery_rows),
        "ms_per_image": 1000 * times["image"] / len(rows), "ms_per_sentence": 1000 * times["sentence"] / len(texts),
        "ms_per_query": 1000 * times["query"] / len(texts),
        "peak_mb_encode": _median(peaks["image"]), "peak_mb_match": _median(peaks["query"]),
        "bytes_per_image": size_of(gallery) // len(study.gallery_rows)}


def _median(peaks: list[float | None]) -> float | None:
    return None if None in peaks else round(statistics.median(peaks), 1)


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _peak(run: Callable[[], object], device: torch.device) -> float | None:
    """Peak memory in MB above what was held before, None where the system does not tell."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - held) / MB
    if not STATM.is_file():  # Linux tells
        return None
    _give_back_freed()
    held, peak, done = _resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(WATCH_SECONDS):
            peak = max(peak, _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        kept = run()
        peak = max(peak, _resident())
    finally:
        done.set()
        watcher.join()
    del kept
    return max(0, peak - held) / MB


def _give_back_freed() -> None:
    """Else what an earlier run freed, and the allocator kept, would hide what this one takes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)


def _resident() -> int:
    return int(STATM.read_text().split()[1]) * resource.getpagesize()
