"""A CLIP as the stages pass it on: open_clip's network, its tokenizer and its preprocessing."""

import copy
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import open_clip
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from torch import nn

from reanchor.clip.fit import fitted, sketch
from reanchor.clip.plain import foreign
from reanchor.clip.resnet import CnnEncoder
from reanchor.clip.text import TextEncoder
from reanchor.clip.tokenizer import BytePairTokenizer, Tokenizer, WordTokenizer
from reanchor.clip.vision import ImageEncoder
from reanchor.errors import ReanchorError
from reanchor.formats.model_folder import read_model_json, read_weights, save_weights
from reanchor.formats.preprocessing import Preprocessing

# Pixel statistics in RGB order. CLIP-ReID's ViT recipes use "half", its CNN recipes ImageNet's, not CLIP's own.
NORMALISATIONS = {
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}


@dataclass
class ClipSpec:
    """All that rebuilds the network around its weights."""

    architecture: dict  # open_clip's: embed_dim, vision_cfg, text_cfg, quick_gelu
    image_size: tuple[int, int]  # (height, width) the encoder reads
    stride: int = 0
    vocabulary: list[str] | None = None  # None: byte-pair codes
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    origin: str = ""
    interpolation: str = ""  # of the resize at test time: bicubic, bilinear, or unknown

    @property
    def preprocessing(self) -> Preprocessing:
        """The images that the encoder reads."""
        return Preprocessing(*self.image_size, self.interpolation)

    def tokenizer(self) -> Tokenizer:
        """The tokenizer the text tower was trained with."""
        return WordTokenizer(self.vocabulary) if self.vocabulary else BytePairTokenizer()

    def network(self) -> open_clip.model.CLIP:
        """An uninitialised network of this architecture."""
        arch = self.architecture
        return open_clip.model.CLIP(
            arch["embed_dim"], CLIPVisionCfg(**_pairs(arch["vision_cfg"])), CLIPTextCfg(**arch["text_cfg"]),
            quick_gelu=arch.get("quick_gelu", False),
        )

    def image_encoder(self, network: open_clip.model.CLIP | None = None) -> ImageEncoder | CnnEncoder:
        """The image tower of `network` (or of a blank one), read at this size and stride.

        Raises:
            ReanchorError: when the tower is neither open_clip's ViT with a [CLS] token nor CLIP's ResNet.
        """
        visual = copy.deepcopy(network.visual) if network else self.network().visual
        if isinstance(visual, ModifiedResNet):
            return CnnEncoder(visual, tuple(self.image_size), self.stride)
        if not isinstance(visual, VisionTransformer) or visual.attn_pool is not None:
            raise ReanchorError(
                f"backbone.model: a {type(visual).__name__} image tower is not supported; choose a model whose image "
                "tower is open_clip's ViT with a [CLS] token, such as ViT-B-16, or CLIP's ResNet, such as RN50"
            )
        return ImageEncoder(visual, tuple(self.image_size), self.stride)


def _pairs(vision: dict) -> dict:
    """JSON turns open_clip's tuples into lists; turn them back."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in vision.items()}


@dataclass
class Clip:
    """Weights and spec together."""

    spec: ClipSpec
    network: open_clip.model.CLIP
    recipe: dict = field(default_factory=dict)  # settings it was pre-trained with, where that is known
    figures: dict = field(default_factory=dict)  # what its pre-training measured

    def image_encoder(self) -> ImageEncoder | CnnEncoder:
        """A copy of the image tower, adapted to the spec's size and stride."""
        return self.spec.image_encoder(self.network)

    def text_encoder(self) -> TextEncoder:
        """The frozen text tower."""
        encoder = TextEncoder(self.network)
        return freeze(encoder)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and model.json into an existing folder."""
        save_weights(self.network, folder)
        write_spec(self.spec, folder, recipe=self.recipe, figures=self.figures)

    @classmethod
    def load(cls, folder: Path) -> "Clip":
        """Read what `save` wrote."""
        values = read_model_json(folder)
        spec, state = spec_from(values["spec"]), read_weights(folder)
        sketch(spec.image_encoder, state, str(folder))  # at the spec's image size, which the weights do not show
        return cls(spec, fitted(spec.network, state, str(folder)).eval(), values["recipe"], values["figures"])


def freeze(module: nn.Module) -> nn.Module:
    """No gradients, evaluation mode."""
    return module.requires_grad_(False).eval()


def write_spec(spec: ClipSpec, folder: Path, kind: str = "clip", **more: object) -> None:
    """Write model.json: what kind of model lies here, the CLIP it stands on, and its own settings."""
    values = {"kind": kind, "spec": asdict(spec), **more}
    (folder / "model.json").write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")


def spec_from(values: dict) -> ClipSpec:
    """A spec out of JSON, where tuples have become lists.

    Raises:
        ReanchorError: an architecture that is no plain CLIP.
    """
    if strange := foreign(values["architecture"]):
        raise ReanchorError(f"spec.architecture: got {', '.join(strange)[:160]}; allowed: the sizes of a plain CLIP, "
                            "as this project's stages write them; get another copy")
    tuples = {key: tuple(values[key]) for key in ("image_size", "mean", "std")}
    return ClipSpec(**{**values, **tuples})
