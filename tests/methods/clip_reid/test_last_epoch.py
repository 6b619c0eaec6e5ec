"""Training as the papers do, on all identities to the last epoch; and what is refused before any training."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from composed import composed
from evaluation_fakes import make_study
from recorders import Rows
from safetensors.torch import load_file

from reanchor.backbone.pretrain import blank_clip
from reanchor.config.sections.judging import Evaluate
from reanchor.data.prepare import prepare
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.methods.clip_reid.train import train_stage2
from reanchor.methods.histogram.embedder import ColourHistogram
from reanchor.methods.saga.frozen import generic_phrases
from reanchor.methods.saga.settings import GENERIC_ANCHORS
from reanchor.occlusion.suites import make_occluded
from reanchor.retrieval.measure import measure_method
from reanchor.retrieval.opening import open_study
from reanchor.retrieval.protocol import protocol
from reanchor.retrieval.validation import LAST_EPOCH
from reanchor.streetfolk.captions import vocabulary
from reanchor.streetfolk.dataset import render_dataset
from reanchor.training.loop import Trainer

pytestmark = pytest.mark.slow

SMALL = ["profile=smoke", "method=clip_reid", "prepare.height=64", "prepare.width=32", "prepare.validation_share=0",
         "finetune.recipe.epochs=2", "finetune.recipe.identities=4", "finetune.recipe.pad=2",
         "finetune.recipe.warmup_epochs=0"]


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A prepared and occluded street, nobody held out, with a random CLIP."""
    root, params = tmp_path_factory.mktemp("street"), composed(*SMALL)
    render_dataset(params.render, root / params.prepare.root, processes=1)
    prepare(params.prepare, root / "data/prepared", processes=1, workspace=root)
    make_occluded(params.occlude, root / "data/prepared", root / "data/occluded", processes=1)
    torch.manual_seed(0)
    clip = blank_clip(params.backbone.pretrain, (64, 32), vocabulary())
    (root / "models/backbone").mkdir(parents=True)
    clip.save(root / "models/backbone")
    return root


def test_all_identities_train_and_the_last_epoch_is_kept(street, monkeypatch):
    manifest = Manifest.read(street / "data/prepared/manifest.parquet")
    assert len(np.unique(manifest.pid[manifest.rows("train")])) == 24 and not len(manifest.rows("val"))
    assert json.loads((street / "data/occluded/suites.json").read_text())["val"] == []
    last = {}
    end = Trainer._end_epoch

    def remember(self, steps):
        end(self, steps)
        last.update({name: value.clone() for name, value in self.job.module.state_dict().items()})

    monkeypatch.setattr(Trainer, "_end_epoch", remember)
    rows, out = Rows(), street / "models/baseline"
    figures = train_stage2("baseline", composed(*SMALL), street, out, rows)
    assert figures["selection"] == LAST_EPOCH and not {"val_score", "best_epoch"} & set(figures)
    assert [row["epoch"] for row in rows.rows] == [1, 2] and "score" not in rows.rows[-1]
    saved = load_file(out / "weights.safetensors")
    assert saved and all(torch.equal(value, last[name]) for name, value in saved.items() if name in last)
    assert set(saved) & set(last)


def test_figures_say_that_nothing_was_chosen(street):
    study, config = open_study(street / "data/prepared", street / "data/occluded"), Evaluate(camera_rule="market")
    assert not study.held_out
    for told, word in ((study, "last epoch"), (make_study(), "validation")):
        measured = measure_method("histogram", ColourHistogram(), dataclasses.replace(told, suites=[]), config, print)
        assert word in protocol(config, told, measured)["selection"]


@pytest.mark.parametrize("name", ["saga", "mgcc", "tbps.tbps_clip"])
def test_what_is_chosen_on_held_out_identities_refuses_to_do_without(name):
    with pytest.raises(ReanchorError, match=rf"validation_share: got 0.* with {name}.train true; allowed: above 0"):
        composed(*SMALL, f"{name}.train=true")


@pytest.mark.parametrize(("overrides", "message"), [
    (["saga.refine_heads=7"], "saga.refine_heads: got 7; allowed: a divisor of 128, the token width of"),
    (["saga.anchors=generic_frozen", "saga.text_anchors=33"], "saga.text_anchors: got 33; allowed: at most 32 generic"),
    (["method=clip_reid", "backbone=openai_rn50", "backbone.stride=12"],
     "backbone.stride: got 12 with backbone.model 'RN50.*'; allowed: 0, since a ResNet has no patches"),
])
def test_what_would_fail_after_hours_is_refused_at_once(overrides, message):
    with pytest.raises(ReanchorError, match=message):
        composed(*overrides)


def test_there_are_as_many_generic_phrases_as_the_rule_says():
    tokenizer = blank_clip(composed().backbone.pretrain, (64, 32), vocabulary()).spec.tokenizer()
    assert len(set(generic_phrases(GENERIC_ANCHORS, tokenizer))) == GENERIC_ANCHORS
    with pytest.raises(ReanchorError, match=f"at most {GENERIC_ANCHORS}, the generic phrases there are"):
        generic_phrases(GENERIC_ANCHORS + 1, tokenizer)
