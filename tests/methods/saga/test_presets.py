"""SAGA's presets and options from the workspace's files: each trains a few steps on Streetfolk and can be used."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from composed import ROOT, composed
from omegaconf import OmegaConf
from recorders import Rows

from reanchor.backbone.pretrain import blank_clip
from reanchor.config.params import Params
from reanchor.data.prepare import prepare
from reanchor.methods.clip_reid.prompts import train_prompts
from reanchor.methods.clip_reid.train import train_stage2
from reanchor.methods.embedders import load_embedder
from reanchor.methods.saga.run import train_saga
from reanchor.occlusion.suites import make_occluded
from reanchor.streetfolk.captions import vocabulary
from reanchor.streetfolk.dataset import render_dataset
from stages.compose import composition

pytestmark = pytest.mark.slow

SIZE = (64, 32)
SMALL = ["profile=smoke", "prepare.height=64", "prepare.width=32", "backbone.stride=0", "prompts.epochs=1",
         "prompts.warmup_epochs=0", "prompts.context=4", "finetune.recipe.epochs=1", "finetune.recipe.identities=4",
         "finetune.recipe.pad=2",
         "finetune.recipe.warmup_epochs=0", "finetune.recipe.sie=camera", "finetune.recipe.precision=fp32",
         "saga.identities=4",
         "saga.epochs_a=1", "saga.epochs_b=1", "saga.warmup_epochs=0", "saga.views=2"]
# Between them: all kinds of anchors and domain anchors, both caches, two paths, depth 0, stage 4, SIE or none.
CASES = {
    "saga_market1501": ["train=saga_market1501"],
    "saga_occluded_duke": ["train=saga_occluded_duke", "method=saga_random_frozen", "saga.token_blocks=[]",
                           "saga.drop_sie=true", "saga.domain=none", "saga.refine_init=random"],
    "saga_occluded_market": ["train=saga_occluded_market", "method=saga_generic_frozen", "saga.domain=cam",
                             "saga.token_blocks=[1,2]", "saga.anchor_triplet=0.1", "saga.cache=none",
                             "saga.draw_block=1"],
    "small": ["train=small", "method=saga_unrefined", "saga.refine_layers=0", "saga.domain=clip", "saga.epochs_4=1",
              "saga.warmup_epochs_4=0", "saga.refine_heads=4"],
}


@functools.cache
def settings(case: str) -> Params:
    overrides = [*CASES[case], *SMALL]
    return composed(*overrides)


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    """A street of 24 + 12 people, prepared and occluded, with a CLIP-ReID on a random CLIP."""
    root, params = tmp_path_factory.mktemp("street"), settings("small")
    render_dataset(params.render, root / params.prepare.root, processes=1)
    prepare(params.prepare, root / "data/prepared", processes=1, workspace=root)
    make_occluded(params.occlude, root / "data/prepared", root / "data/occluded", processes=1)
    torch.manual_seed(0)
    clip = blank_clip(params.backbone.pretrain, SIZE, vocabulary())
    (root / "models/backbone").mkdir(parents=True)
    clip.save(root / "models/backbone")
    train_prompts("prompts", params, root, root / "models/prompts", Rows())
    train_stage2("clip_reid", params, root, root / "models/clip_reid", Rows())
    return root


@pytest.mark.parametrize("case", CASES)
def test_a_preset_trains_and_can_be_used(street, tmp_path, case):
    params, rows, out = settings(case), Rows(), tmp_path / "saga"
    figures = train_saga("saga", params, street, out, rows)
    assert [row["epoch"] for row in rows.rows] == list(range(1, 3 + params.saga.epochs_4))
    assert all(np.isfinite(row["loss"]) for row in rows.rows)
    assert ("anchor_triplet" in rows.rows[-1]) == bool(params.saga.anchor_triplet)
    assert ("classifier_diversity" in rows.rows[-1]) == (params.saga.classifiers > 1)
    if given := params.saga.fusion_weights:
        assert figures["fusion_refined"] == pytest.approx(given[0] / sum(given))
    black, cameras = np.zeros((2, *SIZE, 3), np.uint8), np.array([1, 6])
    features = load_embedder(out).embed(black, cameras).features  # only the camera tells black pictures apart
    assert np.isfinite(features).all()
    assert np.array_equal(features[0], features[1]) == params.saga.drop_sie
    assert list((street / ".checkpoints").glob("saga-tokens-*")) == [] or params.saga.cache == "disk"
    for left in (street / ".checkpoints").glob("saga-*"):
        left.unlink()


def test_the_authors_three_configurations():
    got = {name: settings(name).saga for name in CASES if name != "small"}
    assert [one.classifiers for one in got.values()] == [4, 1, 4]
    assert [one.fusion_weights for one in got.values()] == [[2.0, 0.2, 0.05], [2.0, 0.2, 0.05], [10.0, 1.0, 0.0]]
    assert {(one.min_lr_ratio, one.lr_a, one.lr_b) for one in got.values()} == {(0.5, 3.5e-4, 2e-4)}


def test_the_documented_commands_compose():
    text = (ROOT / "docs/how-to/reproduce/saga.md").read_text()
    commands = re.findall(r"`(dataset=\w+ train=saga_\w+)`", text)
    assert len(commands) == 3
    whole = [OmegaConf.create(composition(ROOT, [*command.split(), "backbone=openai_vit_b16"])) for command in commands]
    for one in whole:
        assert one.saga.token_blocks == [9] and one.backbone.stride == 12 and one.saga.views == 4
        assert (one.saga.epochs_a, one.saga.epochs_b, one.saga.epochs_4) == (20, 80, 0)
        recipe = one.finetune.recipe
        assert (recipe.epochs, recipe.milestones, recipe.bias_lr_factor) == (80, [40, 70], 1.0)
        assert (one.prompts.before, one.prompts.context, one.prompts.epochs) == ("", 8, 100)
    methods = {method for found in re.findall(r"--methods (.+?) --seeds", text) for method in found.split()}
    assert methods == {path.stem for path in (ROOT / "conf/method").glob("saga*.yaml")}
    got = {method: vars(composed(f"method={method}").saga) for method in methods}
    changed = {method: {name for name in one if one[name] != got["saga"][name]} for method, one in got.items()}
    assert all(len(names) == (method != "saga") for method, names in changed.items()), changed
