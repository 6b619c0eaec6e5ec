"""Gated models on disk: the fine-tuned model and the visibility network in one folder."""

from pathlib import Path

from reanchor.clip.fit import fitted
from reanchor.clip.model import ClipSpec, spec_from, write_spec
from reanchor.clip.vision import ImageEncoder
from reanchor.formats.model_folder import read_model_json, read_weights, save_weights
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.store import blank_model, settings_of
from reanchor.methods.gate.anchors import AnchorNetwork
from reanchor.methods.gate.gates import NetworkGates, OnesGates
from reanchor.methods.gate.replay import GatedEncoder
from reanchor.methods.gate.shared import SharedGatedEncoder, SharedNetwork
from reanchor.methods.gate.visibility import VisibilityNetwork
from reanchor.methods.saga.store import blank_head

Reader = SharedNetwork | AnchorNetwork  # of the gated encoder's own tokens
Source = NetworkGates | OnesGates | Reader


def gate_model(model: ReidModel, gates: Source, eps: float, blocks: int, plain_weight: float = 0.0) -> ReidModel:
    """The same model with its [CLS] replayed; see `GatedEncoder` for arguments and errors.

    A `Reader` has to stand on the model's own encoder.
    """
    if isinstance(gates, Reader):
        assert gates.trunk is model.encoder
        model.encoder = SharedGatedEncoder(gates, eps, blocks, plain_weight)
    else:
        model.encoder = GatedEncoder(model.encoder, gates, eps, blocks, plain_weight)
    return model


def ones_gates(encoder: ImageEncoder) -> OnesGates:
    """Gates of weight 1 for this encoder's patch tokens."""
    return OnesGates(encoder.grid[0] * encoder.grid[1])


def seeing_network(model: ReidModel) -> VisibilityNetwork | Reader | None:
    """What a gated model judges visibility with; None for the control."""
    encoder = model.encoder
    if isinstance(encoder, SharedGatedEncoder):
        return encoder.network
    return encoder.gates.network if isinstance(encoder.gates, NetworkGates) else None


def save_gated(model: ReidModel, spec: ClipSpec, folder: Path, **more: object) -> None:
    """Write weights.safetensors and model.json (which also takes `more`) of a model that `gate_model` made."""
    save_weights(model, folder)
    encoder = model.encoder
    gate = {name: getattr(encoder, name) for name in ("eps", "blocks", "plain_weight")} | _source(encoder)
    write_spec(spec, folder, kind="gate", name="gate", settings=settings_of(model), gate=gate, **more)


def _source(encoder: GatedEncoder | SharedGatedEncoder) -> dict:
    """What rebuilds the source of the weights; network_blocks 0 without more: the control."""
    if isinstance(encoder, SharedGatedEncoder):
        network = encoder.network
        if isinstance(network, AnchorNetwork):
            head = network.head
            return {"network_blocks": 0, "saga_blocks": list(network.taps),
                    "saga_head": head.settings(len(head.anchors()))}
        return {"network_blocks": 0, "shared_blocks": list(network.taps), "shared_own": len(network.own)}
    gates = encoder.gates
    return {"network_blocks": gates.network.blocks if isinstance(gates, NetworkGates) else 0}


def read_gated(folder: Path) -> tuple[ReidModel, ClipSpec]:
    """What `save_gated` wrote: model and spec of its CLIP."""
    values = read_model_json(folder)
    spec = spec_from(values["spec"])
    return fitted(lambda: _blank_gated(spec, values), read_weights(folder), str(folder)), spec


def _blank_gated(spec: ClipSpec, values: dict) -> ReidModel:
    """An uninitialised gated model of what model.json says."""
    gate, model = values["gate"], blank_model(spec, values["settings"])
    if gate.get("shared_blocks"):
        gates = SharedNetwork(model.encoder, gate["shared_blocks"], gate["shared_own"])
    elif gate.get("saga_blocks"):
        head = blank_head(gate["saga_head"], model.encoder.width, model.encoder.embed, values["settings"]["identities"],
                          len(gate["saga_blocks"]))
        gates = AnchorNetwork(model.encoder, head, gate["saga_blocks"])
    elif gate["network_blocks"]:
        gates = NetworkGates(VisibilityNetwork(model.encoder, gate["network_blocks"]))
    else:  # the control
        gates = ones_gates(model.encoder)
    return gate_model(model, gates, gate["eps"], gate["blocks"], gate.get("plain_weight", 0.0))
