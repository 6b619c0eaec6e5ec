"""Obtaining a CLIP: shipped or pre-trained here, by open_clip's name and tag, or from a local file."""

import difflib
import json
import pickle
import re
import zipfile
from pathlib import Path

import open_clip
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from reanchor.clip.model import NORMALISATIONS, Clip, ClipSpec, fit_weights, spec_from
from reanchor.config.sections import Backbone
from reanchor.errors import ReanchorError

# Three scalars that only OpenAI's own files carry; such models use QuickGELU.
OPENAI_SCALARS = ("input_resolution", "context_length", "vocab_size")
# What the encoders here compute; open_clip's default where a configuration is silent. Other values of these change
# the result without changing any tensor's name.
PLAIN = {
    "": {"custom_text": False, "multimodal_cfg": None},
    "vision_cfg": {"timm_model_name": None, "attentional_pool": False, "pool_type": "tok", "no_ln_pre": False,
                   "final_ln_after_pool": False},
    "text_cfg": {"hf_model_name": None, "hf_tokenizer_name": None, "tokenizer_mode": None, "vocab_size": 49408,
                 "no_causal_mask": False, "embed_cls": False, "pool_type": "argmax", "final_ln_after_pool": False,
                 "proj_bias": False, "proj_type": "linear"},
}
CLIP_FILES = "OpenAI .pt, open_clip .bin and .safetensors that hold tensors only"


def open_clip_model(config: Backbone, image_size: tuple[int, int]) -> Clip:
    """An open_clip model by name and pre-trained tag (downloaded by open_clip where not cached)."""
    architecture = architecture_of(config.model)
    tags = open_clip.list_pretrained_tags_by_model(config.model)
    if config.tag not in tags:
        raise ReanchorError(f"backbone.tag: '{config.tag}' is no tag of {config.model}; "
                            f"choose one of {', '.join(tags)}")
    quick = (open_clip.get_pretrained_cfg(config.model, config.tag) or {}).get("quick_gelu", False)
    if quick and not architecture["quick_gelu"]:
        raise ReanchorError(f"backbone.model: {config.tag} was trained with quick-GELU, {config.model} has none; "
                            f"use backbone.model={config.model}-quickgelu")
    try:
        network = open_clip.create_model(config.model, pretrained=config.tag)
    except (OSError, RuntimeError, ValueError) as error:  # no network, no cache, no such file
        raise ReanchorError(
            f"backbone.tag: weights {config.model}/{config.tag} could not be fetched ({_first_line(error)}); "
            "connect to the internet, or set backbone=file and backbone.path to a local copy"
        ) from error
    return _clip(network, architecture, image_size, config, f"open_clip {config.model} {config.tag}")


def local_file(config: Backbone, image_size: tuple[int, int]) -> Clip:
    """OpenAI `.pt` (TorchScript or state dict), open_clip `.bin` or `.safetensors`.

    Raises:
        ReanchorError: when the file is absent, unreadable, or does not fit its architecture.
    """
    path = Path(config.path)
    state = read_state(path)
    openai = any(key in state for key in OPENAI_SCALARS)
    state = {key: value.float() for key, value in state.items() if key not in OPENAI_SCALARS}
    architecture = openai_architecture(state) if openai else architecture_of(config.model)
    spec = _spec(config, architecture, image_size, path.name)
    network = spec.network()
    if not openai and "logit_scale" not in state:
        raise ReanchorError(f"{path}: not a CLIP: it has no 'logit_scale'; give an open_clip or OpenAI checkpoint")
    fit_weights(network, state, str(path))
    return Clip(spec, network.eval())


def shipped(config: Backbone, image_size: tuple[int, int]) -> Clip:
    """The small CLIP this project pre-trained; its spec travels in the file's metadata."""
    path = Path(config.path)
    state = read_state(path)
    with safe_open(path, framework="pt") as stream:
        metadata = stream.metadata() or {}
    if "spec" not in metadata:
        raise ReanchorError(
            f"{path}: carries no specification, so it was not made by this project's pre-training; "
            "use backbone=file for other weights"
        )
    values = {key: json.loads(text) for key, text in metadata.items()}
    spec = spec_from(values["spec"])
    spec.image_size, spec.stride = image_size, config.stride
    network = spec.network()
    fit_weights(network, {key: value.float() for key, value in state.items()}, str(path))
    return Clip(spec, network.eval(), values["recipe"], values["figures"])


def _clip(network: open_clip.model.CLIP, architecture: dict, size: tuple[int, int], config: Backbone,
          origin: str) -> Clip:
    if not isinstance(network, open_clip.model.CLIP):
        raise ReanchorError(
            f"backbone.model: {config.model} is a {type(network).__name__}; choose a plain CLIP such as ViT-B-16"
        )
    return Clip(_spec(config, architecture, size, origin), network.float().eval())


def _spec(config: Backbone, architecture: dict, size: tuple[int, int], origin: str) -> ClipSpec:
    mean, std = NORMALISATIONS[config.normalisation]
    return ClipSpec(architecture, size, config.stride, mean=mean, std=std, origin=origin)


