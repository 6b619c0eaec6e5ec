"""Occluded sets are read through wherever they are opened: to train, to choose and to judge."""

import dataclasses
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from occlusion_factory import draw_library, entries, write_prepared

from reanchor.config.sections.data import Occlude
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.formats.suites import open_set, open_sets
from reanchor.methods.gate import fit
from reanchor.methods.gate.fit import suite_figures
from reanchor.methods.gate.generator import OcclusionGenerator
from reanchor.methods.gate.settings import Gate
from reanchor.occlusion.suites import make_occluded
from reanchor.retrieval.sentence_validation import SentenceValidation
from reanchor.retrieval.validation import Validation
from reanchor.training.images import TrainingImages


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("opening")
    path = write_prepared(root / "prepared", entries()) / "manifest.parquet"
    manifest = Manifest.read(path)
    dataclasses.replace(manifest, captions=[["A person."]] * len(manifest.pid)).write(path)
    config = Occlude(library=str(draw_library(root / "library")), masking_ratios=[0.2], people_ratios=[0.3])
    make_occluded(config, root / "prepared", root / "out", 1)
    return root


@pytest.mark.parametrize(("name", "changed", "message"), [
    ("unseen_classes", {"unseen_classes": []}, r"got \[\], but .*out was made with \['kite', 'post'\]; allowed"),
    ("variant", {"variant": "ogor-literal"}, "got 'ogor-literal', but .* was made with 'ogor-paper'"),
    ("library", {"library": "drawn"}, "got 'drawn', but .* was made with '.*library'")])
def test_a_generator_draws_no_other_occluders_than_the_sets(made, tmp_path, name, changed, message):
    config = Occlude(library=str(made / "library"), unseen_classes=["post", "kite"], masking_ratios=[0.2],
                     people_ratios=[], ratio_low=0.2, ratio_high=0.3)
    make_occluded(config, made / "prepared", tmp_path / "out", 1)
    suites = json.loads((tmp_path / "out/suites.json").read_text())
    assert (suites["unseen_classes"], suites["ratio_low"], suites["ratio_high"]) == (["kite", "post"], 0.2, 0.3)
    stream = OcclusionGenerator.open(Gate(), config, made / "prepared", tmp_path / "out", "train")
    assert {one.kind for one in stream.library} == {"car", "pedestrian"}
    with pytest.raises(ReanchorError, match=f"^occlude.{name}: {message}.*$"):
        OcclusionGenerator.open(Gate(), dataclasses.replace(config, **changed), made / "prepared", tmp_path / "out",
                                "train")


def spoil(folder):
    """Write another seed into a set's manifest."""
    path = folder / "manifest.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(13, "seed", pa.array([1] * len(table))), path)


@pytest.mark.parametrize(("name", "reader"), [
    ("train", lambda root: TrainingImages.open(root / "prepared", root / "out")),
    ("val/ogor", lambda root: Validation.open(root / "prepared", root / "out")),
    ("val/people-0.30", lambda root: suite_figures(None, None, root / "out")),
    ("val/gallery-ogor", lambda root: SentenceValidation.open(root / "prepared", root / "out"))])
def test_whoever_reads_a_changed_set_is_refused(made, tmp_path, monkeypatch, name, reader):
    monkeypatch.setattr(fit, "visibility_figures", lambda *given: {})  # a network is not needed to open suites
    (tmp_path / "prepared").symlink_to(made / "prepared")
    shutil.copytree(made / "out", tmp_path / "out")
    reader(tmp_path)
    spoil(tmp_path / "out" / name)
    with pytest.raises(ReanchorError, match=rf"{name}: its images, masks or manifest have changed .* dvc repro"):
        reader(tmp_path)


def test_a_set_that_is_not_listed_is_refused(made, tmp_path):
    shutil.copytree(made / "out", tmp_path / "out")
    (tmp_path / "out/test/ogor").rename(tmp_path / "out/test/another")
    with pytest.raises(ReanchorError, match=r"another: suites\.json does not list it"):
        open_set(tmp_path / "out", "test", "another")
    with pytest.raises(ReanchorError, match="test/ogor: no occluded set there"):
        open_set(tmp_path / "out", "test", "ogor")
    (tmp_path / "out/suites.json").unlink()
    with pytest.raises(ReanchorError, match=r"suites\.json: no list of occluded suites there"):
        open_set(tmp_path / "out", "train")


def test_all_changed_suites_stand_in_one_line(made, tmp_path):
    shutil.copytree(made / "out", tmp_path / "out")
    names = ["ogor", "masking-0.20", "people-0.30"]
    assert list(open_sets(tmp_path / "out", "test", names)) == names
    for name in names[::2]:
        spoil(tmp_path / "out/test" / name)
    with pytest.raises(ReanchorError, match=r"out/test: 2 suites have changed .*: ogor, people-0\.30; make the sets"):
        open_sets(tmp_path / "out", "test", names)
