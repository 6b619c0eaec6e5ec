"""The stage `search` on a small street with real towers of every kind, untrained."""

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from search_fakes import open_study
from text_factory import described, make_street, settings, small_clip

from reanchor.config.params import Params
from reanchor.config.sections.judging import Search
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.formats.occluded_set import OccludedSet
from reanchor.formats.overlay import Overlay
from reanchor.methods.mgcc.model import Mgcc
from reanchor.methods.mgcc.settings import MgccModel
from reanchor.methods.mgcc.store import save_mgcc
from reanchor.methods.searchers import load_searcher
from reanchor.report import names
from reanchor.report.search import search_summary
from reanchor.retrieval.encode import encode_images, encode_sentences
from reanchor.retrieval.measure import measure_method
from reanchor.retrieval.ranking import rank_distances
from reanchor.retrieval.similarities import Similarities
from reanchor.text.towers import DualEncoder, save_dual
from stages import train
from stages.runner import StageRun
from stages.search import NO_CAPTIONS, body
from stages.tracking.judged import find_run
from stages.tracking.origin import weights_sha256
from stages.tracking.run import ModelRun
from stages.tracking.store import connect

pytestmark = pytest.mark.slow

FOLDERS = {"zero_shot": "backbone", "tbps_clip": "tbps_clip", "mgcc": "mgcc"}


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    root, clip = make_street(tmp_path_factory.mktemp("street")), small_clip()
    for folder in FOLDERS.values():
        (root / "models" / folder).mkdir(parents=True)
    clip.save(root / "models/backbone")
    torch.manual_seed(1)
    towers = DualEncoder(clip, clean=True)
    with torch.no_grad():
        towers.text.text_projection.add_(0.05 * torch.randn_like(towers.text.text_projection))
    save_dual(towers, clip.spec, "tbps_clip", root / "models/tbps_clip")
    save_mgcc(Mgcc(clip, MgccModel()), clip.spec, root / "models/mgcc")
    return root


@pytest.fixture(scope="module")
def judged(street):
    params = settings("search.methods=[zero_shot,tbps_clip,mgcc]", "search.cost_repeats=0")
    return body(StageRun("search", params, street))


def test_every_kind_of_model_is_judged_on_every_gallery(street, judged):
    assert set(judged) == {f"{m}/{c}/{k}" for m in FOLDERS for c in ("whole", "gallery-ogor")
                           for k in ("R1", "R5", "R10", "Rsum", "mAP", "mINP")}
    assert len({judged[f"{m}/whole/mAP"] for m in FOLDERS}) == 3
    protocol = json.loads((street / "reports/search/protocol.json").read_text())
    assert protocol["cut_sentences"] == dict.fromkeys(FOLDERS, 0)
    written = {entry["name"]: entry["sha256"] for entry in
               json.loads((street / "data/occluded/suites.json").read_text())["test"]}
    assert [(s["name"], s["sha256"]) for s in protocol["suites"]] == [("gallery-ogor", written["gallery-ogor"])]


@pytest.mark.parametrize("method", FOLDERS)
def test_a_figure_is_that_of_the_whole_table_of_similarities(street, judged, method):
    """Encoding the occluded gallery as a whole, and ranking all similarities at once, gives the same."""
    study, searcher = open_study(street), load_searcher(street / "models" / FOLDERS[method])
    copies = OccludedSet.open(street / "data/occluded/test/gallery-ogor")
    pictures = {"whole": study.images, "gallery-ogor": Overlay(study.images, copies)}
    sentences, every = encode_sentences(searcher, study.sentences.texts, 256, ""), np.arange(len(study.sentences))
    for condition, images in pictures.items():
        gallery = encode_images(searcher, images, study.gallery_rows, 1000, "")
        distance = Similarities(searcher, sentences, gallery, (1000, 1000))(every)
        ranking = rank_distances(distance, study.query, study.gallery, rule="none")
        assert judged[f"{method}/{condition}/mAP"] == pytest.approx(ranking.metrics()["mAP"], abs=0.05)
        assert judged[f"{method}/{condition}/R1"] == pytest.approx(ranking.metrics()["R1"], abs=1.0)


def test_mgccs_choice_of_tokens_reaches_the_report(street, judged):
    rows = pq.read_table(street / "reports/search/rankings.parquet").to_pylist()
    study, searcher = open_study(street), load_searcher(street / "models/mgcc")
    for row in [row for row in rows if row["method"] == "mgcc"][:3]:
        encoded = searcher.images(np.array(study.images[row["gallery_rows"][:1]]))
        assert row["condition"] == "whole" and row["kept_patches"][0] == sorted(encoded["patch_index"][0].tolist())
        assert (row["grid_rows"], row["grid_cols"]) == searcher.grid
        kept = searcher.sentences([row["text"]])["word_index"][0]
        tokens = searcher.tokenizer.encode(row["text"])
        words = {tokens[place] for place in kept.tolist() if place < len(tokens)}
        shown = " ".join(row["text"][start:stop] for start, stop in row["kept_spans"])
        assert set(searcher.tokenizer.encode(shown)) == words
    assert all(not row["kept_patches"] for row in rows if row["method"] != "mgcc")


