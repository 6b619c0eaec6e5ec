"""Text-based search judged: rankings by hand, slow references, block sizes, occluded galleries, files."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from search_fakes import (
    ColourSearcher,
    TableSearcher,
    TokenSearcher,
    open_study,
    sentence,
    table_study,
    write_study,
)

from reanchor.config.sections.judging import Search
from reanchor.errors import ReanchorError
from reanchor.retrieval.bootstrap import IdentityBootstrap
from reanchor.retrieval.encode import encode_images, encode_sentences, exchange
from reanchor.retrieval.judge import judge
from reanchor.retrieval.measure import measure_method
from reanchor.retrieval.memory import KEYS, MB, MemoryPlan, plan_search
from reanchor.retrieval.protocol import sentence_counts
from reanchor.retrieval.ranker import Ranker, Side, Sides
from reanchor.retrieval.similarities import Similarities
from reanchor.retrieval.tables import METRICS, per_sentence

QUIET = Search(bootstrap=50, cost_repeats=0)


def searched(table, query_pids, gallery_pids, suites=(), config=QUIET):
    study = table_study(query_pids, gallery_pids, suites)
    searcher = TableSearcher(np.asarray(table, np.float32))
    return study, measure_method("table", searcher, study, config, lambda _: None)["table"]


def plan(rows, tile, pair):
    """A plan of blocks of so many bytes."""
    return MemoryPlan(2**30, 0, 0, 0, rows, 0, 1, tile, pair)


def rank(searcher, sentences, images, study, memory):
    """Exact ranks by what the searcher makes of two encoded sides."""
    numbers = [np.arange(len(next(iter(side.values())))) for side in (sentences, images)]
    similarities = Similarities(searcher, sentences, images, memory.block(len(numbers[1])))
    sides = (Side(own, rows) for own, rows in zip(numbers, (study.query_rows, study.gallery_rows), strict=True))
    return Ranker(study, QUIET, memory).rank(Sides(*sides, similarities.measure))


def test_a_ranking_by_hand():
    """Six images: two of person 1, one of person 2, a distractor, a stranger of person 3, nobody dropped.

    Sentence 0 (person 1): order 3, 0, 2, 1, 4, 5 (0 and 2 tie: the earlier first); matches 0, 1 at ranks 2 and 4.
    Sentence 1 (person 2): its image ties with two others and comes last of them, rank 3.
    Sentence 2 (person 9): not in the gallery, left out.
    """
    table = [[0.5, 0.4, 0.5, 0.9, 0.1, 0.0], [0.2, 0.7, 0.7, 0.7, 0.0, 0.0], [1, 0, 0, 0, 0, 0]]
    table[1] = [0.7, 0.7, 0.7, 0.1, 0.0, 0.0]
    study, found = searched(table, [1, 2, 9], [1, 1, 2, 0, 3, 3])
    ranking = found.rankings["whole"]
    np.testing.assert_array_equal(ranking.first_Q, [2, 3, 0])
    np.testing.assert_allclose(ranking.ap_Q[:2], [(1 / 2 + 2 / 4) / 2, 1 / 3])
    np.testing.assert_allclose(ranking.inp_Q[:2], [2 / 4, 1 / 3])
    values = per_sentence(ranking)
    assert list(values) == list(METRICS)
    np.testing.assert_array_equal(values["R1"], [0, 0])
    np.testing.assert_array_equal(values["R5"], [100, 100])
    np.testing.assert_array_equal(values["Rsum"], [200, 200])
    counts = sentence_counts(study)
    assert study.unmatched == 1 and counts["distractors"] == 1 and counts["gallery_identities"] == 3


def slow_metrics(table, query_pids, gallery_pids):
    """Each metric by its definition, sentence by sentence."""
    rows = []
    for similarity, pid in zip(table, query_pids, strict=True):
        order = sorted(range(len(gallery_pids)), key=lambda g: (-similarity[g], g))
        ranks = [k for k, g in enumerate(order, start=1) if gallery_pids[g] == pid]
        if ranks:
            hits = [100.0 * (ranks[0] <= k) for k in (1, 5, 10)]
            ap = 100 * np.mean([i / k for i, k in enumerate(ranks, start=1)])
            rows.append([*hits, sum(hits), ap, 100 * len(ranks) / ranks[-1]])
    return np.mean(rows, axis=0)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_their_definitions(seed):
    rng = np.random.default_rng(seed)
    query_pids, gallery_pids = rng.integers(1, 9, 20), rng.integers(0, 8, 50)
    table = rng.integers(0, 12, (20, 50)).astype(np.float32)  # many ties
    _, found = searched(table, query_pids, gallery_pids)
    values = [each.mean() for each in per_sentence(found.rankings["whole"]).values()]
    np.testing.assert_allclose(values, slow_metrics(table, query_pids, gallery_pids), rtol=1e-12)


def test_golden_text_metrics():
    """TBPS-CLIP's metric_eval, in percent; it has no mINP, which the file holds by an independent formula."""
    from golden_files import FOLDER

    with np.load(FOLDER / "G_tbps_eval.npz") as want:
        _, found = searched(want["sim"], want["txt_pids"] + 1, want["img_pids"] + 1)
        values = {name: each.mean() for name, each in per_sentence(found.rankings["whole"]).items()}
        assert values["Rsum"] == pytest.approx(3 * float(want["r_mean"]), abs=1e-4)
        for ours, theirs in (("R1", "r1"), ("R5", "r5"), ("R10", "r10"), ("mAP", "mAP"), ("mINP", "mINP_independent")):
            assert values[ours] == pytest.approx(float(want[theirs]), abs=1e-4), ours


