"""Ranking metrics: hand-computed cases, a slow reference, golden numbers of CLIP-ReID's evaluator."""

import functools

import numpy as np
import pytest
from places import GOLDEN

from reanchor.errors import ReanchorError
from reanchor.formats.labels import Labels
from reanchor.retrieval import ranking
from reanchor.retrieval.distance import DISTANCES, block_distance, cosine, squared_euclidean
from reanchor.retrieval.ranking import rank_distances, rank_features, top_ranks

RANKING = GOLDEN / "ranking.npz"


def labels(pids, camids):
    return Labels(np.array(pids), np.array(camids))


def slow(distance, query, gallery, rule="market", own=None):
    """One stable argsort per query, metrics as the definitions say."""
    rows = []
    for q in range(len(distance)):
        order = [g for g in np.argsort(distance[q], kind="stable") if gallery.pids[g] != -1]
        same = [gallery.pids[g] == query.pids[q] for g in order]
        dropped = [s and rule == "market" and gallery.camids[g] == query.camids[q]
                   for g, s in zip(order, same, strict=True)]
        itself = None if own is None else own[q]
        kept = [g for g, d in zip(order, dropped, strict=True) if not d and g != itself]
        ranks = [k for k, g in enumerate(kept, 1) if gallery.pids[g] == query.pids[q]]
        if not ranks:
            rows.append((np.nan, np.nan, 0))
            continue
        ap = sum((n / rank) for n, rank in enumerate(ranks, 1)) / len(ranks)
        rows.append((ap, len(ranks) / ranks[-1], ranks[0]))
    return [np.array(column) for column in zip(*rows, strict=True)]


def own_rows(query, gallery, rng):
    """Some gallery item of each query's pid, or -1."""
    same = [np.flatnonzero(gallery.pids == pid) for pid in query.pids]
    return np.array([rng.choice(items) if len(items) and rng.random() < 0.7 else -1 for items in same])