def test_images_of_another_size_are_refused(street):
    study = dataclasses.replace(open_study(street), images=np.zeros((900, 32, 16, 3), np.uint8))
    with pytest.raises(ReanchorError, match=r"zero_shot: model reads 64x32.*; set prepare.height=64 prepare.width=32"):
        measure_method("zero_shot", load_searcher(street / "models/backbone"), study, Search())


def test_without_captions_the_stage_leaves_what_dvc_expects(street, tmp_path):
    prepared = tmp_path / "data/prepared"
    prepared.mkdir(parents=True)
    manifest = Manifest.read(street / "data/prepared/manifest.parquet")
    dataclasses.replace(manifest, captions=[[]] * len(manifest)).write(prepared / "manifest.parquet")
    for part in ("prepared/images.arrow", "prepared/statistics.json", "occluded"):
        (tmp_path / "data" / part).symlink_to(street / "data" / part)
    assert body(StageRun("search", Params(), tmp_path)) == {"skipped": 1}
    left = {file.name for file in (tmp_path / "reports/search").iterdir()}
    assert left == {"results.parquet", "differences.parquet", "rankings.parquet", "protocol.json", "cost.json",
                    "queries.parquet"}
    assert json.loads((tmp_path / "reports/search/protocol.json").read_text()) == {"skipped": NO_CAPTIONS}


@pytest.mark.parametrize("methods", [["zero_shot", "tbps_clip", "mgcc"], ["mgcc"]])
def test_captions_of_test_images_alone_judge_what_needs_no_training(street, tmp_path, capsys, methods):
    (tmp_path / "data/prepared").mkdir(parents=True)
    manifest = described(Manifest.read(street / "data/prepared/manifest.parquet"), ["query", "gallery"])
    manifest.write(tmp_path / "data/prepared/manifest.parquet")
    for part in ("prepared/images.arrow", "prepared/statistics.json", "occluded"):
        (tmp_path / "data" / part).symlink_to(street / "data" / part)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/backbone").symlink_to(street / "models/backbone")
    params = settings(f"search.methods=[{','.join(methods)}]", "search.cost_repeats=0")
    for name in ("tbps_clip", "mgcc"):
        assert train.body(StageRun(name, params, tmp_path)) == {"skipped": 1}
        assert (tmp_path / "models" / name / "skipped.json").is_file()
    figures, reason = body(StageRun("search", params, tmp_path)), "none of 72 training images has a caption"
    protocol = json.loads((tmp_path / "reports/search/protocol.json").read_text())
    assert f"left out: {', '.join(sorted({*methods} - {'zero_shot'}))}: {reason}" in capsys.readouterr().out
    if methods == ["mgcc"]:
        assert figures == {"skipped": 1} and protocol == {"skipped": reason}
        return
    assert {name.partition("/")[0] for name in figures} == {"zero_shot"} and figures["zero_shot/whole/mAP"] > 0
    assert protocol["left_out"] == {"tbps_clip": reason, "mgcc": reason}
    assert search_summary(tmp_path / "reports/search")["sentences"][-1] == (
        f"Left out, since they could not be trained: {names.method('mgcc')}, {names.method('tbps_clip')} ({reason}).")


def test_text_models_lie_in_their_runs(street, workspace):
    """Two towers as a pyfunc of images, MGCC as its files."""
    import mlflow

    for model in ("tbps_clip", "mgcc"):
        run = ModelRun.open(workspace, model, Params())
        run.log_model(street / "models" / model)
        run.close("FINISHED", {})
        assert find_run(workspace, weights_sha256(street / "models" / model)) == run.run_id
    client = connect(workspace)
    assert {item.path for item in client.list_artifacts(run.run_id, "mgcc")} == {
        "mgcc/model.json", "mgcc/weights.safetensors"}
    experiment = client.get_run(run.run_id).info.experiment_id
    (logged,) = mlflow.search_logged_models(experiment_ids=[experiment], output_format="list")
    images = np.array(open_study(street).images[:2])
    features = mlflow.pyfunc.load_model(logged.model_uri).predict(images)
    want = load_searcher(street / "models/tbps_clip").images(images)["feature"]
    np.testing.assert_allclose(features, want, atol=1e-6)
