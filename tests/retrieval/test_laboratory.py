"""Areas under curves, preferences of token weights and what anchors look at, against numbers made by hand."""

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from evaluation_fakes import AnchoredEmbedder, FakeEmbedder, make_study, person_mask
from golden_files import tiny_clip
from saga_fakes import IMAGES, reid_model

from reanchor.config.sections.judging import Evaluate
from reanchor.methods.clip_reid.embedder import ReidEmbedder
from reanchor.methods.saga.build import build_head
from reanchor.methods.saga.embedder import SagaEmbedder
from reanchor.methods.saga.settings import Saga
from reanchor.report import laboratory
from reanchor.report.build import accuracy_charts
from reanchor.report.summary import evaluation_summary
from reanchor.report.table import protocol_line
from reanchor.retrieval.anchors import PARTS, SIXTHS, anchor_parts, body_parts
from reanchor.retrieval.bootstrap import area
from reanchor.retrieval.judge import judge
from reanchor.retrieval.tables import ratio_series
from reanchor.retrieval.token_tables import PREFERENCE_BINS, preference
from reanchor.streetfolk.canvas import PARTS as RENDERED_PARTS

RATIOS = np.array([0.0, 0.1, 0.3, 0.5])


def test_area_is_the_trapezoids_mean():
    # .1 x 70 + .2 x 50 + .2 x 30 = 23, over .5
    assert area(RATIOS, np.array([80.0, 60.0, 40.0, 20.0])) == pytest.approx(46)
    assert area(RATIOS, np.full((3, 4), 7.0)).tolist() == pytest.approx([7, 7, 7])
    one, other = np.random.default_rng(0).random((2, 5, 4))
    np.testing.assert_allclose(area(RATIOS, one - other), area(RATIOS, one) - area(RATIOS, other))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluate")
    study = make_study()
    factories = {"clip_reid": lambda: FakeEmbedder("clip_reid", noise=60.0),
                 "saga": lambda: AnchoredEmbedder("saga", noise=20.0, tokens=True, robust=3.0)}
    return out, study, judge(Evaluate(bootstrap=200, batch=16), study, factories, out)


def test_areas_are_those_of_the_values_and_their_differences_are_paired(evaluated):
    out, _, metrics = evaluated
    found = json.loads((out / "areas.json").read_text())
    areas = {(row["method"], row["kind"], row["metric"]): row for row in found["areas"]}
    assert set(areas) == {(m, k, v) for m in ("clip_reid", "saga") for k in ("masking", "people")
                          for v in ("mAP", "R1", "mINP")}
    series = [metrics[f"saga/{name}/mAP"] for name in ("whole", "people-0.10", "people-0.30", "people-0.50")]
    one = areas["saga", "people", "mAP"]
    assert one["ratios"] == RATIOS.tolist() and one["value"] == pytest.approx(area(RATIOS, np.array(series)), abs=1e-3)
    assert metrics["saga/area_people/mAP"] == pytest.approx(one["value"], abs=1e-4)
    difference = next(row for row in found["differences"] if (row["kind"], row["metric"]) == ("people", "mAP"))
    assert (difference["method_a"], difference["method_b"]) == ("saga", "clip_reid")
    assert difference["value"] == pytest.approx(one["value"] - areas["clip_reid", "people", "mAP"]["value"])
    for row in (one, difference):
        assert row["low"] < row["value"] < row["high"]
    other = areas["clip_reid", "people", "mAP"]
    assert difference["high"] - difference["low"] < one["high"] - one["low"] + other["high"] - other["low"]


