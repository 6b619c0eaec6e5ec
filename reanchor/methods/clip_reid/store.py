"""Fine-tuned models on disk."""

from pathlib import Path

from reanchor.clip.fit import fitted
from reanchor.clip.model import ClipSpec, spec_from, write_spec
from reanchor.formats.model_folder import read_model_json, read_weights, save_weights
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.side import SideSettings


def save_reid(model: ReidModel, spec: ClipSpec, name: str, folder: Path, **more: object) -> None:
    """Write a fine-tuned model: weights.safetensors and model.json, which also takes `more`."""
    save_weights(model, folder)
    write_spec(spec, folder, kind="clip_reid", name=name, settings=settings_of(model), **more)


def read_reid(folder: Path) -> tuple[ReidModel, ClipSpec, str]:
    """What `save_reid` wrote: model, spec of its CLIP, name."""
    values = read_model_json(folder)
    spec = spec_from(values["spec"])
    model = fitted(lambda: blank_model(spec, values["settings"]), read_weights(folder), str(folder))
    return model, spec, values["name"]


def settings_of(model: ReidModel) -> dict:
    """All that rebuilds the model around its encoder, as JSON takes it."""
    return {
        "identities": model.classifier.out_features,
        "side": model.side.settings.as_dict() if model.side else None,
        "token_block": model.token_block,
    }


def blank_model(spec: ClipSpec, settings: dict) -> ReidModel:
    """An uninitialised model of these settings."""
    side = SideSettings(**settings["side"]) if settings["side"] else None
    return ReidModel(spec.image_encoder(), settings["identities"], side, settings["token_block"])
