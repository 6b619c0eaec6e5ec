"""A state dict of CLIP-ReID's making, and the sizes that its tensors tell."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reanchor.backbone.load import numbered, vision_sizes
from reanchor.errors import ReanchorError
from reanchor.methods.imported.naming import IMAGE, TEXT
from reanchor.methods.imported.settings import Imported
from reanchor.weight_files.read import read_state

ALLOWED = "CLIP-ReID's checkpoints (a state dict of tensors, .pth or .safetensors) and model folders of this project"
_OPENAI_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
_VIT = {"conv1.weight": 4, "class_embedding": 1, "positional_embedding": 2, "proj": 2,
        "transformer.resblocks.0.mlp.c_fc.weight": 2}  # what sizes are read off: number of dimensions
_TEXT = {"ln_final.weight": 1, "positional_embedding": 2}
_RESNET = {"conv1.weight": 4, "layer1.0.conv1.weight": 4, "attnpool.positional_embedding": 2,
           "attnpool.c_proj.weight": 2}


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by the authors' names, in fp32."""

    path: Path
    tensors: dict[str, Tensor]
    stored_as: str  # dtypes of the file, such as float16

    @classmethod
    def open(cls, path: Path) -> "Checkpoint":
        """Read a file; half precision becomes fp32.

        Raises:
            ReanchorError: not a file of tensors, no image encoder in it, or numbers that are not finite.
        """
        state = read_state(path, "import", ALLOWED)
        stored = sorted({str(value.dtype).removeprefix("torch.") for value in state.values()
                         if value.is_floating_point()})
        tensors = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
        checkpoint = cls(path, tensors, ", ".join(stored))
        checkpoint._check()
        return checkpoint

    def _check(self) -> None:
        if not self.group(IMAGE):
            some = ", ".join(sorted({name.partition(".")[0] for name in self.tensors})[:5]) or "nothing"
            raise ReanchorError(
                f"{self.path}: has no image_encoder.*, it holds {some}; allowed: {ALLOWED} (a CLIP without ReID "
                "training is a backbone: backbone=file backbone.path=...)"
            )
        for name, value in self.tensors.items():
            if value.is_complex() or value.dtype == torch.bool or 0 in value.shape:
                raise ReanchorError(f"{self.path}: {name} holds {tuple(value.shape)} numbers of {value.dtype}; "
                                    "allowed: real numbers, at least one: get another copy")
            if not torch.isfinite(value).all():
                raise ReanchorError(f"{self.path}: {name} holds numbers that are not finite; the training that wrote "
                                    "it diverged, or the file is damaged: get another copy")

    def group(self, name: str) -> dict[str, Tensor]:
        """Tensors below `name.`, without it."""
        return {key.removeprefix(f"{name}."): value for key, value in self.tensors.items()
                if key.startswith(f"{name}.")}

    def sha256(self) -> str:
        """Of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def is_resnet(visual: dict[str, Tensor]) -> bool:
    """Whether an image tower is CLIP's ResNet."""
    return "layer1.0.conv1.weight" in visual


def architecture(checkpoint: Checkpoint, config: Imported) -> dict:
    """open_clip's configuration of the network, read off its tensors.

    Attention heads and the activation leave no trace in them and come from `config`.

    Raises:
        ReanchorError: a tensor that sizes are read off is absent or has other dimensions.
    """
    visual = checkpoint.group(IMAGE)
    resnet = is_resnet(visual)
    for name, dimensions in (_RESNET if resnet else _VIT).items():
        if name not in visual or visual[name].ndim != dimensions:
            found = tuple(visual[name].shape) if name in visual else "missing"
            raise ReanchorError(f"{checkpoint.path}: {IMAGE}.{name} is {found}; allowed: a tensor of {dimensions} "
                                f"dimensions, as in CLIP's {'ResNet' if resnet else 'ViT'}")
    vision = vision_sizes({f"visual.{name}": value for name, value in visual.items()})
    patch = vision["patch_size"]
    vision |= {"image_size": 224 // patch * patch if patch else 224}  # nominal: the real one is the spec's
    if config.head_width != 64:
        vision["head_width"] = config.head_width
    if not resnet:
        vision["mlp_ratio"] = visual["transformer.resblocks.0.mlp.c_fc.weight"].shape[0] / vision["width"]
        _check_heads(vision["width"], config, checkpoint.path)
    embed = visual["attnpool.c_proj.weight"].shape[0] if resnet else visual["proj"].shape[1]
    return {"embed_dim": embed, "quick_gelu": config.activation == "quick_gelu", "vision_cfg": vision,
            "text_cfg": _text_sizes(checkpoint.group(TEXT))}


def _check_heads(width: int, config: Imported, path: Path) -> None:
    if width % config.head_width:
        raise ReanchorError(f"{path}: its width {width} is no multiple of --head-width {config.head_width} "
                            "(imported.head_width); allowed: a divisor of it, as the model was trained with")


def _text_sizes(text: dict[str, Tensor]) -> dict:
    """Of the text tower that the model was trained with; OpenAI's where the checkpoint does not tell."""
    if any(name not in text or text[name].ndim != dimensions for name, dimensions in _TEXT.items()):
        return dict(_OPENAI_TEXT)
    width = text["ln_final.weight"].shape[0]
    return {"context_length": text["positional_embedding"].shape[0], "vocab_size": _OPENAI_TEXT["vocab_size"],
            "width": width, "heads": max(width // 64, 1),
            "layers": numbered(text, r"transformer\.resblocks\.(\d+)\.ln_1\.weight")}