def test_a_suite_that_misses_its_ratio_has_rows_but_is_no_point_of_a_curve(tmp_path):
    study = make_study()
    study = dataclasses.replace(study, suites=[
        dataclasses.replace(c, covered=0.271 if c.name == "people-0.30" else c.ratio and c.ratio + 0.019)
        for c in study.suites])
    series = ratio_series(study.suites)
    assert list(series["people"]) == [0.0, 0.1, 0.5] and len(series["masking"]) == 4
    factories = {"clip_reid": lambda: FakeEmbedder("clip_reid", noise=60.0),
                 "saga": lambda: FakeEmbedder("saga", noise=20.0)}
    judge(Evaluate(bootstrap=50, batch=16), study, factories, tmp_path)
    rows = pq.read_table(tmp_path / "results.parquet").to_pylist()
    assert {r["ratio"] for r in rows if r["kind"] == "people"} == {0.1, 0.3, 0.5}
    told = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("slopes", "areas", "protocol")]
    for row in (*told[0], *told[1]["areas"]):
        assert row["ratios"] == ([0.0, 0.1, 0.5] if row["kind"] == "people" else RATIOS.tolist())
    assert "people,0.3" not in (tmp_path / "accuracy.csv").read_text()
    assert told[2]["off_ratio"] == ["people-0.30"]
    assert "; people-0.30: their mean covered share" in protocol_line(told[2])
    summary = evaluation_summary(tmp_path)
    chart = {one["title"]: one["svg"] for one in accuracy_charts(summary, dict.fromkeys(factories, 0))}
    assert chart["Pasted people"].count("<circle") == 6 < chart["Masking"].count("<circle") == 8


def test_preference_is_the_targets_density_over_the_others():
    # three queries: 4 times, a half, and one that shows no stranger
    columns = {"weight_target": np.array([0.8, 0.2, 0.6]), "area_target": np.array([0.4, 0.2, 0.5]),
               "weight_person": np.array([0.1, 0.6, 0.0]), "area_person": np.array([0.2, 0.3, 0.0])}
    found = preference(columns, "person")
    assert (found["queries"], found["preferring"]) == (2, 0.5)
    assert found["preference"]["0.5"] == pytest.approx((4 + 0.5) / 2)
    counts = dict(zip(PREFERENCE_BINS[:-1].tolist(), found["preference_counts"], strict=True))
    assert {low for low, n in counts.items() if n} == {-1.0, 2.0} and sum(counts.values()) == 2
    assert preference(columns, "target") == {} == preference({**columns, "area_person": np.zeros(3)}, "person")
    never = preference({**columns, "weight_person": np.zeros(3)}, "person")  # all beyond the last bin
    assert never["preference_counts"][-1] == 2 and never["preferring"] == 1


def test_token_shares_of_a_suite_hold_the_preference(evaluated):
    rows = json.loads((evaluated[0] / "token_shares.json").read_text())
    people = next(r for r in rows if r["condition"] == "people-0.30" and r["label"] == "person")
    assert sum(people["preference_counts"]) == people["queries"] <= 36 and people["preferring"] > 0.5
    assert "preferring" not in next(r for r in rows if r["label"] == "target")


def test_parts_are_labels_sixths_of_the_person_or_of_the_picture():
    assert PARTS == RENDERED_PARTS and len(SIXTHS) == 7
    labels = np.arange(7, dtype=np.uint8).reshape(1, 7, 1)
    names, label = body_parts(labels)
    assert names == PARTS and np.array_equal(label(labels), labels)
    silhouette = np.zeros((1, 20, 2), np.uint8)
    silhouette[0, 3:15, 0] = 255  # twelve rows: two a sixth
    for plain in (silhouette, (silhouette > 0).astype(np.uint8)):
        names, label = body_parts(plain)
        assert names == SIXTHS
        assert label(plain)[0, :, 0].tolist() == [0] * 3 + [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6] + [0] * 5
        assert not label(plain)[0, :, 1].any()
    assert not body_parts(None)[1](np.zeros((1, 4, 4), np.uint8)).any()


def test_anchor_parts_by_hand():
    study = make_study()
    rows = anchor_parts("saga", AnchoredEmbedder("saga"), study, batch=7)
    cells = {(row["anchor"], row["part"]): row for row in rows}
    assert len(cells) == 2 * 7
    # no masks: sixths of 96 rows; anchor 1 sees rows 16 to 31 of pixels, which is the second sixth
    assert cells[1, "2nd sixth"]["share"] == pytest.approx(1) and cells[1, "1st sixth"]["share"] == 0
    for part in SIXTHS[1:]:
        assert cells[2, part]["share"] == pytest.approx(1 / 6) == pytest.approx(cells[2, part]["area"])
    assert anchor_parts("zero_shot", FakeEmbedder("zero_shot"), study) == []


