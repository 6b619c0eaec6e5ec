"""Settings of text-based search: what is refused, what is documented, the published recipe."""

import re

import pytest
from composed import ROOT, composed

from reanchor.config.load import from_mapping
from reanchor.errors import ReanchorError
from stages.compose import composition


@pytest.mark.parametrize(("changes", "message"), [
    ({"tbps_clip": {"train": True, "nitc": 0, "ritc": 0, "citc": 0, "ss": 0, "multi_view": False}},
     "tbps.tbps_clip.train: got true, but every loss weight is 0"),
    ({"sdm": {"train": True, "sdm": 1.0, "multi_view": True}}, "tbps.sdm.multi_view: got true with nitc 0"),
    ({"tbps_clip": {"train": True, "nitc": 1.0, "multi_view": True, "augment": "none"}},
     "tbps.tbps_clip.multi_view: got true with augment none"),
    ({"sdm": {"train": True, "sdm": 1.0, "soft_label": 0.5}}, "tbps.sdm.soft_label: got 0.5 with nitc 0"),
    ({"recipe": {"batch": 8}, "sdm": {"train": True, "sdm": 1.0, "mixgen": 0.12}},
     "tbps.sdm.mixgen: got 0.12, less than one pair of tbps.recipe.batch, which is 8; allowed: 0, or at least 0.125"),
    ({"sdm": {"train": True, "sdm": 1.0, "back_translation": 0.1}},
     "tbps.sdm.back_translation: got 0.1, but tbps.recipe.captions_bt is"),
    ({"recipe": {"epochs": 1, "warmup_epochs": 2}},
     "tbps.recipe.warmup_epochs: got 2; allowed: at most tbps.recipe.epochs, which "
                                        "is 1"),
    ({"tbps_clip": {"mixgen": 0.7}}, "tbps.tbps_clip.mixgen: got 0.7; allowed: at least 0.0 and at most 0.5"),
])
def test_settings_that_exclude_one_another_are_named(changes, message):
    with pytest.raises(ReanchorError, match=message):
        from_mapping({"tbps": changes})


@pytest.mark.parametrize(("changes", "message"), [
    ({"recipe": {"chunk": 8}}, "tbps.recipe.chunk: got 8 with backbone.model 'RN50'"),
    ({"tbps_clip": {"train": True, "mlm": 1.0}}, "tbps_clip.mlm: got 1.0")])
def test_a_resnet_has_neither_chunks_nor_masked_words(changes, message):
    with pytest.raises(ReanchorError, match=message):
        from_mapping({"tbps": changes, "backbone": {"source": "file", "model": "RN50"}, "saga": {"train": False},
                      "gate": {"train": False}, "evaluate": {"methods": ["zero_shot"]}})


def test_every_preset_is_documented_and_every_command_composes():
    pages = ("explanation/tbps_clip.md", "how-to/reproduce/tbps_clip.md")
    text = "".join((ROOT / "docs" / page).read_text() for page in pages)
    commands = set(re.findall(r"[`\"]((?:[a-z_]+(?:\.[a-z_]+)*=[\w./]+ ?)+)[`\"]", text))
    assert len(commands) >= 7
    for command in commands:
        composition(ROOT, command.split())
    presets = {f"ablation={path.stem}" for path in (ROOT / "conf/ablation").glob("tbps_*.yaml")}
    assert presets | {"train=tbps_clip_vit", "method=tbps_clip"} <= {part for each in commands for part in each.split()}


def test_the_published_recipe_is_the_papers():
    params = composed("backbone=openai_vit_b16", "train=tbps_clip_vit", "method=tbps_clip")
    config, recipe = params.tbps.recipe, params.tbps.tbps_clip
    assert (params.prepare.height, params.prepare.width, params.backbone.normalisation) == (224, 224, "imagenet")
    assert (config.batch, config.epochs, config.lr, config.weight_decay) == (320, 5, 1e-4, 0.02)
    assert (config.warmup_epochs, config.warmup_lr, config.min_lr, config.occluded) == (1, 1e-6, 5e-6, 0.0)
    assert (recipe.nitc, recipe.ritc, recipe.citc, recipe.ss, recipe.multi_view) == (1.0, 1.0, 0.1, 0.4, True)
    assert (recipe.soft_label, recipe.dropout, recipe.lock, recipe.deletion) == (0.5, 0.05, True, 0.05)
    assert (recipe.id, recipe.mlm, recipe.mixgen, recipe.augment, recipe.clean) == (0.0, 0.0, 0.0, "pool", True)
