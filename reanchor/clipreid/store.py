"""Fine-tuned models on disk."""

from pathlib import Path

from reanchor.clip.model import ClipSpec, load_weights, read_model_json, save_weights, spec_from, write_spec
from reanchor.clipreid.model import ReidModel


def save_reid(model: ReidModel, spec: ClipSpec, name: str, folder: Path) -> None:
    """Write a fine-tuned model: weights.safetensors and model.json."""
    save_weights(model, folder)
    write_spec(spec, folder, kind="reid", name=name, settings={
        "identities": model.classifier.out_features,
        "cameras": 0 if model.camera is None else len(model.camera),
        "camera_coefficient": model.camera_coefficient,
        "token_block": model.token_block,
    })


def read_reid(folder: Path) -> tuple[ReidModel, ClipSpec, str]:
    """What `save_reid` wrote: model, spec of its CLIP, name."""
    values = read_model_json(folder)
    spec = spec_from(values["spec"])
    model = ReidModel(spec.image_encoder(), **values["settings"])
    load_weights(model, folder)
    return model, spec, values["name"]
