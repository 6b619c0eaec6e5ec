"""The stage on a tiny street: both ways to gate, interruption, what comes out, what is refused."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_files import tiny_clip
from safetensors.torch import load_file
from torch import Generator
from torch.testing import assert_close

from reanchor.clip.model import Clip
from reanchor.config.load import from_mapping
from reanchor.config.params import Params
from reanchor.config.sections.judging import Evaluate
from reanchor.data.prepare import prepare
from reanchor.files import atomic_directory
from reanchor.formats.occlusion import TARGET
from reanchor.methods.clip_reid.model import ReidModel, retrieval_feature
from reanchor.methods.clip_reid.side import SideSettings
from reanchor.methods.clip_reid.store import save_reid
from reanchor.methods.embedder_factories import embedder_factories
from reanchor.methods.embedders import load_embedder
from reanchor.methods.gate.gates import NetworkGates
from reanchor.methods.gate.headroom import chosen_conditions, validation_masks
from reanchor.methods.gate.store import gate_model, read_gated, save_gated
from reanchor.methods.gate.train import train_gate
from reanchor.methods.gate.visibility import VisibilityNetwork
from reanchor.methods.saga.store import blank_head, read_saga, save_saga
from reanchor.occlusion.suites import make_occluded
from reanchor.retrieval.validation import Validation
from reanchor.streetfolk.dataset import render_dataset
from reanchor.training.recorder import PhaseRecorder

pytestmark = pytest.mark.slow

SETTINGS = {
    "render": {"train_identities": 12, "test_identities": 4, "train_images": 4, "test_images": 4, "distractors": 2,
               "junk": 0, "supersample": 1},
    "prepare": {"validation_share": 0.34},
    "occlude": {"masking_ratios": [0.3], "people_ratios": [0.2, 0.4]},
    "prompts": {"train": False},
    "finetune": {"recipe": {"epochs": 2, "identities": 4, "images": 2, "validate_epochs": 1, "token_block": 1},
                 "clip_reid": {"train": False}, "baseline": {"i2tce": 0.0, "token": 0.5}},
    "saga": {"train": False},
    "gate": {"train": True, "model": "baseline", "network_blocks": 1, "epochs": 2, "batch": 8, "validate_epochs": 1},
    "evaluate": {"methods": ["baseline", "gate"]},
    "runtime": {"device": "cpu", "threads": 1, "checkpoint_steps": 3},
}


def params(**gate) -> Params:
    alone = {"plain_weight": 0.0} if gate.get("trained") else {}
    return from_mapping({**SETTINGS, "gate": {**SETTINGS["gate"], **alone, **gate}})


class Curve:
    """Keeps what is logged; raises at the `stop_at`-th row."""

    def __init__(self, stop_at: int = 0):
        self.rows, self.stop_at = [], stop_at

    def log(self, step, values):
        self.rows.append((step, dict(values)))
        if len(self.rows) == self.stop_at:
            raise InterruptedError


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    """Rendered, prepared and occluded people; a random CLIP and an untrained fine-tuned model with SIE."""
    root, settings = tmp_path_factory.mktemp("street"), params()
    render_dataset(settings.render, root / "data/streetfolk", 1)
    prepare(settings.prepare, root / "data/prepared", 1, root)
    make_occluded(settings.occlude, root / "data/prepared", root / "data/occluded", 1)
    clip = tiny_clip((96, 48))
    clip = Clip(dataclasses.replace(clip.spec, image_size=(96, 48)), clip.network)
    with atomic_directory(root / "models/backbone") as folder:
        clip.save(folder)
    model = ReidModel(clip.image_encoder(), 8, SideSettings("camera", 6, 1, 3.0))
    model.initialise(Generator().manual_seed(0))
    model.side.table.data.mul_(30)  # to be seen
    with atomic_directory(root / "models/baseline") as folder:
        save_reid(model, clip.spec, "baseline", folder)
    return root


@pytest.fixture
def root(street, tmp_path) -> Path:
    """A workspace of its own on the same data and models."""
    (tmp_path / "data").symlink_to(street / "data")
    (tmp_path / "models").mkdir()
    for name in ("backbone", "baseline", "clip_reid"):
        (tmp_path / "models" / name).symlink_to(street / "models" / name)
    return tmp_path


def test_a_gate_added_after_training_leaves_the_model_as_it_was(root):
    curve = Curve()
    figures = train_gate("gate", params(), root, root / "models/gate", curve)
    state, before = (load_file(root / path / "weights.safetensors") for path in ("models/gate",
                                                                                 "models/baseline"))
    for name, value in before.items():
        assert torch.equal(state[name.replace("encoder.", "encoder.plain.", 1)], value)
    assert {row["epoch"] for _, row in curve.rows} == {1, 2}
    assert all("visibility_loss" in row and "val_visibility" in row and "loss" not in row for _, row in curve.rows)
    assert figures["visibility_train_steps"] == 8  # 32 images, 8 a step, twice
    for source in ("plain", "gated", "exact"):
        for condition in ("whole", "ogor", "masking-0.30", "people-0.40"):
            assert 0 < figures[f"{source}_mAP_{condition}"] <= 100
    assert figures["exact_mAP_people-0.40"] != figures["plain_mAP_people-0.40"]
    assert {"auc_stranger_people-0.20", "auc_mask_ogor", "auc_background_masking-0.30"} <= set(figures)
    assert not list(root.glob("models/.*"))  # nothing half-written


def test_the_embedder_gives_the_replayed_features_and_the_gates_weights(root):
    train_gate("gate", params(plain_weight=0.0), root, root / "models/gate", Curve())
    embedder = embedder_factories(Evaluate(methods=["gate"]), root, "cpu")["gate"]()
    assert (embedder.name, embedder.grid, embedder.patch, embedder.stride) == ("gate", (6, 3), 16, 16)
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 48, 3), dtype=np.uint8)
    got = embedder.embed(images, np.array([1, 4, 6]))
    model, _ = read_gated(root / "models/gate")
    pixels, model = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5, model.eval()
    weights = model.encoder.gates(pixels)
    want = retrieval_feature(model.encode(pixels, torch.tensor([0, 3, 5])).features)
    assert_close(torch.from_numpy(got.features), torch.nn.functional.normalize(want, dim=1).detach(), atol=1e-5, rtol=0)
    assert_close(torch.from_numpy(got.token_weights), weights / weights.sum(1, keepdim=True))
    plain = load_embedder(root / "models/baseline").embed(images, np.array([1, 4, 6]))
    assert np.abs(got.features - plain.features).max() > 1e-3
    elsewhere = embedder.embed(images, np.array([2, 4, 6])).features
    assert np.abs(got.features - elsewhere).max(1)[0] > 1e-3  # SIE


def test_stage_2_trains_through_the_gate_and_leaves_the_network_alone(root):
    curve = Curve()
    figures = train_gate("gate", params(trained=True, eps=0.02, blocks=2), root, root / "models/gate", curve)
    after, started = read_gated(root / "models/gate")[0], Clip.load(root / "models/backbone").image_encoder()
    moved = {name for name, value in after.encoder.plain.state_dict().items()
             if not torch.equal(value, started.state_dict()[name])}
    assert {"visual.proj", "visual.class_embedding", "visual.transformer.resblocks.2.attn.in_proj_weight"} <= moved
    assert (after.encoder.eps, after.encoder.blocks) == (0.02, 2)
    alone = root / "alone"
    train_gate("gate", params(), root, alone, Curve())  # the same network, its gate added to another model
    one, other = (load_file(path / "weights.safetensors") for path in (root / "models/gate", alone))
    names = [name for name in one if name.startswith("encoder.gates.")]
    assert names and all(torch.equal(one[name], other[name]) for name in names)
    assert [row["epoch"] for _, row in curve.rows] == [1, 2, 3, 4]
    assert [step for step, _ in curve.rows] == sorted({step for step, _ in curve.rows})
    assert {"triplet", "id", "token", "loss", "score"} <= set(curve.rows[-1][1])
    assert figures["val_score"] > 0 and "identities" in figures["selection"]


def test_an_interrupted_stage_ends_with_the_same_weights(root):
    settings, whole = params(trained=True), Curve()
    train_gate("gate", settings, root, root / "whole", whole)
    want = load_file(root / "whole/weights.safetensors")
    for file in (root / ".checkpoints").glob("*"):
        file.unlink()
    for stop_at in (1, 3):  # in the network's training; in stage 2's, the network's being resumed
        with pytest.raises(InterruptedError):
            train_gate("gate", settings, root, root / "models/gate", Curve(stop_at))
        assert not (root / "models/gate").exists()
    again = Curve()
    train_gate("gate", settings, root, root / "models/gate", again)
    got = load_file(root / "models/gate/weights.safetensors")
    assert want.keys() == got.keys() and all(torch.equal(want[name], got[name]) for name in want)
    assert again.rows == whole.rows


@pytest.mark.parametrize("trained", [False, True])
def test_a_shared_gate_is_trained_after_stage_2_or_with_it(root, trained):
    curve = Curve()
    settings = params(source="shared", shared_blocks=[1, 2], trained=trained)
    figures = train_gate("gate", settings, root, root / "models/gate", curve)
    tuned = load_file(root / "models/baseline/weights.safetensors")
    got = load_file(root / "models/gate/weights.safetensors")
    name = "visual.transformer.resblocks.0.mlp.c_fc.weight"
    assert torch.equal(got[f"encoder.network.trunk.{name}"], tuned[f"encoder.{name}"]) == (not trained)
    assert ("visibility" in curve.rows[-1][1]) == trained and ("visibility_loss" in curve.rows[-1][1]) != trained
    assert {"auc_stranger_people-0.40", "plain_mAP_whole", "gated_mAP_whole", "exact_mAP_ogor"} <= set(figures)
    embedder = load_embedder(root / "models/gate")
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 48, 3), dtype=np.uint8)
    weights = embedder.embed(images, np.ones(2, int)).token_weights
    assert_close(weights.sum(1), np.ones(2, np.float32))


def test_the_control_needs_no_network(root):
    curve = Curve()
    figures = train_gate("gate", params(source="ones", eps=1e-6), root, root / "models/gate", curve)
    assert curve.rows == [] and not any(name.startswith(("auc", "visibility")) for name in figures)
    for condition in ("whole", "ogor", "masking-0.30", "people-0.40"):
        assert figures[f"gated_mAP_{condition}"] == pytest.approx(figures[f"plain_mAP_{condition}"], abs=0.02)
    weights = load_embedder(root / "models/gate").embed(np.zeros((2, 96, 48, 3), np.uint8), np.ones(2, int))
    assert_close(weights.token_weights, np.full((2, 18), 1 / 18, np.float32))


def test_the_stage_writes_metrics_and_curve_or_says_that_it_was_skipped(street, workspace, monkeypatch):
    from omegaconf import OmegaConf

    from stages.runner import run_stage
    from stages.train import body

    (workspace / "data").symlink_to(street / "data")
    (workspace / "models").mkdir()
    for name in ("backbone", "baseline", "clip_reid"):
        (workspace / "models" / name).symlink_to(street / "models" / name)
    logged = []
    monkeypatch.setattr("stages.tracking.run.ModelRun.log_model", lambda run, folder: logged.append(folder))
    for train in (True, False):
        settings = {**SETTINGS, "gate": {**SETTINGS["gate"], "train": train}}
        if not train:
            settings["evaluate"] = {"methods": ["baseline"]}
        (workspace / "params.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(settings)))
        run_stage("gate", body)
        metrics = json.loads((workspace / "reports/gate/metrics.json").read_text())
        rows = list(csv.DictReader((workspace / "reports/gate/curves.csv").read_text().splitlines()))
        assert not list((workspace / ".checkpoints").glob("gate-*"))
        if train:
            assert metrics["gated_mAP_whole"] > 0 and [row["epoch"] for row in rows] == ["1", "2"]
            assert logged == [workspace / "models/gate"]
        else:
            assert metrics["skipped"] == 1 and rows == []
            assert [path.name for path in (workspace / "models/gate").iterdir()] == ["skipped.json"]


def test_masks_lie_in_the_order_of_the_validation_queries(street):
    prepared, occluded, conditions = street / "data/prepared", street / "data/occluded", ("whole", "people-0.40")
    view = Validation.open(prepared, occluded, conditions)
    masks = validation_masks(view)
    assert {name: len(mask) for name, mask in masks.items()} == {
        "gallery": len(view.gallery), **{name: len(images) for name, images in view.queries.items()}}
    same = (view.queries["whole"] == view.queries["people-0.40"]).all(-1)
    visible = masks["people-0.40"] == TARGET
    assert visible.any() and (masks["whole"][visible] == TARGET).all()
    assert same[visible].mean() > 0.9  # but for softened edges
    assert chosen_conditions(params().occlude) == ("whole", "ogor", "masking-0.30", "people-0.40")


def test_a_gated_model_comes_back_from_disk(tmp_path):
    clip = tiny_clip()
    network = VisibilityNetwork(clip.image_encoder(), 2)
    network.initialise(Generator().manual_seed(0))
    model = gate_model(ReidModel(clip.image_encoder(), 3), NetworkGates(network), 0.3, 1)
    save_gated(model, clip.spec, tmp_path)
    again, spec = read_gated(tmp_path)
    assert spec == clip.spec and (again.encoder.eps, again.encoder.blocks) == (0.3, 1)
    pixels = torch.randn(2, 3, 64, 32, generator=Generator().manual_seed(1))
    assert torch.equal(again.eval().encode(pixels, None).projected, model.eval().encode(pixels, None).projected)


def test_a_phase_of_a_curve_is_shifted_and_renamed():
    curve = Curve()
    PhaseRecorder(curve, 10, 3, {"loss": "visibility_loss"}).log(4, {"step": 4, "epoch": 1, "loss": 0.5, "lr": 0.1})
    assert curve.rows == [(14, {"step": 14, "epoch": 4, "visibility_loss": 0.5, "lr": 0.1})]


def test_sagas_anchors_gate_sagas_backbone(street, tmp_path):
    clip, settings = Clip.load(street / "models/backbone"), params()
    model = ReidModel(clip.image_encoder(), 8)
    head = blank_head({"domain": "none", "domain_anchors": 0, "heads": 4, "cameras": 0, "text_anchors": 4, "layers": 1,
                       "classifiers": 1, "feature_width": 0}, model.encoder.width, model.encoder.embed, 8, 1)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=Generator().manual_seed(0))
    with atomic_directory(street / "models/saga") as folder:
        save_saga(head, head.anchors(), model, clip.spec, (2,), (1.0, 1.0, 1.0), folder)
    settings = dataclasses.replace(settings, gate=dataclasses.replace(settings.gate, source="saga"))
    figures = train_gate("gate", settings, street, tmp_path / "gate", Curve())
    assert {"auc_stranger_people-0.40", "plain_mAP_whole", "gated_mAP_ogor", "exact_mAP_whole"} <= figures.keys()
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 48, 3), dtype=np.uint8)
    found = load_embedder(tmp_path / "gate").embed(images, np.ones(3, np.int64))
    assert found.token_weights.std() > 1e-3
    network, (saved, reid, *_) = read_gated(tmp_path / "gate")[0].encoder.network, read_saga(street / "models/saga")
    for part, own in ((network.trunk, reid.encoder), (network.head, saved)):
        kept = part.state_dict()
        assert all(torch.equal(kept[name], value) for name, value in own.state_dict().items())
