"""queries.parquet: what is read back makes the tables of the run, value by value."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluation_fakes import FakeEmbedder, make_study, with_galleries
from search_fakes import ColourSearcher, TokenSearcher, open_study, write_study

from reanchor.config.sections.judging import Evaluate, Nfc, Search
from reanchor.errors import ReanchorError
from reanchor.retrieval.judge import judge
from reanchor.retrieval.measure import measure_method
from reanchor.retrieval.outcomes import Outcomes, read_outcomes
from reanchor.retrieval.outputs import DIFFERENCES, PICTURES, SENTENCES, write_skipped
from reanchor.retrieval.ranking import rank_features
from reanchor.retrieval.tables import tabulate


def some_lost(study):
    """The study with every gallery image of person 5 under one camera: that camera's query is lost."""
    study.labels.camids[study.gallery_rows[study.labels.pids[study.gallery_rows] == 5]] = 1
    return study


CASES = {
    "sides": lambda: (some_lost(with_galleries(make_study())), {}),
    "curves": lambda: (make_study(), {"nfc": Nfc(True, 2, 2)}),
    "galleries": lambda: (dataclasses.replace(make_study(distractors=0), galleries=3, card_rule="none"), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_tables_of_pictures_come_back_from_the_file_exactly(tmp_path, case):
    study, more = CASES[case]()
    methods = {"clip_reid": lambda: FakeEmbedder("clip_reid", noise=60.0),
               "saga": lambda: FakeEmbedder("saga", noise=52.0, tokens=True)}
    judge(Evaluate(bootstrap=60, batch=64, confidence=0.9, seed=3, **more), study, methods, tmp_path, lambda line: None)
    found = tabulate(read_outcomes(tmp_path / "queries.parquet"))
    for name, rows, schema in (("results", found.results, PICTURES["results"]),
                               ("differences", found.differences, DIFFERENCES)):
        assert pa.Table.from_pylist(rows, schema=schema).equals(pq.read_table(tmp_path / f"{name}.parquet"))
    told = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("slopes", "areas")}
    assert (found.slopes, found.areas) == (told["slopes"], told["areas"]) and found.slopes


@pytest.mark.parametrize("text_layout", [False, True])
def test_tables_of_sentences_come_back_from_the_file_exactly(tmp_path, text_layout):
    study = open_study(write_study(tmp_path, text_layout=text_layout))
    methods = {"zero_shot": lambda: ColourSearcher(noise=60.0), "mgcc": TokenSearcher}
    judge(Search(bootstrap=60, cost_repeats=0, seed=2), study, methods, tmp_path, lambda line: None)
    found = tabulate(read_outcomes(tmp_path / "queries.parquet"))
    for name, rows in (("results", found.results), ("differences", found.differences)):
        assert pa.Table.from_pylist(rows, schema=SENTENCES[name]).equals(pq.read_table(tmp_path / f"{name}.parquet"))
    assert (found.slopes, found.areas) == ([], {"areas": [], "differences": []})
    table = pq.read_table(tmp_path / "queries.parquet")
    assert table["sentence"].to_pylist() == 4 * list(range(len(study.sentences)))
    assert table["query_row"].to_pylist() == 4 * study.sentences.rows.tolist()


def test_a_row_is_a_query_as_it_was_ranked(tmp_path):
    study = some_lost(make_study())
    config = Evaluate(camera_rule="market", batch=64)
    Outcomes.of(measure_method("saga", FakeEmbedder("saga", 20.0), study, config, lambda line: None), study, config
                ).write(tmp_path / "queries.parquet")
    table = pq.read_table(tmp_path / "queries.parquet")
    assert len(table) == (len(study.suites) + 2) * len(study.query_rows)
    condition, embedder = study.suites[2], FakeEmbedder("saga", 20.0)
    rows = [row for row in table.to_pylist() if row["condition"] == condition.name]
    query = embedder.embed(condition.images, np.zeros(36)).features
    gallery = np.concatenate([embedder.embed(study.images[study.gallery_rows[part]], np.zeros(1)).features
                              for part in (slice(64), slice(64, None))])
    want = rank_features(query, gallery, study.query, study.gallery)
    assert [row["query_row"] for row in rows] == condition.rows.tolist() and {row["method"] for row in rows} == {"saga"}
    assert [row["pid"] for row in rows] == study.query.pids.tolist() and {row["sentence"] for row in rows} == {None}
    for name, values in (("average_precision", want.ap_Q), ("inverse_negative_penalty", want.inp_Q),
                         ("first_match", want.first_Q)):
        np.testing.assert_array_equal([row[name] for row in rows], values)
    assert np.isnan([row["average_precision"] for row in rows]).sum() == 1 == want.lost


def test_names_are_written_once(tmp_path):
    study = make_study()
    judge(Evaluate(bootstrap=20), study, {"clip_reid": lambda: FakeEmbedder("clip_reid")}, tmp_path, lambda line: None)
    file = pq.ParquetFile(tmp_path / "queries.parquet")
    for column in range(2):
        chunk = file.metadata.row_group(0).column(column)
        assert "RLE_DICTIONARY" in chunk.encodings and chunk.total_compressed_size < 200 + 2 * len(study.suites) * 8
    assert file.metadata.num_row_groups == 1


@pytest.mark.parametrize("write", [lambda path: None, lambda path: path.write_bytes(b"torn"),
                                   lambda path: pq.write_table(pa.table({"method": ["a"]}), path)])
def test_another_file_is_refused_in_one_line(tmp_path, write):
    write(tmp_path / "queries.parquet")
    with pytest.raises(ReanchorError, match=r"queries\.parquet: no outcomes .*stages evaluate and search") as caught:
        read_outcomes(tmp_path / "queries.parquet")
    assert "\n" not in str(caught.value)


def test_a_skipped_stage_leaves_no_outcomes(tmp_path):
    write_skipped(tmp_path, "no query")
    assert pq.read_table(tmp_path / "queries.parquet").num_rows == 0
    with pytest.raises(ReanchorError, match="no outcomes"):
        read_outcomes(tmp_path / "queries.parquet")
