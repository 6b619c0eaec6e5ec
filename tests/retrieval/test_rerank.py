"""Re-ranking and feature centralisation: golden numbers, the dense textbook version, hand-computed cases, memory."""

import functools
import tracemalloc

import numpy as np
import pytest
from golden_files import FOLDER

from benchmarks.rerank import dense
from reanchor.config.sections.judging import Rerank
from reanchor.errors import ReanchorError
from reanchor.formats.labels import Labels
from reanchor.retrieval.neighbours import Items, first_columns, nearest
from reanchor.retrieval.nfc import centralise
from reanchor.retrieval.ranking import rank_features
from reanchor.retrieval.rerank import reranked_distance


def load(name):
    with np.load(FOLDER / f"{name}.npz") as data:
        return {key: data[key] for key in data.files}


def golden_features(dtype=np.float32):
    data = load("ranking")
    sides = [data[key].astype(dtype) for key in ("qf", "gf")]
    return [side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides]


def reranked(query, gallery, settings, **options):
    return reranked_distance(query, gallery, settings, **options)(np.arange(len(query)))


@pytest.mark.parametrize("kind", ["cosine", "euclidean"])
@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (50, 15)])
def test_golden_reranking(k1, k2, kind):
    want, settings = load("C_rerank"), Rerank(True, k1, k2, 0.3)
    exact = reranked(*golden_features(np.float64), settings, kind=kind, dtype=np.float64)
    np.testing.assert_allclose(exact, want[f"rr64_{k1}_{k2}"], rtol=0, atol=1e-6)
    single = reranked(*golden_features(), settings, kind=kind)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, want[f"rr64_{k1}_{k2}"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(single, want[f"rr_{k1}_{k2}"], rtol=0, atol=5e-3)  # the original, in half precision


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (50, 15)])
def test_golden_figures_after_reranking(k1, k2):
    data, want = load("ranking"), load("C_rerank")
    gallery = Labels(np.where(data["g_pids"] == -1, 10**6, data["g_pids"]), data["g_camids"])  # no junk rule there
    ranking = rank_features(*golden_features(), Labels(data["q_pids"], data["q_camids"]), gallery,
                            measure=functools.partial(reranked_distance, settings=Rerank(True, k1, k2, 0.3)))
    assert ranking.ap_Q[ranking.valid].mean() == pytest.approx(want[f"mAP64_{k1}_{k2}"], abs=1e-6)


def clusters(rng, count, width=6, spread=0.6):
    features = rng.standard_normal((4, width))[rng.integers(0, 4, count)] + spread * rng.standard_normal((count, width))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_equals_the_dense_textbook_version_whatever_the_blocks(seed):
    rng = np.random.default_rng(seed)
    query, gallery = clusters(rng, int(rng.integers(1, 12))), clusters(rng, int(rng.integers(2, 60)))
    settings = Rerank(True, int(rng.integers(1, 70)), int(rng.integers(1, 9)), float(rng.random()))
    want = dense(query, gallery, settings)
    for memory in (1, 4000, 2**26):
        got = reranked(query, gallery, settings, memory=memory)
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-6)
    distance = reranked_distance(query, gallery, settings)
    rows = rng.permutation(len(query))
    np.testing.assert_allclose(distance(rows), want[rows], rtol=0, atol=2e-6)


def test_the_weight_mixes_the_plain_distance_with_jaccards():
    rng = np.random.default_rng(3)
    query, gallery = clusters(rng, 5), clusters(rng, 20)
    plain, half, jaccard = (reranked(query, gallery, Rerank(True, 4, 2, w)) for w in (1.0, 0.5, 0.0))
    np.testing.assert_allclose(half, (plain + jaccard) / 2, atol=1e-6)
    both = np.concatenate([query, gallery])
    np.testing.assert_allclose(plain, (1 - query @ gallery.T) / (1 - query @ both.T).max(1, keepdims=True), atol=1e-6)
    assert jaccard.min() >= -1e-6 and jaccard.max() <= 1


def test_two_far_apart_pairs_by_hand():
    """Each query and its twin are all of each other's reciprocal set: Jaccard 0 to the twin, 1 to the other."""
    query = np.array([[1, 0], [0, 1]], np.float32)
    got = reranked(query, query.copy(), Rerank(True, 1, 1, 0.0))
    np.testing.assert_allclose(got, [[0, 1], [1, 0]], atol=1e-6)


def test_reranking_holds_no_matrix_of_all_pairs():
    rng = np.random.default_rng(0)
    query, gallery = clusters(rng, 300, 32), clusters(rng, 3300, 32)
    tracemalloc.start()
    try:
        distance = reranked_distance(query, gallery, Rerank(True, 10, 4, 0.3), memory=4 * 2**20)
        for start in range(0, 300, 20):
            distance(np.arange(start, start + 20))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 3600**2 / 2  # bytes; half of one fp32 matrix


def test_equal_features_give_one_stable_answer():
    same = np.tile(np.array([[0.6, 0.8]], np.float32), (9, 1))
    got = reranked(same[:3], same[3:], Rerank(True, 3, 2, 0.3))
    assert np.isfinite(got).all()
    np.testing.assert_array_equal(got, reranked(same[:3], same[3:], Rerank(True, 3, 2, 0.3), memory=1))


def test_first_columns_equal_a_stable_argsort():
    rng = np.random.default_rng(5)
    for count in (1, 7, 40):
        distance = rng.integers(0, 6, (30, 40)).astype(np.float32)
        want = np.argsort(distance, axis=1, kind="stable")[:, :count]
        np.testing.assert_array_equal(first_columns(distance, count), want)


def test_a_broken_feature_is_one_line():
    broken = np.array([[np.nan, 1], [1, 0]], np.float32)
    with pytest.raises(ReanchorError, match="NaN or infinite"):
        reranked(broken, broken, Rerank(True, 1, 1, 0.3))
    with pytest.raises(ReanchorError, match="NaN or infinite"):
        centralise(broken, 1, 1)


@pytest.mark.parametrize(("k1", "k2"), [(2, 2), (4, 3)])
@pytest.mark.parametrize("memory", [1, 2**27])
def test_golden_centralisation(k1, k2, memory):
    got = np.concatenate([centralise(side, k1, k2, memory) for side in golden_features()])
    np.testing.assert_allclose(got, load("C_nfc")[f"nfc_{k1}_{k2}"], rtol=0, atol=1e-5)


def test_centralisation_by_hand():
    """On the circle at 0, 10, 30 and 120 degrees with k1 = k2 = 1: only 0 and 10 are each other's nearest."""
    angles = np.deg2rad([0, 10, 30, 120])
    features = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    moved = centralise(features, 1, 1)
    np.testing.assert_allclose(np.rad2deg(np.arctan2(moved[:, 1], moved[:, 0])), [5, 5, 30, 120], atol=1e-4)
    np.testing.assert_array_equal(centralise(features, 1, 1), centralise(features, 1, 9))  # k2 above k1: no effect
    np.testing.assert_array_equal(centralise(features[:1], 2, 2), features[:1])


def test_neighbours_leave_out_the_item_itself_where_asked():
    features = clusters(np.random.default_rng(1), 12)
    with_self = nearest(Items(features[:5], features[5:]), 3, 2**20).index_NK
    without = nearest(Items(features[:5], features[5:]), 2, 2**20, itself=False).index_NK
    assert (with_self[:, 0] == np.arange(12)).all()
    np.testing.assert_array_equal(without, with_self[:, 1:])
