"""Protocol cards, random galleries, test-time extras, memory budgets, queries lost to the camera rule."""

import dataclasses
import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from composed import composed
from evaluation_fakes import FakeEmbedder, make_study

from reanchor.config.sections.judging import Evaluate, Nfc, Rerank
from reanchor.errors import ReanchorError
from reanchor.evaluation.conditions import Study, load_study
from reanchor.evaluation.distance import block_distance
from reanchor.evaluation.draws import gallery_draws, lost_queries, query_pids
from reanchor.evaluation.evaluate import evaluate
from reanchor.evaluation.extras import test_time_extras as told_extras
from reanchor.evaluation.memory import KEYS, MB, plan_memory
from reanchor.evaluation.nfc import centralise
from reanchor.evaluation.ranker import Ranker, Side
from reanchor.evaluation.ranking import rank_features
from reanchor.evaluation.rerank import reranked_distance
from reanchor.files import write_json
from reanchor.formats.embedder import Embedding
from reanchor.formats.images import write_store
from reanchor.formats.labels import Labels
from reanchor.formats.manifest import Manifest


def bare_study(pids, camids, query, gallery, **card) -> Study:
    """A study of labels alone."""
    labels = Labels(np.array(pids), np.array(camids))
    return Study(np.zeros((len(pids), 1, 1, 3), np.uint8), labels, np.array(query), np.array(gallery), [], **card)