def test_anchor_parts_read_part_masks():
    study, mask = make_study(), np.zeros((96, 48), np.uint8)
    mask[8:24, :24], mask[24:, 12:36] = 1, 4  # head on half of its rows, legs
    object.__setattr__(study, "parts", np.repeat(mask[None], len(study.images), axis=0))
    cells = {(row["anchor"], row["part"]): row for row in anchor_parts("saga", AnchoredEmbedder("saga"), study)}
    # anchor 1 sees pixel rows 16 to 31: eight rows of a half head, eight rows of legs on half the width
    assert {part: cells[1, part]["share"] for part in PARTS} == pytest.approx(
        {"background": 0.5, "head": 0.25, "torso": 0, "arms": 0, "legs": 0.25, "feet": 0, "bag": 0})
    assert cells[2, "legs"]["area"] == pytest.approx(72 * 24 / (96 * 48)) and cells[2, "legs"]["deviation"] < 1e-9
    assert person_mask().max() == 1


def test_anchor_attention_is_the_heads_own_scaled_to_sum_to_one():
    model, clip = reid_model(side=False), tiny_clip()
    config = Saga(text_anchors=5, context_slots=4, frozen_slots=2, token_blocks=[1, 2], refine_layers=1)
    text = clip.text_encoder()
    head = build_head(config, model, 3, text, clip.spec.tokenizer())
    with torch.no_grad():
        vectors = head.anchors(text)
    from reanchor.methods.saga.anchors import FreeAnchors

    head.anchors = FreeAnchors(5, 64)
    head.anchors.anchors.data = vectors.clone()
    embedder = SagaEmbedder("saga", ReidEmbedder("saga", model, clip.spec, "cpu"), head, (1, 2), (1.0, 0.0, 0.0))
    got = embedder.anchor_attention(IMAGES, np.ones(6, int))
    assert got.shape == (6, 5, 8)
    np.testing.assert_allclose(got.sum(2), 1, atol=1e-5)
    from reanchor.formats.labels import Labels

    out, _ = embedder.aggregated(IMAGES, Labels(np.full(6, -1), np.ones(6, int)))
    second = out.attention[1][3, :, 1]  # image 3, the second path's second anchor: the fourth of all
    np.testing.assert_allclose(got[3, 3], (second / second.sum()).numpy(), atol=1e-6)


def test_the_reports_parts(evaluated):
    out = evaluated[0]
    summary = {"areas": json.loads((out / "areas.json").read_text())}
    shares = json.loads((out / "token_shares.json").read_text())
    rows = laboratory.area_rows(summary)
    assert [row["method"] for row in rows] == ["clip_reid", "saga"] and list(rows[0]["kinds"]) == ["masking", "people"]
    sentences = laboratory.area_sentences(summary)
    assert len(sentences) == 2 and sentences[0].startswith("Masking: SAGA minus CLIP-ReID ([CLS]) +")
    charts = laboratory.weight_charts(shares)
    assert [chart["title"] for chart in charts] == ["SAGA, masking", "SAGA, pasted people"]
    assert [name for name, _ in charts[1]["legend"]] == ["visible target", "pasted person", "background"]
    (masked, pasted) = laboratory.preference_charts(shares)
    assert len(masked["legend"]) == 3 and pasted["legend"][0][0].startswith("10 % covered: ")
    (table,) = laboratory.anchor_tables(json.loads((out / "anchor_parts.json").read_text()))
    cell = dict(zip(table["parts"], table["anchors"][0][1], strict=True))["2nd sixth"]
    assert cell["share"] == pytest.approx(100) and cell["times"] == pytest.approx(6) and cell["shade"] == 1


def test_a_reference_that_comes_later_changes_the_sign():
    row = {"method_a": "clip_reid", "method_b": "baseline", "kind": "people", "metric": "mAP", "value": 2.0,
           "low": 1.0, "high": 4.0}
    assert laboratory.area_sentences({"areas": {"differences": [row]}}) == [
        "Pasted people: Baseline (no text) minus CLIP-ReID ([CLS]) -2.0 [-4.0, -1.0]"]
