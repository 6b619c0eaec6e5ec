"""Text-based search judged from files: tables, protocol, samples, costs, users' mistakes."""

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from search_fakes import (
    ColourSearcher,
    TableSearcher,
    fill_search,
    open_study,
    table_study,
    write_study,
)

from reanchor.clip.model import ClipSpec
from reanchor.config.sections.judging import Search
from reanchor.errors import ReanchorError
from reanchor.methods.searcher_factories import searcher_factories
from reanchor.retrieval.encoder import sample_sentences
from reanchor.retrieval.measure import measure_method
from reanchor.retrieval.opening import open_search_study
from reanchor.retrieval.outputs import write_skipped
from reanchor.retrieval.protocol import sentence_counts
from reanchor.retrieval.tables import METRICS

QUIET = Search(bootstrap=50, cost_repeats=0)


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
        hidden = set() if row["condition"] == "whole" else set(study.places(study.suites[0]))
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
    counts = sentence_counts(study)
    assert counts["sentences"] == 48 and counts["own_images_in_gallery"] == counts["described_images"] == 24
    found = measure_method("colours", ColourSearcher(), study, QUIET, lambda _: None)["colours"]
    assert (found.rankings["whole"].first_Q == 1).all()  # an own image counts as a match
    assert not np.isnan(found.rankings["whole"].ap_Q).any()


def test_a_dataset_without_captions_has_no_sentences_and_leaves_a_note(tmp_path):
    study = open_study(write_study(tmp_path, captions=False))
    assert len(study.sentences) == 0
    assert write_skipped(tmp_path / "out", "no captions", by_sentence=True) == {"skipped": 1}
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
        open_search_study(tmp_path / "a/data/prepared", tmp_path / "b/data/occluded")
    with pytest.raises(ReanchorError, match="dvc repro occlude"):
        open_search_study(tmp_path / "a/data/prepared", tmp_path / "nowhere")


def test_sentences_about_nobody_are_refused(tmp_path):
    from reanchor.formats.manifest import Manifest

    root = write_study(tmp_path)
    manifest = Manifest.read(root / "data/prepared/manifest.parquet")
    pids = manifest.pid + 100 * (manifest.split == "query")
    dataclasses.replace(manifest, pid=pids).write(root / "data/prepared/manifest.parquet")
    with pytest.raises(ReanchorError, match="none of the 16 sentences describes a person of the gallery of 28"):
        open_search_study(root / "data/prepared", root / "data/occluded")


def test_a_method_that_reads_other_images_is_refused():
    searcher = TableSearcher(np.zeros((1, 1), np.float32))
    searcher.preprocessing = ClipSpec({}, (8, 4)).preprocessing
    with pytest.raises(ReanchorError, match=r"mgcc: model reads 8x4, data/prepared holds 4x2"):
        measure_method("mgcc", searcher, table_study([1], [1]), QUIET)


def test_a_method_that_was_not_trained_is_named(tmp_path):
    (tmp_path / "models/mgcc").mkdir(parents=True)
    (tmp_path / "models/mgcc/skipped.json").write_text('{"reason": "mgcc.train is false"}')
    with pytest.raises(ReanchorError, match=r"search.methods: got 'mgcc', which was not trained \(mgcc.train is false"):
        searcher_factories(["zero_shot", "mgcc"], tmp_path, "cpu")
    assert list(searcher_factories(["sdm", "zero_shot"], tmp_path, "cpu")) == ["sdm", "zero_shot"]