def unit(rng, rows, width=5):
    features = rng.standard_normal((rows, width)).astype(np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def run(config, study, out, **embedders):
    lines: list[str] = []
    factories = embedders or {"clip_reid": lambda: FakeEmbedder("clip_reid", noise=60.0)}
    metrics = evaluate(config, study, factories, out, lines.append)
    return metrics, json.loads((out / "protocol.json").read_text()), lines


# the card

def test_the_card_decides_before_the_cameras_do():
    study = make_study()
    assert study.camera_rule("auto") == "market"
    assert dataclasses.replace(study, card_rule="none").camera_rule("auto") == "none"
    assert dataclasses.replace(study, card_rule="none").camera_rule("market") == "market"


def prepared(root, **metadata):
    """Two prepared images, one a query and one its gallery, and no occluded suite."""
    manifest = Manifest(["a", "b"], ["a.jpg", "b.jpg"], np.array([7, 7]), np.array([1, 2], np.int32),
                        np.array([3, 4], np.int32), np.array(["query", "gallery"]), [[], []],
                        np.array([4, 4], np.int32), np.array([8, 8], np.int32), ["", ""], metadata)
    root.mkdir()
    manifest.write(root / "manifest.parquet")
    write_store(root / "images.arrow", [np.zeros((8, 4, 3), np.uint8)] * 2)
    write_json(root / "statistics.json", {"found": {"junk": 5}})
    write_json(root / "occluded/suites.json", {"test": []})
    return load_study(root, root / "occluded")


def test_the_manifest_tells_views_and_the_card(tmp_path):
    study = prepared(tmp_path / "a", card="vehicleid", kind="vehicle", camera_rule="none", galleries="10")
    assert (study.card, study.kind, study.card_rule, study.galleries) == ("vehicleid", "vehicle", "none", 10)
    assert study.labels.viewids.tolist() == [3, 4] and study.labels.pids.dtype == np.int64
    study = prepared(tmp_path / "b")  # of an earlier version
    assert (study.card, study.kind, study.card_rule, study.galleries) == ("", "", "auto", 1)
    assert study.gallery_counts(study.gallery_rows)["junk_dropped"] == 5


@pytest.mark.parametrize(("key", "value"), [("camera_rule", "marked"), ("galleries", "0"), ("galleries", "ten")])
def test_a_manifest_with_a_broken_card_is_one_line(tmp_path, key, value):
    with pytest.raises(ReanchorError, match=rf"manifest\.parquet: {key}: got '{value}'; allowed: .*prepare stage") as e:
        prepared(tmp_path / "a", **{key: value})
    assert "\n" not in str(e.value)


# random galleries

def vehicles(images=(1, 3, 4, 2)) -> Study:
    """Identities 1, 2, ... with so many images each; the first image of each is the manifest's gallery."""
    pids = np.repeat(np.arange(1, len(images) + 1), images)
    first = np.cumsum([0, *images[:-1]])
    return bare_study(pids, np.zeros(len(pids), int), np.setdiff1d(np.arange(len(pids)), first), first,
                      galleries=10, card_rule="none", card="vehicleid")


def test_each_gallery_holds_one_image_of_each_identity_and_the_rest_are_queries():
    study = vehicles()
    draws = gallery_draws(study, seed=3)
    for draw in draws:
        assert study.labels.pids[draw.gallery_rows].tolist() == [1, 2, 3, 4]
        assert sorted([*draw.query_rows, *draw.gallery_rows]) == list(range(10))
    assert len({tuple(draw.gallery_rows) for draw in draws}) > 3
    again = gallery_draws(study, seed=3)
    assert all((a.gallery_rows == b.gallery_rows).all() for a, b in zip(draws, again, strict=True))
    assert any((a.gallery_rows != b.gallery_rows).any() for a, b in zip(draws, gallery_draws(study, 4), strict=True))


def test_every_image_of_an_identity_is_drawn_about_equally_often():
    study = dataclasses.replace(vehicles((4, 4)), galleries=400)
    chosen = np.concatenate([draw.gallery_rows for draw in gallery_draws(study, 0)])
    counts = np.bincount(chosen, minlength=8)
    assert counts.sum() == 800 and counts.min() > 65 and counts.max() < 135  # 100 each, four standard deviations


def test_galleries_of_identities_with_one_image_leave_no_query():
    with pytest.raises(ReanchorError, match="10 random galleries of one image per identity leave no query"):
        gallery_draws(vehicles((1, 1)), 0)


def test_figures_are_means_over_the_galleries():
    study, rng = vehicles((3, 5, 4, 4)), np.random.default_rng(0)
    config = Evaluate(camera_rule="none")
    features = unit(rng, 16)
    ranker = Ranker(study, config, plan_memory(config, 12, 4, [5], pooled=True))
    sides = (Side(features[rows], rows) for rows in (study.query_rows, study.gallery_rows))
    ranking = ranker.rank_whole(*sides)["whole"]
    each = [rank_features(features[d.query_rows], features[d.gallery_rows], study.labels[d.query_rows],
                          study.labels[d.gallery_rows], rule="none").metrics() for d in gallery_draws(study, 0)]
    assert len(ranking.ap_Q) == 10 * 12 and len({one["mAP"] for one in each}) > 1
    for name, value in ranking.metrics().items():
        assert value == pytest.approx(np.mean([one[name] for one in each]))
    assert len(query_pids(study, "whole", 0)) == 120


def test_a_study_of_random_galleries(tmp_path):
    study = dataclasses.replace(make_study(distractors=0), galleries=10, card="vehicleid", card_rule="none")
    metrics, protocol, _ = run(Evaluate(bootstrap=50, batch=64), study, tmp_path)
    # 12 identities of 9 images each: 12 in the gallery, 96 queries, ten times
    assert (protocol["queries"], protocol["gallery"], protocol["galleries"]) == (96, 12, 10)
    assert "means over 10 galleries" in protocol["galleries_says"] and protocol["camera_rule"] == "none"
    rows = {(r["condition"], r["metric"]): r for r in pq.read_table(tmp_path / "results.parquet").to_pylist()}
    assert rows["whole", "mAP"]["queries"] == 960 and rows["whole", "mAP"]["gallery"] == 12
    assert rows["ogor", "mAP"]["queries"] == 36 and rows["ogor", "mAP"]["gallery"] == 72
    assert rows["whole", "mAP"]["low"] <= rows["whole", "mAP"]["value"] <= rows["whole", "mAP"]["high"]
    assert metrics["clip_reid/whole/mAP"] == metrics["clip_reid/whole-no-distractors/mAP"]


# test-time extras

def test_extras_stand_beside_the_plain_figures(tmp_path):
    study = make_study()
    plain, before, _ = run(Evaluate(bootstrap=50, batch=64), study, tmp_path / "plain")
    config = Evaluate(bootstrap=50, batch=64, rerank=Rerank(True, 6, 3, 0.3), nfc=Nfc(True, 2, 2))
    metrics, protocol, lines = run(config, study, tmp_path / "extra")
    assert {k: v for k, v in metrics.items() if "reranked" not in k and "nfc" not in k} == plain
    assert before["test_time_extras"] == "none" and before["test_time_extra_conditions"] == []
    assert protocol["test_time_extra_conditions"] == ["whole-nfc", "whole-reranked"]
    assert "k1 6, k2 3, weight 0.3" in protocol["test_time_extras"] and "transductive" in protocol["test_time_extras"]
    assert metrics["clip_reid/whole-reranked/mAP"] != plain["clip_reid/whole/mAP"]
    assert "test-time extras" in lines[0]
    rows = pq.read_table(tmp_path / "extra/results.parquet").to_pylist()
    assert {r["kind"] for r in rows if r["condition"] == "whole-nfc"} == {"whole-nfc"}


def test_extras_measure_what_their_functions_do():
    rng, study = np.random.default_rng(1), make_study()
    config = Evaluate(camera_rule="market", rerank=Rerank(True, 5, 2, 0.4), nfc=Nfc(True, 2, 1))
    features = unit(rng, len(study.labels.pids))
    sides = [Side(features[rows], rows) for rows in (study.query_rows, study.gallery_rows)]
    found = Ranker(study, config, plan_memory(config, 36, 84, [5], copied=84)).rank_whole(*sides)
    kept = study.labels.pids[study.gallery_rows] != -1  # junk is nobody's neighbour
    query, gallery = sides[0].features, sides[1].features[kept]
    labels = study.labels[study.query_rows], study.labels[study.gallery_rows[kept]]
    wanted = {"whole-reranked": lambda q, g: reranked_distance(q, g, config.rerank),
              "whole-nfc": lambda q, g: block_distance(centralise(q, 2, 1), centralise(g, 2, 1))}
    for name, measure in wanted.items():
        np.testing.assert_array_equal(found[name].ap_Q, rank_features(query, gallery, *labels, measure=measure).ap_Q)


def test_the_distance_is_the_configured_one(tmp_path):
    class Long(FakeEmbedder):  # features of growing length: both distances differ on them
        def embed(self, images, camids, viewids=None):
            own = super().embed(images, camids).features
            return Embedding(own * np.linspace(1, 3, len(own), dtype=np.float32)[:, None])

    found = {}
    for kind in ("cosine", "euclidean"):
        found[kind] = run(Evaluate(bootstrap=20, distance=kind), make_study(), tmp_path / kind,
                          long=lambda: Long("long", noise=60.0))
    assert found["cosine"][0]["long/whole/mAP"] != found["euclidean"][0]["long/whole/mAP"]
    assert "squared Euclidean" in found["euclidean"][1]["distance"] and "dot product" in found["cosine"][1]["distance"]


# several features of one pass

def test_one_pass_serves_several_rows(tmp_path):
    class Both(FakeEmbedder):
        passes = 0

        def embed(self, images, camids, viewids=None):
            Both.passes += 1
            one, other = (FakeEmbedder("x", noise, tokens=True).embed(images, camids) for noise in (20.0, 60.0))
            return Embedding(one.features, one.token_weights, {"refined": other.features})

    config = Evaluate(bootstrap=50, batch=64)
    got, *_ = run(config, make_study(), tmp_path / "both", saga=lambda: Both("saga"))
    want, *_ = run(config, make_study(), tmp_path / "each", saga=lambda: FakeEmbedder("saga", 20.0, tokens=True),
                   saga_refined=lambda: FakeEmbedder("saga_refined", 60.0))
    assert got == want and "saga_refined/whole/mAP" in got
    assert Both.passes == 1 + 2 + 8  # for the widths, 84 gallery images in batches of 64, 36 queries in 8 conditions
    for name in ("results", "rankings", "token_weights"):
        assert pq.read_table(tmp_path / f"both/{name}.parquet") == pq.read_table(tmp_path / f"each/{name}.parquet")


# memory

def test_the_plan_keeps_within_the_budget_and_says_so():
    config = Evaluate(memory_mb=300)
    plan = plan_memory(config, 11_000, 40_000, [512])
    assert plan.features == 4 * 512 * 51_000 and plan.total <= plan.budget
    assert plan.queries == plan.plain // (4 * 40_000) > 0
    for part in ("100 MB", "of 300 MB", "evaluate.memory_mb", f"blocks of {plan.queries} queries"):
        assert part in plan.sentence()
    assert plan_memory(Evaluate(memory_mb=4000), 11_000, 40_000, [512]).plain == 128 * MB  # more would gain nothing
    reranking = plan_memory(Evaluate(memory_mb=600, rerank=Rerank(True)), 11_000, 40_000, [512])
    assert reranking.lists and reranking.total <= reranking.budget and reranking.extra > plan.plain


@pytest.mark.parametrize("extras", [{}, {"rerank": Rerank(True)}, {"nfc": Nfc(True)}])
def test_a_budget_too_small_names_what_is_needed(extras):
    sizes = (11_000, 40_000, [512, 512])
    with pytest.raises(ReanchorError, match=r"memory_mb: got 64; allowed here: at least \d+, for 200 MB") as e:
        plan_memory(Evaluate(memory_mb=64, **extras), *sizes)
    assert "\n" not in str(e.value)
    needed = int(re.search(r"at least (\d+)", str(e.value))[1])
    assert plan_memory(Evaluate(memory_mb=needed, **extras), *sizes).total <= needed * MB
    with pytest.raises(ReanchorError):
        plan_memory(Evaluate(memory_mb=needed - 1, **extras), *sizes)


def test_the_smallest_budget_gives_the_same_figures(tmp_path):
    extras = {"rerank": Rerank(True, 5, 2, 0.3), "nfc": Nfc(True)}
    roomy, *_ = run(Evaluate(bootstrap=20, **extras), make_study(), tmp_path / "roomy")
    tight, _, lines = run(Evaluate(bootstrap=20, memory_mb=KEYS // MB + 1, **extras), make_study(), tmp_path / "tight")
    assert tight == roomy and f"of {KEYS // MB + 1} MB" in lines[0]


def test_nothing_is_written_when_memory_does_not_suffice(tmp_path):
    seen, embedder = [], FakeEmbedder("clip_reid")
    watched = dataclasses.make_dataclass("Watched", ["name"], namespace={
        "embed": lambda self, images, *sides: seen.append(len(images)) or embedder.embed(images, *sides)})("clip_reid")
    with pytest.raises(ReanchorError, match=r"evaluate\.memory_mb"):
        run(Evaluate(memory_mb=1), make_study(), tmp_path, clip_reid=lambda: watched)
    assert list(tmp_path.iterdir()) == [] and seen == [1]  # met by one picture, before the gallery is read


@pytest.mark.parametrize(("preset", "last", "projected", "before_last"), [
    ("default", 2048, 1024, 1024), ("all_features", 768, 512, 768), ("all_features", 2048, 1024, 1024)])
def test_the_published_settings_fit_msmt17_in_their_budget(preset, last, projected, before_last):
    config = composed(f"evaluate={preset}").evaluate
    sizes = {"last": last, "projected": projected, "before_last": before_last, "after_neck": last + projected}
    rows = ["last+projected", *config.features.clip_reid]
    widths = [sum(sizes[part] for part in row.split("+")) for row in rows]
    assert plan_memory(config, 11_659, 82_161, widths).total <= config.memory_mb * MB


# lost queries

def test_some_lost_queries_are_told_and_the_rule_that_fits_is_offered(tmp_path):
    study = bare_study([1, 2, 3, 1, 2, 4], [1, 1, 1, 2, 1, 1], [0, 1, 2], [3, 4, 5])
    says = lost_queries(study, Evaluate(camera_rule="market"))
    assert says == ("2 of 3 queries have no match under camera rule market and are left out; "
                    "evaluate.camera_rule=none gives 1 of them one")
    assert lost_queries(study, Evaluate(camera_rule="none")) == ""
    study = make_study()
    study.labels.camids[study.gallery_rows[study.labels.pids[study.gallery_rows] == 5]] = 1  # all under one camera
    _, protocol, lines = run(Evaluate(bootstrap=20), study, tmp_path)
    assert lines[0].startswith("warning: 1 of 36 queries have no match")
    assert protocol["camera_rule_costs"] == lines[0].removeprefix("warning: ") and protocol["lost_queries"] == 1


def test_all_queries_lost_stops_before_anything_is_embedded():
    study = make_study(cameras=1)
    loaded = []
    with pytest.raises(ReanchorError, match=r"none of the 12 queries .* evaluate.camera_rule=none, with which 12"):
        evaluate(Evaluate(camera_rule="market"), study, {"clip_reid": lambda: loaded.append(1)}, None, print)
    assert not loaded


def test_every_extra_is_told_and_nothing_else():
    assert told_extras(Evaluate()) == "none"
    told = told_extras(Evaluate(flip=True, nfc=Nfc(enabled=True)))
    assert "whole-nfc: neighbour feature centralisation" in told and told.endswith("an image and its mirror image")