def agree(result, expected):
    np.testing.assert_allclose(result.ap_Q, expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.inp_Q, expected[1], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(result.first_Q, expected[2])


def test_by_hand():
    """Query of person 1, camera 1. Sorted gallery: same-camera self (dropped), junk (dropped), a
    distractor, match, other, match: ranks 2 and 4, so AP = (1/2 + 2/4) / 2, INP = 2/4."""
    gallery = labels([1, -1, 0, 1, 2, 1], [1, 2, 2, 2, 1, 3])
    distance = np.array([[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]], np.float32)
    result = rank_distances(distance, labels([1], [1]), gallery)
    assert result.ap_Q[0] == 0.5 and result.inp_Q[0] == 0.5 and result.first_Q[0] == 2
    assert result.gallery == 5
    np.testing.assert_array_equal(result.cmc(4), [0, 1, 1, 1])
    assert result.metrics() == {"mAP": 50.0, "R1": 0.0, "R5": 100.0, "R10": 100.0, "mINP": 50.0}


def test_without_the_camera_rule_only_the_own_row_is_dropped():
    gallery = labels([1, 1, 2, 1], [1, 1, 1, 2])
    distance = np.array([[0.0, 0.1, 0.2, 0.3]], np.float32)
    query = labels([1], [1])
    free = rank_distances(distance, query, gallery, rule="none", own_Q=np.array([0]))
    assert free.first_Q[0] == 1 and free.ap_Q[0] == pytest.approx((1 + 2 / 3) / 2)
    assert rank_distances(distance, query, gallery, rule="none").ap_Q[0] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert rank_distances(distance, query, gallery, own_Q=np.array([0])).first_Q[0] == 2


def test_own_row_keeps_its_meaning_when_junk_stands_before_it():
    gallery = labels([-1, 5, 5, 7], [1, 1, 2, 1])
    distance = np.array([[0.0, 0.1, 0.2, 0.15]], np.float32)
    result = rank_distances(distance, labels([5], [1]), gallery, rule="none", own_Q=np.array([1]))
    assert result.first_Q[0] == 2  # behind pid 7; the own row, index 1, is gone


def test_queries_without_a_match_are_excluded_and_counted():
    gallery = labels([1, 2, 3], [1, 2, 2])
    query = labels([1, 2, 9], [1, 1, 1])
    result = rank_distances(np.ones((3, 3), np.float32), query, gallery)
    assert result.lost_sentence() == "2 of 3 queries lost all matches to the camera rule"
    assert np.isnan(result.ap_Q[[0, 2]]).all()
    assert result.metrics()["mAP"] == 50.0  # only query 1, behind gallery item 0 by the tie


def test_no_match_at_all_is_one_line():
    with pytest.raises(
        ReanchorError, match=r"evaluate\.camera_rule: 'market' leaves none of the 1 queries"
    ) as error:
        rank_distances(np.ones((1, 2), np.float32), labels([1], [1]), labels([1, 2], [1, 1]))
    assert "\n" not in str(error.value)


def test_a_broken_feature_is_one_line():
    distance = np.array([[0.5, np.nan]], np.float32)
    with pytest.raises(ReanchorError, match="NaN or infinite"):
        rank_distances(distance, labels([1], [1]), labels([1, 2], [2, 2]))


@pytest.mark.parametrize("seed", range(40))
def test_equals_the_slow_reference(seed, monkeypatch):
    """Random sizes, labels and rules; few distinct distances, negative and signed-zero ones too."""
    rng = np.random.default_rng(seed)
    q, g = int(rng.integers(1, 12)), int(rng.integers(2, 150))
    query = labels(rng.integers(1, 5, q), rng.integers(1, 4, q))
    gallery = labels(rng.integers(-1, 6, g), rng.integers(1, 4, g))
    distance = rng.standard_normal((q, g)).astype(np.float32)
    if seed % 2:  # many ties
        distance = (np.round(distance * 2) / 2).astype(np.float32)
        distance[distance == 0] *= rng.choice([-1, 1], (distance == 0).sum())
    own = own_rows(query, gallery, rng) if seed % 3 == 0 else None
    rule = ("market", "none")[seed % 4 == 0]
    monkeypatch.setattr(ranking, "MEMORY", 4 * g * int(rng.integers(1, 5)))
    monkeypatch.setattr(ranking, "CACHE", 8 * g * int(rng.integers(1, 3)))
    expected = slow(distance, query, gallery, rule, own)
    if not expected[2].any():
        with pytest.raises(ReanchorError):
            rank_distances(distance, query, gallery, rule=rule, own_Q=own)
        return
    agree(rank_distances(distance, query, gallery, rule=rule, own_Q=own), expected)


def test_golden_evaluator():
    """CLIP-ReID's own evaluator on 60 x 300; it has no junk rule, so junk gets a pid no query has."""
    golden = np.load(RANKING)
    query = Labels(golden["q_pids"], golden["q_camids"])
    gallery = Labels(np.where(golden["g_pids"] == -1, 10**6, golden["g_pids"]), golden["g_camids"])
    for kind in ("euclid", "cosine"):
        result = rank_distances(golden[f"dist_{kind}"], query, gallery)
        assert result.valid.sum() == 56 and result.lost == 4
        np.testing.assert_allclose(result.ap_Q[result.valid].mean(), golden[f"mAP_{kind}"], atol=1e-9)
        np.testing.assert_allclose(result.cmc(50), golden[f"cmc_{kind}"], atol=1e-6)
    euclid = rank_distances(golden["dist_euclid"], query, gallery)
    np.testing.assert_allclose(
        euclid.inp_Q[euclid.valid].mean(), golden["mINP_euclid_independent"], atol=1e-9
    )


def test_golden_distances():
    golden = np.load(RANKING)
    np.testing.assert_allclose(
        squared_euclidean(golden["qf"], golden["gf"]), golden["dist_euclid"], atol=1e-4
    )
    unit = [golden[k] / np.linalg.norm(golden[k], axis=1, keepdims=True) for k in ("qf", "gf")]
    np.testing.assert_allclose(1 - np.cos(golden["dist_cosine"]), cosine(*unit), atol=1e-4)


def test_features_and_distances_rank_alike():
    rng = np.random.default_rng(3)
    features = rng.standard_normal((50, 8)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    query, gallery = labels(rng.integers(1, 4, 10), [1] * 10), labels(rng.integers(-1, 4, 40), [2] * 40)
    by_distance = rank_distances(cosine(features[:10], features[10:]), query, gallery)
    for kind in DISTANCES:  # on the unit sphere both orders are the same
        by_feature = rank_features(features[:10], features[10:], query, gallery, memory=1000,
                                   measure=functools.partial(block_distance, kind=kind))
        np.testing.assert_array_equal(by_feature.ap_Q, by_distance.ap_Q)


def test_top_ranks_are_the_first_valid_items():
    rng = np.random.default_rng(4)
    features = rng.standard_normal((35, 6)).astype(np.float32)
    query, gallery = labels([1, 2, 3], [1, 1, 1]), labels(rng.integers(-1, 4, 32), rng.integers(1, 3, 32))
    top = top_ranks(features[:3], features[3:], query, gallery, 40)
    distance = cosine(features[:3], features[3:])
    for q in range(3):
        dropped = (gallery.pids == -1) | ((gallery.pids == query.pids[q]) & (gallery.camids == 1))
        expected = [g for g in np.argsort(distance[q], kind="stable") if not dropped[g]]
        assert [g for g in top[q] if g >= 0] == expected


def load(name):
    with np.load(GOLDEN / f"{name}.npz") as data:
        return {key: data[key] for key in data.files}


@pytest.mark.parametrize(("which", "unit"), [("norm", True), ("str_no", True), ("nonorm", False)])
def test_golden_evaluator_from_features(which, unit):
    """CLIP-ReID's R1_mAP_eval; its feat_norm 'no' is a non-empty string and so normalises all the same."""
    data, want = load("ranking"), load("C_r1map")
    sides = [data[key] / (np.linalg.norm(data[key], axis=1, keepdims=True) if unit else 1) for key in ("qf", "gf")]
    gallery = Labels(np.where(data["g_pids"] == -1, 10**6, data["g_pids"]), data["g_camids"])
    ranking = rank_features(*sides, Labels(data["q_pids"], data["q_camids"]), gallery,
                            measure=functools.partial(block_distance, kind="euclidean"))
    np.testing.assert_allclose(ranking.ap_Q[ranking.valid].mean(), want[f"mAP_{which}"], atol=1e-9)
    np.testing.assert_allclose(ranking.cmc(50), want[f"cmc_{which}"], atol=1e-6)
    if which == "norm":
        np.testing.assert_allclose(squared_euclidean(*sides), want["dist_norm"], atol=1e-4)


def test_golden_metrics_without_a_camera_rule():
    want = load("C_mgcc_metric")
    query, gallery = (Labels(want[key], np.zeros(len(want[key]), int)) for key in ("q_pids", "g_pids"))
    gallery = Labels(np.where(gallery.pids == -1, 10**6, gallery.pids), gallery.camids)
    ranking = rank_distances(-want["sim"], query, gallery, rule="none")
    assert ranking.ap_Q[ranking.valid].mean() == pytest.approx(float(want["mAP"]), abs=1e-9)
    assert ranking.inp_Q[ranking.valid].mean() == pytest.approx(float(want["mINP"]), abs=1e-9)
    np.testing.assert_allclose(ranking.cmc(20), want["cmc"], atol=1e-6)


def test_distances_go_into_a_part_of_a_wider_block():
    a, b = np.random.default_rng(2).standard_normal((2, 9, 5)).astype(np.float32)
    into = np.zeros((9, 12), np.float32)
    for distance in DISTANCES.values():
        distance(a, b, out=into[:, 2:11])
        np.testing.assert_array_equal(into[:, 2:11], distance(a, b))


def test_the_rule_that_fits_is_offered():
    query, gallery = labels([1, 2, 3], [1, 1, 1]), labels([1, 2, 9], [1, 1, 1])
    with pytest.raises(ReanchorError, match=r"none of the 3 queries .*evaluate.camera_rule=none, with which 2 of them"):
        rank_distances(np.ones((3, 3), np.float32), query, gallery)
    with pytest.raises(ReanchorError, match=r"no camera rule helps.*check the query and gallery folders"):
        rank_distances(np.ones((1, 1), np.float32), labels([3], [1]), labels([1], [2]), rule="none")


def test_joined_rankings_average_over_all_their_queries():
    distance = np.array([[0.0, 0.1, 0.2]], np.float32)
    one = rank_distances(distance, labels([1], [1]), labels([1, 2, 2], [2, 2, 2]))
    other = rank_distances(distance, labels([2], [1]), labels([1, 2, 2], [2, 2, 2]))
    assert type(one).join([one, other]).metrics()["mAP"] == pytest.approx(100 * (1 + (1 / 2 + 2 / 3) / 2) / 2)