def architecture_of(model: str) -> dict:
    """open_clip's own configuration of a model name.

    Raises:
        ReanchorError: an unknown name, or a model that is no plain CLIP: another tokenizer, mask, pooling or tower.
    """
    config = open_clip.get_model_config(model)
    if config is None:
        near = difflib.get_close_matches(model, open_clip.list_models(), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "see open_clip.list_models()"
        raise ReanchorError(f"backbone.model: open_clip knows no model '{model}'; {hint}")
    if strange := departures(config):
        raise ReanchorError(f"backbone.model: {model} is no plain CLIP: it has {', '.join(strange)}; choose one with "
                            "CLIP's tokenizer, causal text tower and [CLS] token (or CLIP's ResNet), such as ViT-B-16")
    return {**config, "quick_gelu": config.get("quick_gelu", False)}


def departures(config: dict) -> list[str]:
    """The settings ("text_cfg.pool_type last") of an open_clip configuration that make it another model than CLIP."""
    return [f"{section}.{key} {found}".lstrip(".") for section, plain in PLAIN.items() for key, value in plain.items()
            if (found := (config.get(section, {}) if section else config).get(key, value)) != value]


def openai_architecture(state: dict[str, Tensor]) -> dict:
    """Sizes read off the tensors of an OpenAI CLIP; heads are width // 64, as in all their releases."""
    text_width = state["ln_final.weight"].shape[0]
    return {
        "embed_dim": state["text_projection"].shape[1],
        "quick_gelu": True,
        "vision_cfg": vision_sizes(state),
        "text_cfg": {"context_length": state["positional_embedding"].shape[0], "width": text_width,
                     "vocab_size": state["token_embedding.weight"].shape[0], "heads": text_width // 64,
                     "layers": numbered(state, r"transformer\.resblocks\.(\d+)\.ln_1\.weight")},
    }


def vision_sizes(state: dict[str, Tensor]) -> dict:
    """open_clip's vision_cfg of a tower in OpenAI's naming (`visual.` before each name), its grid taken for square."""
    return _vit_sizes(state) if "visual.proj" in state else _resnet_sizes(state)


def _vit_sizes(state: dict[str, Tensor]) -> dict:
    patch = state["visual.conv1.weight"].shape[-1]
    grid = round((state["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    return {"image_size": patch * grid, "patch_size": patch, "width": state["visual.conv1.weight"].shape[0],
            "layers": numbered(state, r"visual\.transformer\.resblocks\.(\d+)\.ln_1\.weight")}


def _resnet_sizes(state: dict[str, Tensor]) -> dict:
    grid = round((state["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
    layers = [numbered(state, rf"visual\.layer{number}\.(\d+)\.conv1\.weight") for number in (1, 2, 3, 4)]
    return {"image_size": 32 * grid, "width": state["visual.layer1.0.conv1.weight"].shape[0], "layers": layers,
            "patch_size": None}


def numbered(state: dict[str, Tensor], pattern: str) -> int:
    """How many different numbers the group of `pattern` takes in the names."""
    return len({match[1] for name in state if (match := re.fullmatch(pattern, name))})


def read_state(path: Path, setting: str = "backbone.path", allowed: str = CLIP_FILES) -> dict[str, Tensor]:
    """A state dict from .safetensors, TorchScript, or a pickle read with `weights_only=True`.

    It may lie under "state_dict" or "model"; `module.` of DataParallel is taken off the names.

    Args:
        setting, allowed: what a message names: where the path comes from, and what may lie there.

    Raises:
        ReanchorError: no file, or one that holds anything but named tensors.
    """
    if not path.is_file():
        raise ReanchorError(f"{setting}: no file at {path}; allowed are {allowed}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if _is_torchscript(path):
            return dict(torch.jit.load(path, map_location="cpu").state_dict())
        _refuse_damage(path)
        return _named_tensors(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:  # torch's own words advise to switch the protection off
        raise ReanchorError(f"{setting}: {path} is no readable checkpoint (it holds code or objects beside tensors, or "
                            f"is damaged; nothing of it was run); allowed are {allowed}") from error
    except Exception as error:  # torch, pickle and safetensors each raise classes of their own
        raise ReanchorError(f"{setting}: {path} is no readable checkpoint ({_first_line(error)}); "
                            f"allowed are {allowed}") from error


def _refuse_damage(path: Path) -> None:
    """torch reads the tensors of its zip files without comparing their checksums."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if bad := archive.testzip():
                raise ValueError(f"its part {bad} is damaged")


def _named_tensors(content: object) -> dict[str, Tensor]:
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ValueError(f"it holds a {type(content).__name__} and no names")
    strange = [name for name, value in content.items() if not isinstance(value, Tensor | int | float)
               or (isinstance(value, Tensor) and (value.layout != torch.strided or value.is_quantized))]
    if strange:
        raise ValueError(f"it holds more than plain tensors: {strange[0]}")
    return {name.removeprefix("module."): torch.as_tensor(value) for name, value in content.items()}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())
