"""k-reciprocal re-ranking against the textbook dense version: time, peak memory, agreement.

    python -m benchmarks.rerank [--queries 2000] [--gallery 10000] [--repeats 3] [--dense-repeats 1]

The dense version holds what the algorithm is usually written with: the distances of all pairs, each row fully
sorted, dense encodings, and Python loops over items, candidates and columns. Every run has a process of
its own; its memory is the peak of resident memory above what it was when the features stood ready. Where other
work shares the processor, read the processor's seconds.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from reanchor.config.sections.judging import Rerank
from reanchor.retrieval.rerank import reranked_distance

SETTINGS = Rerank(enabled=True, k1=50, k2=15, weight=0.3)


def problem(queries: int, gallery: int, identities: int = 750, width: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """Unit features around identity centres, float32 [Q, D] and [G, D]."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((identities, width), dtype=np.float32)
    sides = []
    for count in (queries, gallery):
        features = centres[rng.integers(0, identities, count)]
        features += 1.5 * rng.standard_normal((count, width), dtype=np.float32)
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        sides.append(features)
    return sides[0], sides[1]


def dense(query_QD: np.ndarray, gallery_GD: np.ndarray, settings: Rerank) -> np.ndarray:
    """The textbook version, [Q, G]."""
    features = np.concatenate([query_QD, gallery_GD])
    queries, total = len(query_QD), len(features)
    distance = 2 - 2 * features @ features.T
    distance /= distance.max(axis=1, keepdims=True)
    rank = np.argsort(distance, axis=1, kind="stable").astype(np.int32)
    encoding = np.zeros((total, total), np.float32)
    for i in range(total):
        members = mutual = _mutual(rank, i, settings.k1)
        for candidate in mutual:
            theirs = _mutual(rank, candidate, round(settings.k1 / 2))
            if len(np.intersect1d(theirs, mutual)) > 2 / 3 * len(theirs):
                members = np.append(members, theirs)
        members = np.unique(members)
        weight = np.exp(-distance[i, members])
        encoding[i, members] = weight / weight.sum()
    if settings.k2 > 1:
        encoding = np.stack([encoding[rank[i, : settings.k2]].mean(axis=0) for i in range(total)])
    holders = [np.flatnonzero(encoding[:, column]) for column in range(total)]
    jaccard = np.zeros((queries, total), np.float32)
    for i in range(queries):
        overlap = np.zeros(total, np.float32)
        for column in np.flatnonzero(encoding[i]):
            rows = holders[column]
            overlap[rows] += np.minimum(encoding[i, column], encoding[rows, column])
        jaccard[i] = 1 - overlap / (2 - overlap)
    return ((1 - settings.weight) * jaccard + settings.weight * distance[:queries])[:, queries:]


def _mutual(rank: np.ndarray, i: int, k: int) -> np.ndarray:
    forward = rank[i, : k + 1]
    return forward[np.flatnonzero((rank[forward, : k + 1] == i).any(axis=1))]


def sparse(query_QD: np.ndarray, gallery_GD: np.ndarray, settings: Rerank) -> np.ndarray:
    """This project's, [Q, G], queries in blocks as the evaluation takes them."""
    distance = reranked_distance(query_QD, gallery_GD, settings)
    result = np.empty((len(query_QD), len(gallery_GD)), np.float32)
    for start in range(0, len(query_QD), 500):
        rows = np.arange(start, min(start + 500, len(query_QD)))
        result[rows] = distance(rows)
    return result


VERSIONS = {"dense": dense, "reanchor": sparse}


def work(version: str, queries: int, gallery: int, out: Path) -> None:
    """One run in this process: the distances to `out`, seconds and peak bytes to stdout."""
    query, items = problem(queries, gallery)
    before = peak_bytes()
    start, processor = time.perf_counter(), time.process_time()
    result = VERSIONS[version](query, items, SETTINGS)
    print(json.dumps({"seconds": time.perf_counter() - start, "processor": time.process_time() - processor,
                      "bytes": peak_bytes() - before}))
    np.save(out, result)


def peak_bytes() -> int:
    """Highest resident memory of this process so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(version: str, options: argparse.Namespace, repeats: int, folder: Path) -> dict:
    """Medians over `repeats` processes, and the last one's distances."""
    command = [sys.executable, "-m", "benchmarks.rerank", "--worker", version, "--out", str(folder / "out.npy"),
               "--queries", str(options.queries), "--gallery", str(options.gallery)]
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(repeats)]
    medians = {key: float(np.median([run[key] for run in runs])) for key in ("seconds", "processor", "bytes")}
    return medians | {"distance": np.load(folder / "out.npy")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--gallery", type=int, default=10000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dense-repeats", type=int, default=1)
    parser.add_argument("--worker", choices=VERSIONS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options.worker, options.queries, options.gallery, options.out)
    with tempfile.TemporaryDirectory() as folder:
        ours = measure("reanchor", options, options.repeats, Path(folder))
        theirs = measure("dense", options, options.dense_repeats, Path(folder))
    print(f"{options.queries} queries x {options.gallery} gallery, k1 {SETTINGS.k1}, k2 {SETTINGS.k2}; "
          f"medians of {options.repeats} and {options.dense_repeats} runs")
    print(f"{'':12}{'seconds':>10}{'ratio':>8}{'processor':>12}{'ratio':>8}{'MB':>8}{'ratio':>8}")
    for name, one in (("dense", theirs), ("reanchor", ours)):
        cells = (f"{one[key] / unit:{width}.{digits}f}{one[key] / ours[key]:7.1f}x"
                 for key, unit, width, digits in (("seconds", 1, 10, 1), ("processor", 1, 12, 1), ("bytes", 1e6, 8, 0)))
        print(f"{name:12}" + "".join(cells))
    print(f"largest difference of a distance: {np.abs(ours['distance'] - theirs['distance']).max():.1e}")


if __name__ == "__main__":
    main()
