"""The study's columns beside an arm's own feature, held to numbers by hand: variants, occluded galleries, weights."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from evaluation_fakes import FakeEmbedder, make_study, with_galleries
from gated_models import gated
from golden_files import tiny_clip

from benchmarks.study import __main__ as command_line
from benchmarks.study import judge as judging
from benchmarks.study import tables
from benchmarks.study.__main__ import main
from benchmarks.study.judge import Fusions, Replayed, judge
from benchmarks.study.tables import Results, print_weights
from reanchor.formats.embedder import Embedder
from reanchor.formats.labels import Labels
from reanchor.methods.gate.embedder import GateEmbedder
from reanchor.retrieval.bootstrap import IdentityBootstrap
from reanchor.retrieval.ranking import rank_features
from reanchor.retrieval.study import Study
from reanchor.retrieval.tokens import LABELS
from reanchor.retrieval.validation import Validation


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_replayed_alone_is_the_feature_without_the_plain_cls(weight):
    images, cameras = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), dtype=np.uint8), np.array([1, 2])
    both, alone = (GateEmbedder("gated", gated("own", plain_weight=one), tiny_clip().spec, "cpu")
                   for one in (weight, 0.0))
    found, want = Replayed(both).embed(images, cameras), alone.embed(images, cameras)
    halves = {"": (want.features.shape[1],) * 2} if weight else {}  # what NFC centralises one by one
    assert both.parts == halves and alone.parts == {}
    np.testing.assert_allclose(found.variants["replayed"], want.features, atol=1e-5)
    np.testing.assert_array_equal(found.features, both.embed(images, cameras).features)


class Parts(Embedder):
    """SAGA whose images are its three parts already, [B, 3, 2]."""

    name, grid, weights = "saga", (1, 1), (0.0, 1.0, 0.0)

    def aggregated(self, images, labels):
        return SimpleNamespace(token_weights=torch.ones(len(images), 1)), list(torch.from_numpy(images).unbind(1))


def test_fusions_weigh_parts_by_hand():
    query = np.array([[[1, 0], [2, 0], [3, 0]]], np.float32)
    # cosines of the parts to it: 1, -1 and 1, 0 and 0.8, 0.6, which spread as 10 : 5 : 1
    gallery = np.array([[[1, 0], [1, 0], [0.8, 0.6]], [[-1, 0], [0, 1], [0.6, 0.8]]], np.float32)
    sides = Labels(np.array([1]), np.array([1])), Labels(np.array([1, 2]), np.array([1, 1]))
    both = Labels(*(np.concatenate([getattr(side, name) for side in sides]) for name in ("pids", "camids")))
    study = Study(np.concatenate([query, gallery]), both, np.array([0]), np.array([1, 2]), [])
    validation = Validation(study, [study.whole])
    fused = Fusions(Parts(), validation)
    q, g = fused.embed(query, sides[0].camids), fused.embed(gallery, sides[1].camids)
    found = {name: features @ g.rows("saga")[name].T for name, features in q.rows("saga").items()}
    want = {"saga": [1, 0], "saga_refined": [1, -1],
            "saga_authors": [(2 + 0.2 + 0.05 * 0.8) / 2.25, (-2 + 0.05 * 0.6) / 2.25],
            "saga_equal": [(1 + 2 + 10 * 0.8) / 13, (-1 + 10 * 0.6) / 13],
            "saga_authors_equal": [(2 + 0.4 + 0.5 * 0.8) / 2.9, (-2 + 0.5 * 0.6) / 2.9]}
    assert found.keys() == want.keys()
    for name, cosines in want.items():
        np.testing.assert_allclose(found[name], [cosines], atol=1e-6, err_msg=name)


def test_an_occluded_gallery_is_ranked_as_it_looks(tmp_path, monkeypatch):
    study, embedder = with_galleries(make_study(identities=4, distractors=2)), FakeEmbedder("saga")
    monkeypatch.setattr(judging, "VARIANTS", {})
    monkeypatch.setattr(judging, "_marks", lambda *given: {c.name: "" for c in study.conditions()})
    monkeypatch.setattr(judging, "open_embedder", lambda *given: embedder)
    judge("saga", tmp_path, tmp_path / "saga-0.npz", study, tmp_path)
    sides = [study.labels[rows] for rows in (study.query_rows, study.gallery_rows)]
    q = embedder.embed(study.images[study.query_rows], sides[0].camids).features
    with np.load(tmp_path / "saga-0.npz") as arrays:
        for condition in (one for one in study.suites if one.name.startswith("gallery-")):
            g = embedder.embed(condition.gallery[study.gallery_rows], sides[1].camids).features
            want = rank_features(q, g, *sides, rule="market").ap_Q
            np.testing.assert_allclose(arrays[f"ap/saga/{condition.name}"], 100 * want, rtol=1e-5)
            assert np.nanmax(arrays["ap/saga/whole"] - arrays[f"ap/saga/{condition.name}"]) > 5


def test_token_weight_is_told_relative_to_area(capsys):
    def by_label(**of):
        return np.array([of.get(label, 0.0) for label in LABELS])

    even = by_label(target=0.25, occluder=0.25, background=0.5)
    first = {"share/people-0.20": by_label(target=0.6, occluder=0.1, background=0.3), "area/people-0.20": even,
             "share/people-0.40": by_label(target=0.3, occluder=0.3, background=0.4),
             "area/people-0.40": by_label(target=0.05, occluder=0.35, background=0.6)}
    second = first | {"share/people-0.20": by_label(target=0.3, occluder=0.1, background=0.6)}
    found = Results({("saga", 0): first, ("saga", 1): second, ("clip_reid", 0): {}, ("clip_reid", 1): {}}, {},
                    IdentityBootstrap(np.array([1, 2]), 10, 0.95, 0))
    print_weights(found, ["clip_reid", "saga"], [0, 1], {"people-0.20": "people", "people-0.40": "people"})
    # target 0.45 and 0.3 of the weight on 0.15 of the area, occluder 0.2 on 0.3, background 0.35 and 0.5 on 0.55
    assert capsys.readouterr().out.splitlines()[-1] == (
        "| SAGA: learned text anchors, people | 2.50 (0.71) |  | 0.67 (0.00) | 0.77 (0.19) |")


def test_a_table_names_what_is_not_judged(tmp_path, monkeypatch, capsys):
    study = make_study(identities=2, distractors=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tables, "open_study", lambda prepared, occluded: study)
    whole = {f"ap/{row}/{c.name}": np.zeros(len(c.rows)) for c in study.conditions() for row in ("saga", "clip_reid")}
    (tmp_path / "judged").mkdir()
    for name in ("saga-0", "saga-1", "clip_reid-0", "clip_reid-1"):
        np.savez(tmp_path / f"judged/{name}.npz", **whole if name != "clip_reid-1" else {})
    for arms, listed, command in (
            ("gated_4", "gated_4 of seed 0 1, clip_reid of seed 1", "gated_4 clip_reid --seeds 0 1"),
            ("saga", "clip_reid of seed 1", "clip_reid --seeds 1"),  # a condition that came later
            ("saga saga:equal", "saga of seed 0 1, clip_reid of seed 1", "saga clip_reid --seeds 0 1")):  # and a row
        assert main(["table", "--arms", *arms.split(), "--seeds", "0", "1", "--out", "."]) == 2
        told = capsys.readouterr()
        assert told.err == (f"benchmarks.study table: --arms, --seeds: got {listed}, not judged in {tmp_path}; "
                            "allowed: what is judged; run `python -m benchmarks.study judge --arms "
                            f"{command} --out {tmp_path}`\n") and not told.out


def test_a_file_that_is_not_there_is_told_in_one_line(monkeypatch, capsys):
    def lost(*given):
        raise FileNotFoundError(2, "No such file or directory", "data/prepared/statistics.json")

    monkeypatch.setattr(command_line, "print_tables", lost)
    assert main(["table", "--threads", "1"]) == 2
    assert capsys.readouterr().err == ("benchmarks.study table: data/prepared/statistics.json: not found; run this in "
                                       "the default study's workspace, after `dvc repro`\n")
