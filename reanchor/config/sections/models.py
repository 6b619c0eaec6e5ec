"""Which CLIP, and which model from elsewhere."""

from dataclasses import dataclass

from reanchor.config.sections.field import field


@dataclass
class Pretrain:
    """The small CLIP made here, and the recipe that makes it."""

    seed: int = field(0, low=0)
    identities: int = field(3000, low=8)
    images: int = field(8, low=2)  # per identity
    cameras: int = field(40, low=2)
    vision_width: int = field(128, low=16)
    vision_layers: int = field(6, low=2)
    heads: int = field(4, low=1)
    patch: int = field(8, low=2)
    text_width: int = field(128, low=16)
    text_layers: int = field(3, low=1)
    context: int = field(40, low=8, high=77)
    embed: int = field(128, low=8)
    steps: int = field(850, low=1)
    batch: int = field(192, low=2)
    lr: float = field(1e-3, low=0.0)
    weight_decay: float = field(0.05, low=0.0)
    patch_dropout: float = field(0.5, low=0.0, high=0.9)
    token_weight: float = field(0.5, low=0.0)  # of the contrast on pooled patch tokens
    token_block: int = field(5, low=1)  # 1-indexed


@dataclass
class Backbone:
    source: str = field("shipped", choices=("shipped", "pretrain", "open_clip", "file"))
    model: str = "ViT-B-16-quickgelu"  # open_clip's name; for `open_clip`, and `file` when not OpenAI's
    tag: str = "openai"
    path: str = "models/shipped/streetfolk.safetensors"  # for `shipped` and `file`
    stride: int = field(0, low=0)  # 0: the patch size (no overlap)
    normalisation: str = field("half", choices=("half", "imagenet", "clip"))  # for `open_clip` and `file`
    pretrain: Pretrain = field(Pretrain())


NOTHING_IMPORTED = "conf/method/imported.yaml"  # DVC needs some file to watch where there is no checkpoint


@dataclass
class Imported:
    """A model that was trained elsewhere, or in another study. 0 and auto: what the file says."""

    path: str = NOTHING_IMPORTED  # CLIP-ReID's checkpoint, or a model folder of this project
    height: int = field(0, low=0, high=1024)  # of its images
    width: int = field(0, low=0, high=1024)
    stride: int = field(0, low=0)
    sie_tokens: str = field("auto", choices=("auto", "cls", "all", "none"))  # none: the table is left out
    sie_coefficient: float = field(0.0, low=0.0)  # 0: the published one, 1 (CLIP-ReID) or 3 (TransReID's table)
    cameras: int = field(0, low=0)  # of the SIE table's rows
    views: int = field(0, low=0)
    normalisation: str = field("auto", choices=("auto", "half", "imagenet", "clip"))
    interpolation: str = field("bilinear", choices=("bilinear", "bicubic"))  # of the resize at test time
    activation: str = field("quick_gelu", choices=("quick_gelu", "gelu"))
    head_width: int = field(64, low=1)  # channels of an attention head
