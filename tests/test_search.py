"""Text-based search judged: rankings by hand, slow references, block sizes, occluded galleries, files."""

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from search_fakes import (
    ColourSearcher,
    TableSearcher,
    TokenSearcher,
    fill_search,
    open_study,
    replaced,
    sentence,
    table_study,
    write_study,
)

from reanchor.clip.model import ClipSpec
from reanchor.clip.tokenizer import BytePairTokenizer, WordTokenizer
from reanchor.config.sections import Search
from reanchor.errors import ReanchorError
from reanchor.evaluation.bootstrap import IdentityBootstrap
from reanchor.evaluation.memory import KEYS, MB
from reanchor.search.encode import encode_images, encode_sentences, exchange
from reanchor.search.judge import judge, searcher_factories
from reanchor.search.measure import sample_sentences, search_method
from reanchor.search.memory import SearchMemory, plan_memory
from reanchor.search.outputs import write_skipped
from reanchor.search.similarities import Similarities, rank
from reanchor.search.study import load_search_study
from reanchor.search.tables import METRICS, per_sentence
from reanchor.search.words import cut_sentences, kept_spans, token_spans

QUIET = Search(bootstrap=50, cost_repeats=0)


def searched(table, query_pids, gallery_pids, suites=(), config=QUIET):
    study = table_study(query_pids, gallery_pids, suites)
    return study, search_method("table", TableSearcher(np.asarray(table, np.float32)), study, config, lambda _: None)


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
    assert study.lost == 1 and study.counts()["distractors"] == 1 and study.counts()["gallery_identities"] == 3


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
        memory = SearchMemory(2**30, 0, 0, 4 * 300 * 7, 4096, 12)
        numbers = [{"number": torch.arange(len(pids))} for pids in (want["q_pids"], gallery)]
        ranking = rank(Similarities(TableSearcher(want["sim"]), *numbers, memory), study, memory)
        values = {name: each.mean() for name, each in per_sentence(ranking).items()}
        np.testing.assert_allclose([values["mAP"], values["mINP"]], 100 * np.array([want["mAP"], want["mINP"]]),
                                   rtol=1e-9)
        np.testing.assert_allclose([values["R1"], values["R5"], values["R10"]], 100 * want["cmc"][[0, 4, 9]],
                                   rtol=1e-6)


def test_an_occluded_gallery_is_the_whole_one_with_images_replaced():
    """Images 6 and 7 (columns of the table) take the places 0 and 3; the whole gallery is as before afterwards."""
    rng = np.random.default_rng(5)
    table = rng.standard_normal((4, 8)).astype(np.float32)
    pids, suites = [1, 1, 2, 2, 3, 0], [replaced([6, 7], [0, 3]), replaced([7], [5], "gallery-masking-0.30")]
    _, found = searched(table, [1, 2, 3, 1], pids, suites)
    assert list(found.rankings) == ["whole", "gallery-ogor", "gallery-masking-0.30"]
    for name, columns in (("whole", range(6)), ("gallery-ogor", [6, 1, 2, 7, 4, 5]),
                          ("gallery-masking-0.30", [0, 1, 2, 3, 4, 7])):
        want = slow_metrics(table[:, list(columns)], [1, 2, 3, 1], pids)
        np.testing.assert_allclose([each.mean() for each in per_sentence(found.rankings[name]).values()], want)


def test_only_replaced_images_are_encoded_anew(tmp_path):
    study = open_study(write_study(tmp_path))
    searcher = ColourSearcher()
    search_method("colours", searcher, study, Search(batch=5, cost_repeats=0, bootstrap=10), lambda _: None)
    assert searcher.seen == [1, 5, 5, 5, 5, 5, 3, 5, 3]  # a probe, 28 of the gallery, 8 replaced
    encoded = encode_images(searcher, study.images, study.gallery_rows, 7, "")
    suite = study.suites[0]
    patched = np.stack([study.picture(suite, place) for place in range(28)])
    exchange(encoded, suite.places, encode_images(searcher, suite.images, np.arange(8), 3, ""))
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
    memory = SearchMemory(2**30, 0, 0, rows, tile, 12)
    similarities = Similarities(ColourSearcher(), *sides, memory)
    want = sides[0]["feature"] @ sides[1]["feature"].T
    np.testing.assert_array_equal(similarities(np.array([3, 0, 16, 5])), -want[[3, 0, 16, 5]])
    study = table_study(rng.integers(1, 5, 17), rng.integers(0, 5, 30))
    whole = SearchMemory(2**30, 0, 0, 10**6, 10**6, 12)
    ranking = rank(similarities, study, memory)
    plain = rank(Similarities(ColourSearcher(), *sides, whole), study, whole)
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
    memory = plan_memory(Search(memory_mb=64), *one, 20, 100, 0)
    assert memory.pair == 4 * 3 * 4 * 3
    tight = SearchMemory(memory.budget, 0, 0, memory.rows, 40 * memory.pair, memory.pair)
    Similarities(searcher, sentences, images, tight)(np.arange(20))
    assert Watched.largest == 40


