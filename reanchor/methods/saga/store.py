"""SAGA on disk: the head, its anchors as vectors, and the fine-tuned model that it stands on, in one folder."""

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from reanchor.clip.fit import fitted
from reanchor.clip.model import ClipSpec, spec_from, write_spec
from reanchor.formats.model_folder import read_model_json, read_weights
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.store import blank_model, settings_of
from reanchor.methods.saga.anchors import FreeAnchors
from reanchor.methods.saga.domain import make_domain
from reanchor.methods.saga.head import SagaHead

Fusion = tuple[float, float, float]  # weights of the refined feature, [CLS] and the projection


def save_saga(head: SagaHead, anchors: Tensor, reid: ReidModel, spec: ClipSpec, blocks: tuple[int, ...],
              weights: Fusion, folder: Path, **more: object) -> None:
    """Write head, its anchors as vectors [K, D], and the backbone it stands on; model.json also takes `more`."""
    state = {f"head.{name}": value for name, value in head.state_dict().items() if not name.startswith("anchors.")}
    state["head.anchors.anchors"] = anchors
    state |= {f"reid.{name}": value for name, value in reid.state_dict().items()}
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in state.items()},
              folder / "weights.safetensors")
    write_spec(spec, folder, kind="saga", name="saga", token_blocks=list(blocks), fusion=list(weights),
               head=head.settings(len(anchors)), settings=settings_of(reid), **more)


def read_saga(folder: Path) -> tuple[SagaHead, ReidModel, ClipSpec, tuple[int, ...], Fusion]:
    """What `save_saga` wrote: head, model, spec of its CLIP, the blocks whose tokens are read, fusion weights."""
    values = read_model_json(folder)
    spec, blocks = spec_from(values["spec"]), tuple(values["token_blocks"])
    parts = fitted(lambda: _blank(spec, values, len(blocks)), read_weights(folder), str(folder))
    return parts["head"], parts["reid"], spec, blocks, tuple(values["fusion"])


def _blank(spec: ClipSpec, values: dict, paths: int) -> nn.ModuleDict:
    """Uninitialised model and head of what model.json says, by the prefixes of the weights' names."""
    model = blank_model(spec, values["settings"])
    head = blank_head(values["head"], model.encoder.width, model.encoder.embed, values["settings"]["identities"], paths)
    return nn.ModuleDict({"reid": model, "head": head})


def blank_head(shape: dict, width: int, embed: int, identities: int, paths: int) -> SagaHead:
    """An uninitialised head of these settings, its anchors as plain vectors."""
    domain = make_domain(shape["domain"], shape["domain_anchors"], width, embed, shape["heads"], shape["cameras"])
    return SagaHead(FreeAnchors(shape["text_anchors"], width), domain, shape["layers"], shape["heads"], width,
                    identities, shape["classifiers"], paths, shape["feature_width"])
