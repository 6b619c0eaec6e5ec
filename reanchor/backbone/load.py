"""Obtaining a CLIP: shipped or pre-trained here, by open_clip's name and tag, or from a local file."""

import difflib
import json
import re
from pathlib import Path

import open_clip
from safetensors import SafetensorError
from torch import Tensor

from reanchor.clip.fit import fitted
from reanchor.clip.model import NORMALISATIONS, Clip, ClipSpec, spec_from
from reanchor.clip.plain import departures
from reanchor.config.sections.backbone import Backbone
from reanchor.errors import ReanchorError
from reanchor.weight_files.read import first_line, read_state
from reanchor.weight_files.safe import read_metadata

# Three scalars that only OpenAI's own files carry; such models use QuickGELU.
OPENAI_SCALARS = ("input_resolution", "context_length", "vocab_size")
CAUSAL_MASK = ".attn_mask"  # a plain attribute of theirs, which a scripted archive does not tell from a buffer
SHIPPED_FILES = ".safetensors files of this project's pre-training"
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
            f"backbone.tag: weights {config.model}/{config.tag} could not be fetched ({first_line(error)}); "
            "connect to the internet, or set backbone=file and backbone.path to a local copy"
        ) from error
    return _clip(network, architecture, image_size, config, f"open_clip {config.model} {config.tag}")


def local_file(config: Backbone, image_size: tuple[int, int]) -> Clip:
    """OpenAI `.pt` (TorchScript or state dict), open_clip `.bin` or `.safetensors`.

    Raises:
        ReanchorError: when the file is absent, unreadable, or does not fit its architecture.
    """
    path = Path(config.path)
    state = read_state(path, "backbone.path", CLIP_FILES)
    openai = any(key in state for key in OPENAI_SCALARS)
    state = {key: value.float() for key, value in state.items() if key not in OPENAI_SCALARS
             and not key.endswith(CAUSAL_MASK)}
    architecture = _told_sizes(state, path) if openai else architecture_of(config.model)
    spec = _spec(config, architecture, image_size, path.name)
    if not openai and "logit_scale" not in state:
        raise ReanchorError(f"{path}: not a CLIP: it has no 'logit_scale'; give an open_clip or OpenAI checkpoint")
    return Clip(spec, fitted(spec.network, state, str(path), claimed=openai).eval())


def _told_sizes(state: dict[str, Tensor], path: Path) -> dict:
    try:
        return openai_architecture(state)
    except (LookupError, ArithmeticError, TypeError, ValueError) as error:
        raise ReanchorError(f"{path}: not a CLIP: tensors that tell its sizes are missing or have other dimensions "
                            f"({first_line(error)}); give an open_clip or OpenAI checkpoint") from error


def shipped(config: Backbone, image_size: tuple[int, int]) -> Clip:
    """The small CLIP this project pre-trained; its spec travels in the file's metadata.

    Raises:
        ReanchorError: when the file is absent, unreadable or not of this project's making, or does not fit its spec.
    """
    path = Path(config.path)
    state = read_state(path, "backbone.path", SHIPPED_FILES)
    spec, recipe, figures = _described(path)
    spec.image_size, spec.stride = image_size, config.stride
    network = fitted(spec.network, {key: value.float() for key, value in state.items()}, str(path))
    return Clip(spec, network.eval(), recipe, figures)


def _described(path: Path) -> tuple[ClipSpec, dict, dict]:
    """Specification, recipe and figures in a shipped file's header."""
    try:
        values = {key: json.loads(text) for key, text in read_metadata(path).items()}
        return spec_from(values["spec"]), values["recipe"], values["figures"]
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ReanchorError(
            f"{path}: carries no specification ({first_line(error)}), so it was not made by this project's "
            "pre-training; use backbone=file for other weights"
        ) from error


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
