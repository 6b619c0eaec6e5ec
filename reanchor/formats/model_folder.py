"""A model's folder: model.json says what it is, weights.safetensors holds its tensors."""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from reanchor.errors import ReanchorError
from reanchor.weight_files.read import first_line
from reanchor.weight_files.safe import read_safetensors

LARGEST_JSON = 2**24  # bytes of model.json


def read_model_json(folder: Path) -> dict:
    """The whole of model.json.

    Raises:
        ReanchorError: when the folder holds no model, or a model.json that tells no kind.
    """
    path, skipped = Path(folder) / "model.json", Path(folder) / "skipped.json"
    if skipped.is_file() and not path.is_file():
        reason = json.loads(skipped.read_text())["reason"]
        raise ReanchorError(f"{folder}: no model here, its stage was skipped ({reason}); choose a folder with "
                            "model.json, or settings that train it")
    if not path.is_file():
        raise ReanchorError(f"{path}: no model here; run the stage that writes it (`dvc repro`)")
    if (size := path.stat().st_size) > LARGEST_JSON:
        raise ReanchorError(f"{path}: {size} bytes; allowed: {LARGEST_JSON}; get another copy of the folder")
    try:
        values = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ReanchorError(f"{path}: got what is no JSON ({error}); run the stage that writes it again") from error
    if not isinstance(values, dict) or not isinstance(values.get("kind"), str):
        raise ReanchorError(f"{path}: tells no kind of model; allowed is what the stages write: run its stage again")
    return values


def save_weights(module: nn.Module, folder: Path) -> None:
    """Write the state dict as weights.safetensors, in fp32."""
    state = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    save_file(state, folder / "weights.safetensors")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of weights.safetensors, as `save_weights` wrote them.

    Raises:
        FileNotFoundError: there are none.
        ReanchorError: the file is damaged.
    """
    path = Path(folder) / "weights.safetensors"
    try:
        return read_safetensors(path)
    except (SafetensorError, ValueError) as error:
        raise ReanchorError(f"{path}: damaged ({first_line(error)}); allowed: the file as its stage wrote it; run the "
                            "stage again, or get another copy") from error