def test_golden_occluded_search_metrics():
    """MGCC's eval_func: no camera rule, sentences without a match skipped, INP = matches / rank of the last."""
    from golden_files import FOLDER

    with np.load(FOLDER / "C_mgcc_metric.npz") as want:
        gallery = np.where(want["g_pids"] <= 0, 10**6 + want["g_pids"], want["g_pids"])  # its metric knows no junk
        study = table_study(want["q_pids"], gallery)
        numbers = [{"number": torch.arange(len(pids))} for pids in (want["q_pids"], gallery)]
        ranking = rank(TableSearcher(want["sim"]), *numbers, study, plan(4 * 300 * 7, 4096, 12))
        values = {name: each.mean() for name, each in per_sentence(ranking).items()}
        np.testing.assert_allclose([values["mAP"], values["mINP"]], 100 * np.array([want["mAP"], want["mINP"]]),
                                   rtol=1e-9)
        np.testing.assert_allclose([values["R1"], values["R5"], values["R10"]], 100 * want["cmc"][[0, 4, 9]],
                                   rtol=1e-6)


def test_an_occluded_gallery_is_the_whole_one_with_images_replaced():
    """Images 6 and 7 (columns of the table) take the places 0 and 3; the whole gallery is as before afterwards."""
    rng = np.random.default_rng(5)
    table = rng.standard_normal((4, 8)).astype(np.float32)
    pids, suites = [1, 1, 2, 2, 3, 0], [([6, 7], [0, 3]), ([7], [5], "gallery-masking-0.30")]
    _, found = searched(table, [1, 2, 3, 1], pids, suites)
    assert list(found.rankings) == ["whole", "gallery-ogor", "gallery-masking-0.30"]
    for name, columns in (("whole", range(6)), ("gallery-ogor", [6, 1, 2, 7, 4, 5]),
                          ("gallery-masking-0.30", [0, 1, 2, 3, 4, 7])):
        want = slow_metrics(table[:, list(columns)], [1, 2, 3, 1], pids)
        np.testing.assert_allclose([each.mean() for each in per_sentence(found.rankings[name]).values()], want)


def test_only_replaced_images_are_encoded_anew(tmp_path):
    study = open_study(write_study(tmp_path))
    searcher = ColourSearcher()
    measure_method("colours", searcher, study, Search(batch=5, cost_repeats=0, bootstrap=10), lambda _: None)
    assert searcher.seen == [1, 5, 5, 5, 5, 5, 3, 5, 3]  # a probe, 28 of the gallery, 8 replaced
    encoded = encode_images(searcher, study.images, study.gallery_rows, 7, "")
    suite = study.suites[0]
    patched = np.stack([study.picture(suite, place) for place in range(28)])
    exchange(encoded, study.places(suite), encode_images(searcher, suite.gallery.copies.images, np.arange(8), 3, ""))
    np.testing.assert_allclose(encoded["feature"], searcher.images(patched)["feature"], atol=1e-6)


def test_exchanging_twice_changes_nothing():
    gallery = {"feature": torch.arange(12.0).reshape(4, 3), "patch_index": torch.arange(8).reshape(4, 2)}
    new = {"feature": -torch.ones(2, 3), "patch_index": torch.full((2, 2), 9)}
    exchange(gallery, np.array([3, 1]), new)
    assert gallery["feature"][:, 0].tolist() == [0, -1, 6, -1] and new["feature"][:, 0].tolist() == [9, 3]
    assert gallery["patch_index"][:, 1].tolist() == [1, 9, 5, 9]
    exchange(gallery, np.array([3, 1]), new)
    assert gallery["feature"].flatten().tolist() == list(range(12)) and (new["patch_index"] == 9).all()


