"""Reading the golden numbers."""

import json

import numpy as np
import torch
from places import GOLDEN

from reanchor.backbone.load import openai_architecture
from reanchor.clip.model import Clip, ClipSpec

FOLDER = GOLDEN
FORWARD = {"atol": 2e-5, "rtol": 1e-4}
GRADIENT = {"atol": 1e-5, "rtol": 1e-3}


def golden(name: str) -> dict[str, torch.Tensor]:
    """Arrays of a golden file as tensors."""
    with np.load(FOLDER / f"{name}.npz") as data:
        return {key: torch.from_numpy(data[key]) for key in data.files if key != "meta_json"}


def meta(name: str) -> dict:
    """What a golden file says of itself."""
    with np.load(FOLDER / f"{name}.npz") as data:
        return json.loads(str(data["meta_json"]))


def tiny_clip(image_size: tuple[int, int] = (64, 32), stride: int = 0) -> Clip:
    """The random CLIP the golden numbers were computed with."""
    state = golden("A_tinyclip_state")
    spec = ClipSpec(openai_architecture(state), image_size, stride)
    network = spec.network()
    network.load_state_dict(state)
    return Clip(spec, network.eval())


def tiny_resnet_clip(image_size: tuple[int, int] = (64, 32), stride: int = 0) -> Clip:
    """A random CLIP with a small ResNet (width 4, blocks 1, 2, 1, 1) beside the golden text tower."""
    texts = golden("A_tinyclip_state")
    architecture = openai_architecture(texts) | {
        "embed_dim": 32, "vision_cfg": {"layers": [1, 2, 1, 1], "width": 4, "image_size": 64, "patch_size": None}}
    torch.manual_seed(0)
    spec = ClipSpec(architecture, image_size, stride)
    network = spec.network()
    state = {name: value for name, value in texts.items() if not name.startswith("visual.")}
    assert not network.load_state_dict(state, strict=False).unexpected_keys
    return Clip(spec, network.eval())
