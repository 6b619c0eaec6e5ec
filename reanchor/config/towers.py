"""What the settings of the backbone tell of its image tower, before any weight is read."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reanchor.config.params import Params

_OPEN_CLIP_BLOCKS = {"ViT-B": 12, "ViT-L": 24, "ViT-H": 32}  # by the model name's beginning
_OPEN_CLIP_WIDTHS = {"ViT-B": 768, "ViT-L": 1024, "ViT-H": 1280}


def vision_blocks(params: "Params") -> int | None:
    """Transformer blocks of the configured backbone's image tower; None where only its file can tell."""
    if params.backbone.source in ("pretrain", "shipped"):  # shipped weights were made by the same recipe
        return params.backbone.pretrain.vision_layers
    return _of_open_clip(params, _OPEN_CLIP_BLOCKS)


def token_width(params: "Params") -> int | None:
    """Width of the configured backbone's tokens; None where only its file can tell."""
    if params.backbone.source in ("pretrain", "shipped"):
        return params.backbone.pretrain.vision_width
    return _of_open_clip(params, _OPEN_CLIP_WIDTHS)


def is_resnet(params: "Params") -> bool:
    """Whether the configured backbone has neither patches nor [CLS]."""
    return params.backbone.source in ("open_clip", "file") and params.backbone.model.startswith("RN")


def _of_open_clip(params: "Params", known: dict[str, int]) -> int | None:
    if params.backbone.source != "open_clip":
        return None
    return next((value for beginning, value in known.items() if params.backbone.model.startswith(beginning)), None)
