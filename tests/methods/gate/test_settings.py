"""Settings of the gate: what is refused, what the stage depends on, what its options compose, what it stands on."""

import re

import pytest
import yaml
from composed import ROOT, composed

from reanchor.config.load import from_mapping
from reanchor.errors import ReanchorError
from reanchor.methods.lineage import parents as parents_of
from reanchor.methods.registry import methods


@pytest.mark.parametrize(("settings", "parts"), [
    ({"gate": {"eps": 0.0}}, ["gate.eps", "0.0", "at least 1e-06"]),
    ({"gate": {"source": "exact"}}, ["gate.source", "'exact'", "network, shared, saga, ones"]),
    ({"gate": {"model": "saga"}}, ["gate.model", "'saga'", "clip_reid, baseline"]),
    ({"gate": {"behind_share": 1.5}}, ["gate.behind_share", "1.5", "at most 1.0"]),
    ({"gate": {"masking": 0, "ogor": 0, "people": 0}}, ["gate.masking", "at least one of the three"]),
    ({"gate": {"train": True, "blocks": 7}}, ["gate.blocks", "7", "at most 6"]),
    ({"gate": {"train": True, "network_blocks": 7}}, ["gate.network_blocks", "7", "at most 6"]),
    ({"gate": {"shared_blocks": [4, 2]}}, ["gate.shared_blocks", "[4, 2]", "ascending"]),
    ({"gate": {"train": True, "source": "shared", "shared_blocks": [7]}}, ["gate.shared_blocks", "[7]", "1 to 6"]),
    ({"gate": {"train": True, "source": "saga"}, "saga": {"domain": "cam"}},
     ["saga.domain: got 'cam' with gate.source 'saga'", "none or mlp"]),
    ({"evaluate": {"features": {"saga": ["orthogonal"]}}, "saga": {"feature_width": 32}},
     ["saga.feature_width: got 32", "allowed: 0 or "]),
    ({"evaluate": {"features": {"saga": ["orthogonal"]}}, "saga": {"feature_width": 512},
      "backbone": {"source": "open_clip", "model": "ViT-B-16", "tag": "openai"}},
     ["saga.feature_width: got 512", "allowed: 0 or 768"]),
    ({"gate": {"epochs": 2, "warmup_epochs": 3}}, ["gate.warmup_epochs", "3", "gate.epochs, which is 2"]),
    ({"gate": {"train": True, "model": "baseline"}, "finetune": {"baseline": {"train": False, "i2tce": 0}},
      "evaluate": {"methods": ["gate"]}}, ["finetune.baseline.train", "gate.model is 'baseline'"]),
    ({"gate": {"train": True, "trained": True}, "prompts": {"train": False}, "saga": {"train": False},
      "finetune": {"clip_reid": {"train": False}}, "evaluate": {"methods": ["gate"]}},
     ["prompts.train", "gate.trained is true"]),
    ({"gate": {"train": True, "trained": True, "plain_weight": 0.5}},
     ["gate.plain_weight: got 0.5 with gate.trained true", "allowed: 0", "method=gate_trained"]),
    ({"evaluate": {"methods": ["gate"]}, "gate": {"train": False}}, ["evaluate.methods", "'gate'", "gate.train=true"]),
])
def test_settings_of_the_gate_that_cannot_be(settings, parts):
    with pytest.raises(ReanchorError) as caught:
        from_mapping(settings, source="params.yaml")
    assert all(part in str(caught.value) for part in parts) and "\n" not in str(caught.value), caught.value


def test_the_stage_depends_on_each_setting_that_its_generator_reads():
    read = set(re.findall(r"\bocclude\.(\w+)", (ROOT / "reanchor/methods/gate/generator.py").read_text()))
    listed = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["gate"]["params"]
    assert {"people_size", "variant"} <= read and "occlude" in listed


def test_both_options_compose():
    for option, trained, plain_weight in (("gate", False, 1.0), ("gate_trained", True, 0.0)):
        made = composed(f"method={option}")
        assert made.gate.train and (made.gate.trained, made.gate.plain_weight) == (trained, plain_weight)
        assert made.evaluate.methods[-1] == "gate"
    assert composed() == composed("method=gate") and not composed("method=saga").gate.train


@pytest.mark.parametrize(("gate", "parents"), [
    ({"model": "baseline"}, ("models/backbone", "models/baseline")),
    ({"model": "baseline", "trained": True, "plain_weight": 0}, ("models/backbone",)),
    ({"source": "saga"}, ("models/saga",)),  # which holds a backbone of its own
    ({"source": "network", "trained": True, "plain_weight": 0}, ("models/backbone", "models/prompts")),
])
def test_the_run_names_the_weights_the_gate_stands_on(gate, parents):
    settings = from_mapping({"gate": gate})
    assert parents_of(methods()["gate"], settings) == parents
    if gate.get("trained") and "model" not in gate:
        assert parents_of(methods()["clip_reid"], settings) == parents