@pytest.mark.parametrize(("rows", "tile"), [(1, 1), (4 * 30 * 3, 12 * 30 * 2), (10**6, 12 * 7), (10**6, 10**6)])
def test_block_sizes_do_not_matter(rows, tile):
    rng = np.random.default_rng(2)
    sides = [{"feature": torch.as_tensor(rng.integers(-3, 4, (count, 5)).astype(np.float32))} for count in (17, 30)]
    memory = plan(rows, tile, 12)
    similarities = Similarities(ColourSearcher(), *sides, memory.block(30))
    want = sides[0]["feature"] @ sides[1]["feature"].T
    np.testing.assert_array_equal(similarities(np.array([3, 0, 16, 5])), -want[[3, 0, 16, 5]])
    study = table_study(rng.integers(1, 5, 17), rng.integers(0, 5, 30))
    ranking = rank(ColourSearcher(), *sides, study, memory)
    plain = rank(ColourSearcher(), *sides, study, plan(10**6, 10**6, 12))
    np.testing.assert_array_equal(ranking.first_Q, plain.first_Q)
    np.testing.assert_array_equal(ranking.inp_Q, plain.inp_Q)
    np.testing.assert_allclose(ranking.ap_Q, plain.ap_Q, rtol=1e-12)


def test_blocks_stay_within_the_plan():
    class Watched(TokenSearcher):
        largest = 0

        def similarity(self, sentences, images):
            Watched.largest = max(Watched.largest, len(sentences["tokens"]) * len(images["tokens"]))
            return super().similarity(sentences, images)

    searcher = Watched()
    sentences = encode_sentences(searcher, [sentence(pid, 0) for pid in range(20)], 8, "")
    images = {name: values.repeat(50, *[1] * (values.ndim - 1))
              for name, values in searcher.images(np.zeros((2, 96, 48, 3), np.uint8)).items()}
    one = [{name: values[:1] for name, values in side.items()} for side in (sentences, images)]
    memory = plan_search(Search(memory_mb=64), *one, 20, 100, 0)
    assert memory.pair == 4 * 3 * 4 * 3
    tight = plan(memory.plain, 40 * memory.pair, memory.pair)
    Similarities(searcher, sentences, images, tight.block(100))(np.arange(20))
    assert Watched.largest == 40


def test_a_budget_too_small_names_what_is_needed():
    one = {"feature": torch.zeros(1, 256 * 1024)}  # 1 MB each
    with pytest.raises(ReanchorError) as caught:
        plan_search(Search(memory_mb=20), one, one, 10, 20, 6)
    least = 10 + 20 + 2 * 6 + KEYS // MB + 1
    assert f"search.memory_mb: got 20; allowed here: at least {least}" in str(caught.value)
    enough = plan_search(Search(memory_mb=least), one, one, 10, 20, 6)
    assert enough.total <= least * MB and "12 MB" in enough.sentence()


def test_intervals_and_differences_resample_described_people(tmp_path):
    rng = np.random.default_rng(3)
    query_pids, gallery_pids = np.repeat(np.arange(1, 9), 3), np.repeat(np.arange(1, 9), 4)
    tables = [rng.standard_normal((24, 32)).astype(np.float32) for _ in range(2)]
    methods = {"zero_shot": lambda: TableSearcher(tables[0]), "mgcc": lambda: TableSearcher(tables[1])}
    metrics = judge(Search(bootstrap=300, confidence=0.9, seed=4, cost_repeats=0),
                    table_study(query_pids, gallery_pids), methods, tmp_path, lambda _: None)
    out = {name: pq.read_table(tmp_path / f"{name}.parquet").to_pylist() for name in ("results", "differences")}
    each = {}
    for name, table in zip(("zero_shot", "mgcc"), tables, strict=True):
        found = [slow_metrics(table[i:i + 1], query_pids[i:i + 1], gallery_pids)[4] for i in range(24)]
        each[name] = np.array(found).reshape(8, 3).mean(1)  # per person
    counts = IdentityBootstrap(query_pids, 300, 0.9, 4).counts_BI
    draws = {name: counts @ values / 8 for name, values in each.items()}
    (row,) = [r for r in out["results"] if (r["method"], r["metric"]) == ("mgcc", "mAP")]
    np.testing.assert_allclose([row["low"], row["high"]], np.quantile(draws["mgcc"], [0.05, 0.95]))
    assert row["value"] == pytest.approx(each["mgcc"].mean()) and row["sentences"] == 24
    assert metrics["mgcc/whole/mAP"] == round(row["value"], 4)
    (row,) = [r for r in out["differences"] if r["metric"] == "mAP"]
    assert (row["method_a"], row["method_b"]) == ("mgcc", "zero_shot")
    np.testing.assert_allclose([row["low"], row["high"]],
                               np.quantile(draws["mgcc"] - draws["zero_shot"], [0.05, 0.95]))


def test_similarities_that_are_no_numbers_are_refused():
    with pytest.raises(ReanchorError, match="NaN"):
        searched([[np.nan, 0.0]], [1], [1, 2])
