"""A small random model of every kind, on disk."""

from pathlib import Path

import torch
from golden_files import tiny_clip
from saga_fakes import reid_model
from torch import Generator

from reanchor.clip.tokenizer import BytePairTokenizer
from reanchor.config.sections.mgcc import MgccModel
from reanchor.config.sections.training import Saga
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.store import save_reid
from reanchor.methods.gate.gates import NetworkGates
from reanchor.methods.gate.store import gate_model, save_gated
from reanchor.methods.gate.visibility import VisibilityNetwork
from reanchor.methods.mgcc.model import Mgcc
from reanchor.methods.mgcc.store import save_mgcc
from reanchor.methods.saga.build import build_head
from reanchor.methods.saga.store import save_saga
from reanchor.text.towers import DualEncoder, save_dual

SIZE = (64, 32)  # height, width
EMBEDDERS = ("clip", "clip_reid", "saga", "gate", "dual")  # kinds with one feature
KINDS = (*EMBEDDERS, "mgcc")


def write_model(kind: str, folder: Path) -> Path:
    """A model that reads `SIZE`; fine-tuned ones know two cameras."""
    clip = tiny_clip()
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    if kind == "clip":
        clip.save(folder)
    elif kind == "clip_reid":
        save_reid(reid_model(), clip.spec, "clip_reid", folder)
    elif kind == "saga":
        config, text = Saga(text_anchors=4, token_blocks=[2], refine_layers=1), clip.text_encoder()
        head = build_head(config, reid_model(), 3, text, BytePairTokenizer(), cameras=2)
        save_saga(head, head.anchors(text), reid_model(), clip.spec, (2,), (0.6, 0.3, 0.1), folder)
    elif kind == "gate":
        model = ReidModel(clip.image_encoder(), 3).eval()
        network = VisibilityNetwork(model.encoder, 1)
        network.initialise(Generator().manual_seed(0))
        save_gated(gate_model(model, NetworkGates(network), 0.02, 0), clip.spec, folder)
    elif kind == "dual":
        save_dual(DualEncoder(clip), clip.spec, "tbps_clip", folder)
    else:
        save_mgcc(Mgcc(clip, MgccModel()), clip.spec, folder)
    return folder
