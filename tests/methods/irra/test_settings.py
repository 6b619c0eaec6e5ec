"""IRRA's settings: the preset is the published recipe, contradictions are one line, the record is found."""

import dataclasses

import pytest
from composed import composed

from reanchor.config.checks import check_together
from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.methods.irra.settings import Irra
from reanchor.methods.method import SENTENCE, code
from reanchor.methods.registry import judged, trained

PUBLISHED = {
    "epochs": 60, "batch": 64, "lr": 1e-5, "new_lr_factor": 5.0, "bias_lr_factor": 2.0, "weight_decay": 4e-5,
    "adam_eps": 1e-3, "warmup_epochs": 5, "sdm": 1.0, "id": 1.0, "mlm": 1.0, "temperature": 0.02, "blocks": 4,
    "context": 0, "flip": 0.5, "pad": 10, "erase": 0.5, "occluded": 0.0}


def test_the_preset_is_the_published_recipe():
    params = composed("method=irra", "train=irra_vit_b16", "backbone=openai_vit_b16")
    assert {name: getattr(params.irra, name) for name in PUBLISHED} == PUBLISHED
    assert (params.prepare.height, params.prepare.width) == (384, 128)
    assert {params.prepare.interpolation_train, params.prepare.interpolation_test} == {"bilinear"}
    assert (params.backbone.normalisation, params.backbone.stride) == ("clip", 0)
    assert params.irra.train and params.search.methods == ["zero_shot", "irra"]


@pytest.mark.parametrize("dataset", ["cuhk_pedes", "icfg_pedes", "rstpreid"])
def test_its_size_goes_before_the_datasets(dataset):
    params = composed(f"dataset={dataset}", "backbone=openai_vit_b16", "method=irra", "train=irra_vit_b16")
    assert (params.prepare.height, params.prepare.width, params.prepare.interpolation_test) == (384, 128, "bilinear")
    assert params.prepare.reader == dataset


def test_the_default_study_does_not_train_it():
    assert not composed().irra.train and not Irra().train
    assert composed("method=irra").irra == dataclasses.replace(Irra(), train=True)


def test_a_study_may_keep_its_last_epoch():
    assert composed("method=irra", "prepare.validation_share=0").irra.train


@pytest.mark.parametrize(("changes", "message"), [
    ({"sdm": 0.0, "id": 0.0, "mlm": 0.0}, r"irra.sdm: got 0, .*allowed: at least one of sdm, id, mlm above 0"),
    ({"lr": 0.0}, r"irra.lr: got 0; allowed: above 0"),
    ({"warmup_epochs": 3}, r"irra.warmup_epochs: got 3; allowed: at most irra.epochs, which is 2"),
    ({"context": 2}, r"irra.context: got 2; allowed: 0 \(the backbone's\), or at least 3"),
    ({"sentence": "masked", "mlm": 0.0}, r"irra.sentence: got 'masked' with irra.mlm 0; allowed: whole, .*"),
])
def test_settings_that_contradict_themselves_are_one_line(changes, message):
    params = composed("method=irra")
    params.irra = dataclasses.replace(params.irra, **changes)
    with pytest.raises(ReanchorError, match=rf"^here: {message}$"):
        check_together(params, "here")


def test_a_resnet_trains_it_without_masked_words_alone():
    resnet = ("backbone=openai_rn50", "train=clip_reid_cnn", "method=irra")
    with pytest.raises(ReanchorError, match=r"irra.train: got true with backbone.model 'RN50.*no patch tokens"):
        composed(*resnet)
    params = composed(*resnet, "irra.mlm=0")
    assert params.irra.train and not params.irra.mlm


@pytest.mark.parametrize(("key", "value"), [("sentence", "half"), ("blocks", 0), ("erase", 1.5), ("batch", 1),
                                            ("temperature", 0.0)])
def test_values_outside_the_bounds_name_what_is_allowed(key, value):
    with pytest.raises(ReanchorError, match=rf"irra.{key}: got .*{value}.*; allowed: "):
        composed("method=irra", f"irra.{key}={value}")


def test_the_house_finds_the_method():
    method = judged(SENTENCE)["irra"]
    assert trained()["irra"] is method and method.model == "models/irra" and "irra" in vars(Params())
    for path in (method.train, method.embed, method.search):
        assert callable(code(path))