def test_a_budget_too_small_names_what_is_needed():
    one = {"feature": torch.zeros(1, 256 * 1024)}  # 1 MB each
    with pytest.raises(ReanchorError) as caught:
        plan_memory(Search(memory_mb=20), one, one, 10, 20, 6)
    least = 10 + 20 + 2 * 6 + KEYS // MB + 1
    assert f"search.memory_mb: got 20; allowed here: at least {least}" in str(caught.value)
    plan = plan_memory(Search(memory_mb=least), one, one, 10, 20, 6)
    assert plan.total <= least * MB and "12 MB" in plan.sentence()


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


# the study on disk

@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    root = write_study(tmp_path_factory.mktemp("search"))
    return root, fill_search(root)


def rows(root, name):
    return pq.read_table(root / f"reports/search/{name}.parquet").to_pylist()


def test_every_number_has_its_interval_and_protocol(judged):
    root, _ = judged
    results = rows(root, "results")
    assert {(r["method"], r["condition"], r["metric"]) for r in results} == {
        (m, c, k) for m in ("zero_shot", "tbps_clip", "mgcc") for c in ("whole", "gallery-ogor") for k in METRICS}
    assert all(r["low"] - 1e-9 <= r["value"] <= r["high"] + 1e-9 and r["gallery"] == 28 for r in results)
    assert {r["occluded_images"] for r in results} == {0, 8}
    protocol = json.loads((root / "reports/search/protocol.json").read_text())
    expected = {"sentences": 16, "described_images": 8, "query_identities": 8, "gallery": 28, "distractors": 4,
                "junk_dropped": 3, "gallery_identities": 8, "own_images_in_gallery": 0, "lost_sentences": 0,
                "card": "streetfolk", "searches": "each caption by itself: those of query images search the gallery",
                "cut_sentences": {"zero_shot": 0, "tbps_clip": 0, "mgcc": 8}, "test_time_extras": "none"}
    assert {key: protocol[key] for key in expected} == expected
    (suite,) = protocol["suites"]
    assert suite["replaced"] == 8 and len(suite["sha256"]) == 64


def test_occlusion_costs_and_noise_costs(judged):
    value = {(r["method"], r["condition"]): r["value"] for r in rows(judged[0], "results") if r["metric"] == "mAP"}
    assert value["mgcc", "whole"] == 100 > value["mgcc", "gallery-ogor"]
    assert value["mgcc", "whole"] > value["tbps_clip", "whole"] > value["zero_shot", "whole"]


def test_samples_say_what_was_found_and_kept(judged):
    root, study = judged
    samples = rows(root, "rankings")
    assert len(samples) == 3 * 2 * 8
    for row in samples:
        pid = study.labels.pids[row["query_row"]]
        assert row["gallery_rows"] == study.gallery_rows[row["places"]].tolist()
        assert row["right"] == (study.labels.pids[row["gallery_rows"]] == pid).tolist()
        if row["first_match"] <= 20:
            assert row["right"].index(True) + 1 == row["first_match"]
        assert row["text"] == study.sentences.texts[row["sentence"]] and row["matches"] == 3
        hidden = set() if row["condition"] == "whole" else set(study.suites[0].places)
        assert row["occluded"] == [place in hidden for place in row["places"]]
        if row["method"] == "mgcc":
            assert row["kept_patches"] == [[8, 15, 20]] * 20 and row["grid_rows"] == 12
            words = [row["text"][start:stop] for start, stop in row["kept_spans"]]
            assert words == [row["text"].split()[0].strip("&,"), row["text"].split()[4]] or row["sentence"] % 2
        else:
            assert row["kept_patches"] == [] == row["kept_spans"]


def test_cost_stands_apart_from_the_metrics(judged):
    cost = json.loads((judged[0] / "reports/search/cost.json").read_text())
    for one in cost.values():
        assert min(one["ms_per_image"], one["ms_per_sentence"], one["ms_per_query"]) > 0
        assert one["peak_mb_match"] >= 0 and one["gallery"] == 28 and one["device"] == "cpu"
    assert cost["zero_shot"]["bytes_per_image"] == 24 and cost["mgcc"]["bytes_per_image"] == 2 * 24 + 3 * 8
    metrics = json.loads((judged[0] / "reports/search/metrics.json").read_text())
    assert not [key for key in metrics if "ms_" in key or "mb" in key.split("/")[-1].lower()]


def test_the_same_search_twice_is_the_same(judged, tmp_path):
    root, _ = judged
    again = write_study(tmp_path)
    fill_search(again)
    for name in ("results", "differences", "rankings"):
        assert (root / f"reports/search/{name}.parquet").read_bytes() == \
            (again / f"reports/search/{name}.parquet").read_bytes()


def test_in_a_text_dataset_the_gallery_is_described(tmp_path):
    study = open_study(write_study(tmp_path, text_layout=True))
    counts = study.counts()
    assert counts["sentences"] == 48 and counts["own_images_in_gallery"] == counts["described_images"] == 24
    found = search_method("colours", ColourSearcher(), study, QUIET, lambda _: None)
    assert (found.rankings["whole"].first_Q == 1).all()  # an own image counts as a match
    assert not np.isnan(found.rankings["whole"].ap_Q).any()


