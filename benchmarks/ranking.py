"""Ranking metrics against a plain loop over queries, at Market-1501's size, in one process.

    python -m benchmarks.ranking [--repeats 5] [--queries 3368] [--gallery 15913]
    python -m benchmarks.ranking --msmt17     # time and peak memory at MSMT17's size, from features

The loop is what the field's evaluators do: sort the whole gallery of each query, drop what the
camera rule drops, read the metrics off the sorted matches. Both sides start from the same
float32 distance matrix and must return equal values.
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np

from reanchor.config.sections.judging import Evaluate
from reanchor.formats.labels import Labels
from reanchor.retrieval.memory import plan_memory
from reanchor.retrieval.ranking import Ranking, rank_distances, rank_features

MSMT17 = {"queries": 11_659, "gallery": 82_161, "identities": 3060, "cameras": 15, "width": 1280}


def plain_loop(distance_QG: np.ndarray, query: Labels, gallery: Labels, sort: str) -> Ranking:
    """The textbook evaluation: one argsort of `sort` kind per query, no junk in the gallery."""
    ap, inp, first = [], [], []
    for q in range(len(distance_QG)):
        order = np.argsort(distance_QG[q], kind=sort)
        same = gallery.pids[order] == query.pids[q]
        keep = ~(same & (gallery.camids[order] == query.camids[q]))
        hits = same[keep]
        ranks = np.flatnonzero(hits) + 1
        ap.append(np.mean(np.arange(1, len(ranks) + 1) / ranks) if len(ranks) else np.nan)
        inp.append(len(ranks) / ranks[-1] if len(ranks) else np.nan)
        first.append(ranks[0] if len(ranks) else 0)
    return Ranking(np.array(ap), np.array(inp), np.array(first), len(gallery.pids))


def problem(queries: int, gallery: int, identities: int = 750, distractors: int = 2798,
            cameras: int = 6, width: int = 64) -> tuple[np.ndarray, Labels, Labels]:
    """Random features around identity centres: distances [Q, G] float32 and labels of both sides."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((identities + 1, width))

    def draw(pids: np.ndarray) -> tuple[np.ndarray, Labels]:
        features = 0.8 * centres[pids] + rng.standard_normal((len(pids), width))
        features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
        return features, Labels(pids, rng.integers(1, cameras + 1, len(pids)))

    query_features, query = draw(rng.integers(1, identities + 1, queries))
    people = max(gallery - distractors, gallery // 2)
    pids = np.concatenate([rng.integers(1, identities + 1, people), np.zeros(gallery - people, np.int64)])
    gallery_features, labels = draw(rng.permutation(pids))
    return np.float32(1) - query_features @ gallery_features.T, query, labels


def median_seconds(work: Callable[[], Ranking], repeats: int) -> tuple[float, Ranking]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)), result


def difference(a: Ranking, b: Ranking) -> float:
    """Largest absolute difference of any per-query value; NaN on one side only counts as infinite."""
    values = [np.stack([r.ap_Q, r.inp_Q, r.first_Q]) for r in (a, b)]
    if not np.array_equal(np.isnan(values[0]), np.isnan(values[1])):
        return float("inf")
    return float(np.nanmax(np.abs(values[0] - values[1])))


def msmt17() -> None:
    """Rank random features of MSMT17's size in blocks sized by the default memory budget; print the costs."""
    rng = np.random.default_rng(0)
    sides = [unit_features(rng, MSMT17[side], MSMT17["width"]) for side in ("queries", "gallery")]
    labels = [Labels(rng.integers(1, MSMT17["identities"] + 1, len(side)),
                     rng.integers(1, MSMT17["cameras"] + 1, len(side))) for side in sides]
    plan = plan_memory(Evaluate(), MSMT17["queries"], MSMT17["gallery"], [MSMT17["width"]])
    start = time.perf_counter()
    ranking = rank_features(*sides, *labels, memory=plan.plain)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(plan.sentence())
    print(f"{MSMT17['queries']} queries x {MSMT17['gallery']} gallery, {MSMT17['width']} dimensions: {seconds:.1f} s, "
          f"peak memory of the process {peak:.2f} GB, mAP {ranking.metrics()['mAP']:.3f} of random features")


def unit_features(rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    """Random unit vectors, float32 [count, width], made in place."""
    features = rng.standard_normal((count, width), dtype=np.float32)
    features /= np.sqrt(np.einsum("nd,nd->n", features, features))[:, None]
    return features


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--gallery", type=int, default=15913)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--msmt17", action="store_true", help="MSMT17's size instead, from features")
    options = parser.parse_args()
    if options.msmt17:
        return msmt17()
    distances, query, gallery = problem(options.queries, options.gallery)
    contenders = {
        "loop, stable argsort": lambda: plain_loop(distances, query, gallery, "stable"),
        "loop, numpy's default argsort": lambda: plain_loop(distances, query, gallery, "quicksort"),
        "reanchor": lambda: rank_distances(distances, query, gallery),
    }
    results = {name: median_seconds(work, options.repeats) for name, work in contenders.items()}
    ours_seconds, ours = results["reanchor"]
    print(f"{options.queries} queries x {options.gallery} gallery, median of {options.repeats}")
    print(f"{'':32}{'seconds':>9}{'speed-up':>10}{'mAP':>11}{'difference':>12}")
    for name, (seconds, ranking) in results.items():
        print(f"{name:32}{seconds:9.3f}{seconds / ours_seconds:9.1f}x{ranking.metrics()['mAP']:11.6f}"
              f"{difference(ranking, ours):12.1e}")


if __name__ == "__main__":
    main()
