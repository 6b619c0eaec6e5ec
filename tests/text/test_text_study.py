"""A dataset searched by sentences through the stages behind `prepare`: no image query, and nothing breaks."""

import dataclasses
import json
import zlib
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from composed import composed
from layout_factory import LAYOUTS, fill, write_records
from occlusion_factory import draw_library
from search_fakes import unit

from reanchor.config.params import Params
from reanchor.config.sections.data import Occlude, Prepare
from reanchor.config.sections.judging import Search
from reanchor.data.prepare import prepare
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.formats.occluded_set import OccludedSet
from reanchor.formats.searcher import Searcher
from reanchor.occlusion.suites import make_occluded
from reanchor.report.build import build_report
from reanchor.report.table import format_table
from reanchor.retrieval.judge import judge
from reanchor.retrieval.opening import open_search_study, open_study
from reanchor.retrieval.validation import Validation
from reanchor.training.images import TrainingImages
from stages import evaluate
from stages.runner import StageRun

pytestmark = pytest.mark.slow

REASON = "the dataset has no query images: its sentences search the gallery (stage search)"


class FakeSearcher(Searcher):
    """Features out of the first pixels and out of a text's checksum."""

    name = "any"

    def images(self, images):
        return {"feature": unit(images.reshape(len(images), -1)[:, :6].astype(np.float32) - 128)}

    def sentences(self, sentences):
        return {"feature": unit(np.stack([np.random.default_rng(zlib.crc32(text.encode())).standard_normal(6)
                                          for text in sentences]))}

    def similarity(self, sentences, images):
        return sentences["feature"] @ images["feature"].T


def study(root, name="cuhk_pedes", **changes):
    """The workspace `root` with data/prepared and data/occluded of a miniature."""
    LAYOUTS[name](root / "data/raw")
    prepare(Prepare(root="data/raw", reader=name, card=name, height=48, width=24, validation_share=0.34),
            root / "data/prepared", 1, root)
    config = Occlude(library=str(draw_library(root / "library")), masking_ratios=[0.2], people_ratios=[0.3], **changes)
    return make_occluded(config, root / "data/prepared", root / "data/occluded", 1)


@pytest.mark.parametrize("name", ["cuhk_pedes", "icfg_pedes", "rstpreid"])
def test_occluded_sets_are_of_training_validation_and_gallery(tmp_path, name):
    study(tmp_path, name, gallery_share=0.5)
    suites = json.loads((tmp_path / "data/occluded/suites.json").read_text())
    assert {suite["name"] for suite in suites["test"]} == {"gallery-ogor"} and suites["train"]["count"] > 0
    assert {"ogor", "gallery-ogor", "masking-0.20", "people-0.30"} == {suite["name"] for suite in suites["val"]}
    manifest = Manifest.read(tmp_path / "data/prepared/manifest.parquet")
    rows = OccludedSet.open(tmp_path / "data/occluded/test/gallery-ogor").rows
    assert np.isin(rows, manifest.rows("gallery")).all() and len(rows) == len(manifest.rows("gallery")) / 2
    assert sorted(manifest.pid[rows]) == sorted(set(manifest.pid[manifest.rows("gallery")]))