def test_a_dataset_without_captions_has_no_sentences_and_leaves_a_note(tmp_path):
    study = open_study(write_study(tmp_path, captions=False))
    assert len(study.sentences) == 0
    assert write_skipped(tmp_path / "out", "no captions") == {"skipped": 1}
    assert pq.read_table(tmp_path / "out/results.parquet").num_rows == 0
    assert json.loads((tmp_path / "out/protocol.json").read_text()) == {"skipped": "no captions"}


def test_sample_sentences_are_one_per_person_with_a_match():
    study = table_study([5, 1, 1, 2, 9, 5], [1, 2, 5])
    chosen = sample_sentences(study, Search())
    assert sorted(study.query.pids[chosen]) == [1, 2, 5]
    assert (chosen == sample_sentences(study, Search())).all()
    assert len(sample_sentences(study, Search(sample_queries=2))) == 2


# users' mistakes

def test_an_occluded_set_of_another_gallery_is_refused(tmp_path):
    write_study(tmp_path / "a")
    write_study(tmp_path / "b", text_layout=True)
    with pytest.raises(ReanchorError, match=r"gallery-ogor: holds images that are not in the gallery.*-f occlude"):
        load_search_study(tmp_path / "a/data/prepared", tmp_path / "b/data/occluded")
    with pytest.raises(ReanchorError, match="dvc repro occlude"):
        load_search_study(tmp_path / "a/data/prepared", tmp_path / "nowhere")


def test_sentences_about_nobody_are_refused(tmp_path):
    from reanchor.data import Manifest

    root = write_study(tmp_path)
    manifest = Manifest.read(root / "data/prepared/manifest.parquet")
    pids = manifest.pid + 100 * (manifest.split == "query")
    dataclasses.replace(manifest, pid=pids).write(root / "data/prepared/manifest.parquet")
    with pytest.raises(ReanchorError, match="none of the 16 sentences describes a person of the gallery of 28"):
        load_search_study(root / "data/prepared", root / "data/occluded")


def test_a_method_that_reads_other_images_is_refused():
    searcher = TableSearcher(np.zeros((1, 1), np.float32))
    searcher.spec = ClipSpec({}, (8, 4))
    with pytest.raises(ReanchorError, match=r"mgcc: model reads 8x4, data/prepared holds 4x2"):
        search_method("mgcc", searcher, table_study([1], [1]), QUIET)


def test_similarities_that_are_no_numbers_are_refused():
    with pytest.raises(ReanchorError, match="NaN"):
        searched([[np.nan, 0.0]], [1], [1, 2])


def test_a_method_that_was_not_trained_is_named(tmp_path):
    (tmp_path / "mgcc").mkdir()
    (tmp_path / "mgcc/skipped.json").write_text('{"reason": "mgcc.train is false"}')
    with pytest.raises(ReanchorError, match=r"search.methods: got 'mgcc', which was not trained \(mgcc.train is false"):
        searcher_factories(["zero_shot", "mgcc"], tmp_path, "cpu")
    assert list(searcher_factories(["sdm", "zero_shot"], tmp_path, "cpu")) == ["sdm", "zero_shot"]


# words

def test_cut_sentences_are_counted_and_said():
    searcher = TokenSearcher()
    assert cut_sentences(searcher, ["a " * 9, "a " * 10, ""]) == 1
    assert cut_sentences(ColourSearcher(), ["a " * 99]) == 0  # tells no context


def test_sentences_are_counted_as_they_are_read():
    searcher = TokenSearcher()
    searcher.read = lambda text: text.replace(".", "")
    assert cut_sentences(searcher, ["a " * 9 + "." * 5, "a " * 10]) == 1
    assert kept_spans(searcher, "a. b", [0]) == []  # numbers of another text's tokens


def test_word_tokens_stand_where_the_text_has_them():
    text = "A green  Shirt, red-ish."
    spans = token_spans(WordTokenizer(["a"]), text)
    assert [text[start:stop] for start, stop in spans] == ["A", "green", "Shirt", ",", "red", "ish", "."]
    searcher = TokenSearcher()
    assert kept_spans(searcher, text, [6, 5, 1, 7, 40]) == [(2, 7), (20, 24)]  # [EOS] and padding are no words


def test_byte_pairs_stand_where_the_text_has_them():
    tokenizer, text = BytePairTokenizer(), "A pedestrian's  Turquoise-ish jacket, caf\u00e9."
    spans = token_spans(tokenizer, text)
    assert len(spans) == len(tokenizer.encode(text))
    covered = "".join(text[start:stop] for start, stop in filter(None, spans))
    assert covered.replace(" ", "").lower().startswith("apedestrian'sturquoise-ishjacket,caf")
    assert all(a[1] <= b[0] for a, b in zip(filter(None, spans), list(filter(None, spans))[1:], strict=False))
