"""Every preset of CLIP-ReID's tables: it composes, it is documented, and it trains two steps on Streetfolk."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from composed import ROOT, composed
from recorders import Rows
from safetensors import safe_open
from safetensors.torch import load_file

from reanchor.backbone.pretrain import blank_clip
from reanchor.clip.model import Clip
from reanchor.config.params import Params
from reanchor.data.prepare import prepare
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.methods.clip_reid.prompts import train_prompts
from reanchor.methods.clip_reid.train import build_model, train_stage2
from reanchor.methods.embedders import load_embedder
from reanchor.occlusion.suites import make_occluded
from reanchor.streetfolk.captions import vocabulary
from reanchor.streetfolk.dataset import render_dataset
from reanchor.training.images import TrainingImages
from stages.compose import composition

pytestmark = pytest.mark.slow

SIZE = (64, 32)
SMALL = ["profile=smoke", "method=clip_reid", "prepare.height=64", "prepare.width=32", "finetune.recipe.epochs=1",
         "finetune.recipe.identities=4", "finetune.recipe.pad=2", "finetune.recipe.warmup_epochs=0"]
ABLATIONS = sorted(path.stem for path in (ROOT / "conf/ablation").glob("*.yaml")
                   if not path.stem.startswith(("mgcc_", "tbps_")))
# The recipe that each preset is tried under; the CNN has neither patches nor side information.
PRESETS = [("clip_reid", "clip_reid_vit", name) for name in ABLATIONS] + [
    ("clip_reid", "clip_reid_cnn", name) for name in ("none", "one_stage", "no_early_triplet")] + [
    ("baseline", train, name) for train in ("clip_reid_vit", "clip_reid_cnn") for name in ("none", "no_early_triplet")
] + [("clip_reid", train, "none") for train in (
    "small", "clip_reid_vit_veri", "clip_reid_vit_vehicleid", "clip_reid_cnn_vehicleid")]


def settings(train: str, ablation: str) -> Params:
    overrides = [*SMALL, f"train={train}", f"ablation={ablation}"]
    if ablation != "one_stage":  # whose prompts are not trained beforehand
        overrides += ["prompts.epochs=1", "prompts.warmup_epochs=0"]
    return composed(*overrides)


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    """A prepared and occluded street of 24 + 12 people."""
    root, params = tmp_path_factory.mktemp("street"), settings("small", "none")
    render_dataset(params.render, root / params.prepare.root, processes=1)
    prepare(params.prepare, root / "data/prepared", processes=1, workspace=root)
    manifest = Manifest.read(root / "data/prepared/manifest.parquet")
    views = np.arange(len(manifest), dtype=np.int32) % 4  # three views and images without one, as in VeRi-776
    dataclasses.replace(manifest, viewid=views).write(root / "data/prepared/manifest.parquet")
    make_occluded(params.occlude, root / "data/prepared", root / "data/occluded", processes=1)
    return root


def backbone(train: str, params: Params) -> Clip:
    """A random CLIP of the recipe's kind, whose text tower reads Streetfolk's words."""
    clip = blank_clip(params.backbone.pretrain, SIZE, vocabulary())
    clip.spec.stride = params.backbone.stride
    if train.startswith("clip_reid_cnn"):
        clip.spec.architecture = {**clip.spec.architecture, "vision_cfg": {
            "layers": [1, 1, 1, 1], "width": 4, "image_size": 64, "patch_size": None}}
        clip = Clip(clip.spec, clip.spec.network().eval())
    return clip


def learned_along(street: Path, model: str) -> torch.Tensor | None:
    """How far stage 2 moved every prompt from where stage 1 left it; None where it trained none."""
    (path,) = (street / ".checkpoints").glob(f"{model}-*.pt")
    context = torch.load(path, weights_only=True)["state"]["module"].get("1.context")
    if context is None:
        return None
    return (context - load_file(street / "models/prompts/prompts.safetensors")["context"]).abs()


@pytest.mark.parametrize(("model", "train", "ablation"), PRESETS, ids=lambda value: value)
def test_a_preset_trains_two_steps(street, model, train, ablation):
    torch.manual_seed(0)
    params, steps = settings(train, ablation), Rows()
    clip = backbone(train, params)
    (street / "models/backbone").mkdir(parents=True, exist_ok=True)
    clip.save(street / "models/backbone")
    train_prompts("prompts", params, street, street / "models/prompts", Rows())
    with safe_open(street / "models/prompts/prompts.safetensors", framework="pt") as stream:
        assert len(stream.metadata()) == 1  # the library writes several keys in any order, so in other bytes each time
    out = street / "models" / model
    train_stage2(model, params, street, out, steps)
    moved = learned_along(street, model)
    for checkpoint in (street / ".checkpoints").glob("*"):
        checkpoint.unlink()
    assert (moved is not None) == (ablation == "one_stage")
    if moved is not None:  # every prompt, by about a rate for each of Adam's steps
        rate = params.finetune.recipe.prompt_lr
        assert moved.amax((1, 2)).min() > rate / 2 and moved.max() < 2 * rate * steps.rows[-1]["step"]
    assert steps.rows[-1]["step"] >= 2 and np.isfinite(steps.rows[-1]["loss"])
    expected = {name for name in ("i2tce", "i2t", "t2i") if getattr(getattr(params.finetune, model), name)}
    assert bool(expected) == (model == "clip_reid")
    assert expected == {"i2tce", "i2t", "t2i"} & set(steps.rows[-1])
    black = np.zeros((2, *SIZE, 3), np.uint8)
    features = load_embedder(out).embed(black, np.array([1, 6]), np.array([1, 2])).features
    assert np.isfinite(features).all()
    same = np.array_equal(features[0], features[1])
    assert same == (params.finetune.recipe.sie == "none")  # black pictures: only camera and view tell them apart


def test_every_preset_is_documented_and_every_command_composes():
    text = (ROOT / "docs/how-to/reproduce/clip_reid.md").read_text()
    commands = re.findall(r"`((?:[a-z]+=[\w./]+ ?)+)`", text)
    assert len(commands) > 20
    for command in set(commands):
        composition(ROOT, command.split())
    mentioned = {part.split("=")[1] for command in commands for part in command.split() if part.startswith("ablation=")}
    assert mentioned | {"none"} >= set(ABLATIONS)


@pytest.mark.parametrize(("ablation", "untold", "message"), [
    ("sie_view", "views", r"finetune.recipe.sie: got 'view', but the images tell no view.*none or camera"),
    ("sie_cls", "cameras", r"finetune.recipe.sie: got 'camera', but images tell no camera \(camid 0\)"),
])
def test_side_information_asks_for_what_images_tell(street, ablation, untold, message):
    params = settings("clip_reid_vit", ablation)
    data = TrainingImages.open(street / "data/prepared")
    setattr(data, untold, np.zeros_like(getattr(data, untold)))
    with pytest.raises(ReanchorError, match=message):
        build_model(backbone("clip_reid_vit", params), data, params, params.finetune.clip_reid)