@pytest.mark.parametrize("option", ["text_paper", "text_released"])
def test_the_occluded_datasets_of_mgcc(tmp_path, option):
    config = composed("dataset=rstpreid", f"occlusion={option}").occlude
    assert (config.ratio_low, config.ratio_high, config.splits) == (0.1, 0.6, ["train", "val", "test"])
    LAYOUTS["rstpreid"](tmp_path / "raw")
    more = fill(tmp_path / "raw/imgs", [f"{pid:04d}_c{camera}_0099.jpg" for pid in range(8) for camera in (3, 4, 5)])
    listed = json.loads((tmp_path / "raw/data_captions.json").read_text())
    listed += [one | {"img_path": path.name} for one in listed[::2]
               for path in sorted(more.glob(f"{one['id']:04d}*_0099*"))]
    write_records(tmp_path / "raw/data_captions.json", listed)  # five images a person, as in RSTPReid
    prepare(Prepare(root=str(tmp_path / "raw"), reader="rstpreid", card="rstpreid", height=48, width=24),
            tmp_path / "prepared", 1)
    config = dataclasses.replace(config, library=str(draw_library(tmp_path / "library")))
    figures = [make_occluded(config, tmp_path / "prepared", tmp_path / out, 1) for out in ("out", "again")]
    assert figures[0]["sha256"] == figures[1]["sha256"]  # no group's sets differ from another's
    manifest = Manifest.read(tmp_path / "prepared/manifest.parquet")
    suites = json.loads((tmp_path / "out/suites.json").read_text())
    assert [suite["name"] for suite in suites["test"]] == ["gallery-ogor"]
    assert [suite["name"] for suite in suites["val"]] == ["ogor", "gallery-ogor"]
    for folder, split in (("train", "train"), ("val/gallery-ogor", "val"), ("test/gallery-ogor", "gallery")):
        rows, all_rows = OccludedSet.open(tmp_path / "out" / folder).rows, manifest.rows(split)
        per_pid = Counter(manifest.pid[rows].tolist())
        if option == "text_paper":  # 30 % of five images: one or two
            assert len(rows) == round(0.3 * len(all_rows)) and set(per_pid.values()) == {1, 2}
        else:
            assert set(per_pid) == set(manifest.pid[all_rows])
            assert [manifest.path[row] for row in rows] == [  # the first image of each
                min(manifest.path[row] for row in all_rows[manifest.pid[all_rows] == pid]) for pid in sorted(per_pid)]


def test_image_methods_can_be_trained_and_selected_on_it(tmp_path):
    study(tmp_path)
    images = TrainingImages.open(tmp_path / "data/prepared", tmp_path / "data/occluded")
    assert images.identities == 8 and not images.cameras.any()
    validation = Validation.open(tmp_path / "data/prepared", tmp_path / "data/occluded")
    assert validation.camera_rule == "none" and set(validation.query_labels.pids) == {9, 10}
    score = validation.score(lambda images, labels: np.eye(16)[labels.pids])
    assert score == {"val_mAP_whole": 100.0, "val_mAP_ogor": 100.0, "score": 100.0}


def test_evaluation_is_skipped_and_the_report_says_so(tmp_path, capsys, root):
    study(tmp_path)
    metrics = evaluate.body(StageRun("evaluate", Params(), tmp_path))
    assert metrics == {"skipped": 1} and capsys.readouterr().out == f"skipped: {REASON}\n"
    outs = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["evaluate"]
    names = [next(iter(out)) if isinstance(out, dict) else out for out in outs["outs"] + outs["plots"]]
    assert all((tmp_path / name).is_file() for name in names)  # DVC misses none
    assert all(pq.read_table(tmp_path / name).num_rows == 0 for name in names if name.endswith(".parquet"))
    searched = open_search_study(tmp_path / "data/prepared", tmp_path / "data/occluded")
    figures = judge(Search(bootstrap=20, cost_repeats=0), searched, {"zero_shot": FakeSearcher},
                    tmp_path / "reports/search", lambda line: None)
    assert len(searched.sentences) == 8 and figures["zero_shot/gallery-ogor/mAP"] > 0
    build_report(Params(), tmp_path)
    page = (tmp_path / "reports/index.html").read_text()
    assert f"Image queries were not evaluated: {REASON}." in page
    assert 'id="search"' in page and 'id="occlusion"' not in page and 'id="results"' not in page
    assert searched.suites[0].sha256 in page and "sentences.train.words_min_median_max" in page
    summary = json.loads((tmp_path / "reports/summary.json").read_text())
    assert summary["methods"] == [] and summary["search"]["methods"] == ["zero_shot"]
    text = format_table(summary)
    assert text.startswith("Image queries were not evaluated: the dataset has no query images")
    assert "Text-based search: sentences search the gallery" in text and max(map(len, text.splitlines())) <= 120


def test_neither_queries_nor_captions_is_still_a_mistake(tmp_path):
    study(tmp_path)
    path = tmp_path / "data/prepared/manifest.parquet"
    manifest = Manifest.read(path)
    manifest.captions[:] = [[] for _ in manifest.path]
    manifest.write(path)
    with pytest.raises(ReanchorError, match="split 'query' has no image; evaluation needs at least one"):
        open_study(tmp_path / "data/prepared", tmp_path / "data/occluded")
