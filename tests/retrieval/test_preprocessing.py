"""A model is not judged on images of another size or resize than it reads."""

import dataclasses

import pytest
from authors_files import golden_checkpoint, write
from evaluation_fakes import FakeEmbedder, make_study
from golden_files import tiny_clip

from reanchor.clip.model import Clip, spec_from
from reanchor.config.sections.judging import Evaluate
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.formats.model_folder import read_model_json
from reanchor.formats.preprocessing import Preprocessing, refuse_other_images
from reanchor.methods.embedders import load_embedder
from reanchor.methods.imported.importing import import_model
from reanchor.methods.imported.settings import Imported
from reanchor.retrieval.measure import measure_method

HELD = Preprocessing(256, 128, "bicubic")


@pytest.mark.parametrize("reads", [None, HELD, Preprocessing(256, 128), Preprocessing(256, 128, "bicubic")])
def test_equal_or_unknown_preprocessing_passes(reads):
    refuse_other_images("imported", reads, HELD)
    refuse_other_images("imported", Preprocessing(256, 128, "bilinear"), Preprocessing(256, 128))


@pytest.mark.parametrize(("reads", "said"), [
    (Preprocessing(256, 128, "bilinear"), "256x128 bilinear, prepare.interpolation_test=bilinear"),
    (Preprocessing(256, 256), "256x256, prepare.width=256"),
    (Preprocessing(384, 192, "bilinear"),
     "384x192 bilinear, prepare.height=384 prepare.width=192 prepare.interpolation_test=bilinear"),
])
def test_a_difference_is_named_with_its_remedy(reads, said):
    with pytest.raises(ReanchorError) as caught:
        refuse_other_images("imported", reads, HELD)
    model, remedy = said.split(", ")
    assert str(caught.value) == f"imported: model reads {model}, data/prepared holds 256x128 bicubic; set {remedy}"


def test_the_difference_is_found_before_anything_is_embedded(tmp_path):
    path = write(golden_checkpoint(), tmp_path / "theirs.pth")
    import_model(Imported(path=str(path), height=64, width=32), tmp_path / "model")
    embedder, study = load_embedder(tmp_path / "model"), make_study(identities=2)
    assert embedder.preprocessing == Preprocessing(64, 32, "bilinear")
    embedder.embed = None
    with pytest.raises(ReanchorError, match="imported: model reads 64x32 bilinear, data/prepared holds 96x48; set"):
        measure_method("imported", embedder, study, Evaluate(camera_rule="none"))
    fake = FakeEmbedder("fake")
    fake.preprocessing = Preprocessing(96, 48, "bilinear")
    with pytest.raises(ReanchorError, match=r"holds 96x48 bicubic; set prepare.interpolation_test=bilinear"):
        measure_method("fake", fake, dataclasses.replace(study, interpolation="bicubic"), Evaluate(camera_rule="none"))
    assert "whole" in measure_method("fake", fake, study, Evaluate(camera_rule="none"))["fake"].rankings


def test_a_manifest_tells_how_test_images_were_resized():
    for metadata, want in (({}, "bicubic"), ({"interpolation_test": "bilinear"}, "bilinear")):
        assert Manifest(*[[]] * 10, metadata=metadata).interpolation == want


def test_folders_written_before_interpolation_was_known_are_read(tmp_path):
    clip = tiny_clip()
    clip.spec.interpolation = "bilinear"
    clip.save(tmp_path)
    assert Clip.load(tmp_path).spec.interpolation == "bilinear"
    values = read_model_json(tmp_path)["spec"]
    del values["interpolation"]
    assert spec_from(values).interpolation == ""
