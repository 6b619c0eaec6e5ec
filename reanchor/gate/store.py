"""Gated models on disk: the fine-tuned model and the visibility network in one folder."""

from pathlib import Path

from reanchor.clip.model import ClipSpec, load_weights, read_model_json, save_weights, spec_from, write_spec
from reanchor.clip.vision import ImageEncoder
from reanchor.clipreid.model import ReidModel
from reanchor.clipreid.store import blank_model, settings_of
from reanchor.gate.gates import NetworkGates, OnesGates
from reanchor.gate.replay import GatedEncoder
from reanchor.gate.visibility import VisibilityNetwork


def gate_model(model: ReidModel, gates: NetworkGates | OnesGates, eps: float, blocks: int) -> ReidModel:
    """The same model with its [CLS] replayed; see `GatedEncoder` for arguments and errors."""
    model.encoder = GatedEncoder(model.encoder, gates, eps, blocks)
    return model


def ones_gates(encoder: ImageEncoder) -> OnesGates:
    """Gates of weight 1 for this encoder's patch tokens."""
    return OnesGates(encoder.grid[0] * encoder.grid[1])


def save_gated(model: ReidModel, spec: ClipSpec, folder: Path, **more: object) -> None:
    """Write weights.safetensors and model.json (which also takes `more`) of a model that `gate_model` made."""
    encoder = model.encoder
    network = encoder.gates.network.blocks if isinstance(encoder.gates, NetworkGates) else 0
    save_weights(model, folder)
    write_spec(spec, folder, kind="gate", name="gated", settings=settings_of(model),
               gate={"eps": encoder.eps, "blocks": encoder.blocks, "network_blocks": network}, **more)


def read_gated(folder: Path) -> tuple[ReidModel, ClipSpec]:
    """What `save_gated` wrote: model and spec of its CLIP."""
    values = read_model_json(folder)
    spec, gate = spec_from(values["spec"]), values["gate"]
    model = blank_model(spec, values["settings"])
    if gate["network_blocks"]:
        gates = NetworkGates(VisibilityNetwork(model.encoder, gate["network_blocks"]))
    else:  # the control
        gates = ones_gates(model.encoder)
    gate_model(model, gates, gate["eps"], gate["blocks"])
    load_weights(model, folder)
    return model, spec
