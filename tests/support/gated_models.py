"""A fine-tuned toy model with a gate in it."""

import torch
from golden_files import tiny_clip
from torch import Generator

from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.gate.gates import NetworkGates
from reanchor.methods.gate.shared import SharedNetwork
from reanchor.methods.gate.store import Source, gate_model
from reanchor.methods.gate.visibility import VisibilityNetwork


def gated(kind: str, blocks: int = 0, plain_weight: float = 0.0) -> ReidModel:
    model = ReidModel(tiny_clip().image_encoder(), 3).eval()
    network = SharedNetwork(model.encoder, (1, 2), 1) if kind == "shared" else VisibilityNetwork(model.encoder, 1)
    network.initialise(Generator().manual_seed(0))
    with torch.no_grad():
        [layer for layer in network.head if isinstance(layer, torch.nn.Linear)][-1].weight.mul_(200)
    gates: Source = network if kind == "shared" else NetworkGates(network)
    return gate_model(model, gates, 0.02, blocks, plain_weight).eval()
