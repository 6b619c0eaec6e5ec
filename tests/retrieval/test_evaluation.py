"""Evaluation end to end on a made-up study; token weights; colour histograms."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from evaluation_fakes import GRID, FakeEmbedder, make_study

from reanchor.config.sections.judging import Evaluate
from reanchor.errors import ReanchorError
from reanchor.formats.embedder import Embedder, Embedding
from reanchor.formats.labels import Labels
from reanchor.methods.embedder_factories import embedder_factories
from reanchor.methods.histogram.embedder import ColourHistogram, hsv
from reanchor.retrieval.encode import encode_pictures
from reanchor.retrieval.encoder import sample_rows
from reanchor.retrieval.judge import judge
from reanchor.retrieval.opening import open_study
from reanchor.retrieval.tokens import LABELS, patch_shares, weight_shares


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluate")
    factories = {"clip_reid": lambda: FakeEmbedder("clip_reid", noise=60.0),
                 "saga": lambda: FakeEmbedder("saga", noise=20.0, tokens=True, robust=3.0)}
    study = make_study()
    return out, study, judge(Evaluate(bootstrap=200, batch=16), study, factories, out)


def table(out, name):
    return pq.read_table(out / name).to_pylist()


def test_every_condition_has_every_metric_inside_its_interval(evaluated):
    out, study, _ = evaluated
    rows = table(out, "results.parquet")
    conditions = {"whole", "whole-no-distractors", *(c.name for c in study.suites)}
    assert {(r["method"], r["condition"], r["metric"]) for r in rows} == {
        (m, c, k)
        for m in ("clip_reid", "saga")
        for c in conditions
        for k in ("mAP", "R1", "R5", "R10", "mINP")
    }
    for row in rows:
        assert row["low"] - 1e-9 <= row["value"] <= row["high"] + 1e-9
        assert row["queries"] == 36 and row["lost_queries"] == 0
        assert row["gallery"] == (72 if row["condition"] == "whole-no-distractors" else 82)


def test_distractors_can_only_cost_accuracy(evaluated):
    metrics = evaluated[2]
    for method in ("clip_reid", "saga"):
        assert metrics[f"{method}/whole-no-distractors/mAP"] >= metrics[f"{method}/whole/mAP"]


def test_differences_and_slopes_are_those_of_the_values(evaluated):
    out, _, metrics = evaluated
    value = {(r["condition"], r["metric"]): r["value"] for r in table(out, "differences.parquet")}
    assert value["whole", "mAP"] == pytest.approx(
        metrics["saga/whole/mAP"] - metrics["clip_reid/whole/mAP"], abs=2e-4
    )
    slopes = {(s["kind"], s["metric"]): s for s in json.loads((out / "slopes.json").read_text())}
    one = slopes["people", "mAP"]
    assert one["ratios"] == [0.0, 0.1, 0.3, 0.5]
    assert one["lead"][1] == pytest.approx(value["people-0.10", "mAP"])
    assert one["slope_per_0.1"] == pytest.approx(np.polyfit(one["ratios"], one["lead"], 1)[0] / 10)
    assert one["low"] <= one["slope_per_0.1"] <= one["high"]


def test_sample_galleries_say_right_and_wrong(evaluated):
    out, study, _ = evaluated
    for row in table(out, "rankings.parquet"):
        pid = study.labels.pids[row["query_row"]]
        assert row["right"] == [bool(study.labels.pids[g] == pid) for g in row["gallery_rows"]]
        seen = [g for g in row["gallery_rows"] if study.labels.pids[g] == pid]
        assert all(study.labels.camids[g] != study.labels.camids[row["query_row"]] for g in seen)
        if row["first_match"] <= len(row["right"]):
            assert row["right"].index(True) + 1 == row["first_match"]


def test_token_weights_on_the_visible_person(evaluated):
    out, _, metrics = evaluated
    rows = table(out, "token_weights.parquet")
    assert {r["method"] for r in rows} == {"saga"} and len(rows) == 36 * 7
    for row in rows:
        for prefix in ("weight", "area"):
            assert sum(row[f"{prefix}_{label}"] for label in LABELS) == pytest.approx(1)
        assert row["weight_target"] >= row["area_target"]  # this fake prefers the figure
    people = [r["weight_target"] for r in rows if r["condition"] == "people-0.30"]
    assert metrics["saga/people-0.30/token_weight_on_target"] == pytest.approx(np.mean(people), abs=1e-4)
    one = next(r for r in json.loads((out / "token_shares.json").read_text())
               if r["condition"] == "people-0.30" and r["label"] == "target")
    assert one["quantiles"]["0.5"] == pytest.approx(np.median(people))
    assert len(table(out, "token_maps.parquet")[0]["weights"]) == GRID[0] * GRID[1]


def test_protocol_goes_with_every_number(evaluated):
    protocol = json.loads((evaluated[0] / "protocol.json").read_text())
    assert protocol["queries"] == 36 and protocol["query_identities"] == 12
    assert (protocol["gallery"], protocol["distractors"], protocol["junk_dropped"]) == (82, 10, 2)
    assert protocol["lost_queries_says"] == "0 of 36 queries lost all matches to the camera rule"
    assert protocol["test_time_extras"] == "none" and protocol["camera_rule"] == "market"
    assert [s["name"] for s in protocol["suites"]][:2] == ["ogor", "masking-0.10"]


def test_the_same_evaluation_twice_is_the_same(evaluated, tmp_path):
    out, study, metrics = evaluated
    factories = {"clip_reid": lambda: FakeEmbedder("clip_reid", noise=60.0)}
    again = judge(Evaluate(bootstrap=200, batch=16), study, factories, tmp_path)
    assert again == {k: v for k, v in metrics.items() if k in again}
    kept = [r for r in table(out, "results.parquet") if r["method"] == "clip_reid"]
    assert table(tmp_path, "results.parquet") == kept


class Remembers(Embedder):
    """An embedder whose feature is what it was told of each image: camid and viewid (-1: none)."""

    name = "remembers"

    def embed(self, images, camids, viewids=None):
        views = np.full(len(images), -1) if viewids is None else viewids
        return Embedding(np.stack([images[:, 0, 0, 0], camids, views], 1).astype(np.float32))


def test_cameras_and_views_reach_the_embedder_beside_their_images():
    images = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    labels = Labels(np.zeros(6, int), np.arange(10, 16), np.arange(20, 26))
    rows = np.array([4, 1, 5])
    seen = labels[rows]
    told = encode_pictures(Remembers(), images, rows, seen, 2, "")["feature"]
    np.testing.assert_array_equal(told, [[4, 14, 24], [1, 11, 21], [5, 15, 25]])
    blind = Labels(seen.pids, seen.camids)
    assert (encode_pictures(Remembers(), images, rows, blind, 2, "")["feature"][:, 2] == -1).all()
    assert labels[slice(0, 2)].viewids.tolist() == [20, 21]
    assert Labels(labels.pids, labels.camids)[rows].viewids is None


def test_sample_queries_spread_over_identities():
    pids = np.repeat(np.arange(100), 3)
    rows = sample_rows(np.arange(300), pids, seed=0)
    assert len(rows) == 64 and len(np.unique(pids[rows])) == 64
    assert (rows == sample_rows(np.arange(300), pids, seed=0)).all()
    assert len(sample_rows(np.arange(6), np.array([1, 1, 2, 2, 3, 3]), 0)) == 3


def test_methods_come_in_the_configured_order(tmp_path):
    factories = embedder_factories(Evaluate(methods=["histogram", "saga"]), tmp_path, "cpu")
    assert list(factories) == ["histogram", "saga"]


def test_missing_input_names_the_stage(tmp_path):
    with pytest.raises(ReanchorError, match="prepare"):
        open_study(tmp_path / "prepared", tmp_path / "occluded")


def test_token_shares_by_hand():
    """A 4 x 4 image of four 2 x 2 patches: the first is all target, the second half occluder."""
    mask = np.array([[[1, 1, 2, 0], [1, 1, 2, 0], [0, 0, 3, 3], [0, 0, 3, 1]]], np.uint8)
    shares = patch_shares(mask, (2, 2))
    target, occluder, person, background, unknown = shares[0].T
    np.testing.assert_array_equal(target, [1, 0, 0, 0.25])
    np.testing.assert_array_equal(occluder, [0, 0.5, 0, 0])
    np.testing.assert_array_equal(person, [0, 0, 0, 0.75])
    np.testing.assert_array_equal(background, [0, 0.5, 1, 0])
    assert not unknown.any()
    weights = np.array([[0.5, 0.3, 0.0, 0.2]], np.float32)
    np.testing.assert_allclose(weight_shares(weights, shares)[0], [0.55, 0.15, 0.15, 0.15, 0], atol=1e-7)


def test_overlapping_patches_equal_plain_slicing():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 4, (3, 20, 14)).astype(np.uint8)
    shares = patch_shares(masks, (4, 3), patch=6, stride=4)
    for row in range(4):
        for col in range(3):
            patch = masks[:, row * 4 : row * 4 + 6, col * 4 : col * 4 + 6]
            for i, label in enumerate(LABELS.values()):
                np.testing.assert_allclose(shares[:, row * 3 + col, i], (patch == label).mean((1, 2)))


def test_hsv_equals_the_standard_library():
    import colorsys

    pixels = np.random.default_rng(0).integers(0, 256, (200, 3)).astype(np.uint8)
    pixels[:3] = [[0, 0, 0], [255, 255, 255], [7, 7, 7]]
    ours = np.stack(hsv(pixels), 1)
    np.testing.assert_allclose(ours, [colorsys.rgb_to_hsv(*(p / 255)) for p in pixels], atol=1e-6)


def test_histogram_similarity_is_the_mean_bhattacharyya_coefficient():
    """Half the stripes alike and half disjoint: similarity one half; shifting columns changes nothing."""
    red, blue = np.array([255, 0, 0], np.uint8), np.array([0, 0, 255], np.uint8)
    image = np.tile(red, (1, 12, 4, 1))
    other = image.copy()
    other[:, 6:] = blue
    features = ColourHistogram().embed(np.concatenate([image, other]), np.ones(2)).features
    np.testing.assert_allclose(features @ features.T, [[1, 0.5], [0.5, 1]], atol=1e-6)
    noisy = np.random.default_rng(0).integers(0, 256, (1, 12, 4, 3)).astype(np.uint8)
    a, b = (ColourHistogram().embed(x, np.ones(1)).features for x in (noisy, noisy[:, :, ::-1]))
    np.testing.assert_array_equal(a, b)
