"""SAGA as an embedder; its anchors are stored as vectors, so no text encoder is needed at test time."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from reanchor.clip.model import ClipSpec, fit_weights, freeze, read_model_json, spec_from, write_spec
from reanchor.clipreid.model import ReidModel
from reanchor.clipreid.store import blank_model, settings_of
from reanchor.embedding.reid import ReidEmbedder, seen_by
from reanchor.evaluation.embedder import Embedding
from reanchor.evaluation.ranking import Labels
from reanchor.saga.anchors import DomainAnchors, FreeAnchors
from reanchor.saga.head import SagaHead, fuse

Fusion = tuple[float, float, float]  # weights of the refined feature, [CLS] and the projection
REFINED = (1.0, 0.0, 0.0)


class SagaEmbedder:
    """Refined feature, [CLS] and projection, fused by weighted cosine similarities.

    `variants` are further weights, each giving another feature of the same pass.
    """

    def __init__(self, name: str, reid: ReidEmbedder, head: SagaHead, token_block: int, weights: Fusion,
                 variants: dict[str, Fusion] | None = None):
        self.name, self.reid, self.token_block, self.weights = name, reid, token_block, weights
        self.variants = variants or {}
        self.head = freeze(head).to(reid.device)
        self.grid, self.patch, self.stride = reid.grid, reid.patch, reid.stride
        self.preprocessing = reid.preprocessing

    @torch.inference_mode()
    def parts(self, images: np.ndarray, labels: Labels) -> tuple[list[Tensor], Tensor]:
        """[refined, [CLS], projection] features of [B, ...] images, and token weights [B, T]."""
        out = self.reid.tokens(images, labels, (self.token_block,))
        refined, weights = self.head.aggregate(out.taps[self.token_block][:, 1:].float(), self.head.anchors())
        return [refined, out.cls, out.projected], weights

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        """Unit features, dot product = weighted mean of cosines; token weights of the aggregation."""
        parts, weights = self.parts(images, seen_by(camids, viewids))
        features, *others = (fuse(parts, list(own)).cpu().numpy() for own in (self.weights, *self.variants.values()))
        return Embedding(features, weights.cpu().numpy(), dict(zip(self.variants, others, strict=True)))


def save_saga(head: SagaHead, anchors: Tensor, reid: ReidModel, spec: ClipSpec, token_block: int,
              weights: Fusion, folder: Path, **more: object) -> None:
    """Write head, its anchors as vectors [K, D], and the backbone it stands on; model.json also takes `more`."""
    state = {f"head.{name}": value for name, value in head.state_dict().items() if not name.startswith("anchors.")}
    state["head.anchors.anchors"] = anchors
    state |= {f"reid.{name}": value for name, value in reid.state_dict().items()}
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in state.items()},
              folder / "weights.safetensors")
    write_spec(spec, folder, kind="saga", name="saga", token_block=token_block, fusion=list(weights), head={
        "text_anchors": len(anchors), "domain_anchors": head.domain.count if head.domain else 0,
        "layers": len(head.refine), "heads": head.refine[0].attn.num_heads,
        "classifiers": len(head.classifiers),
    }, settings=settings_of(reid), **more)


def load_saga(folder: Path, device: str, variant: str) -> SagaEmbedder:
    """A trained SAGA; see `load_embedder` for `variant`."""
    values = read_model_json(folder)
    spec, shape = spec_from(values["spec"]), values["head"]
    model = blank_model(spec, values["settings"])
    width = model.encoder.width
    domain = DomainAnchors(shape["domain_anchors"], width) if shape["domain_anchors"] else None
    head = SagaHead(FreeAnchors(shape["text_anchors"], width), domain, shape["layers"], shape["heads"], width,
                    values["settings"]["identities"], shape["classifiers"])
    state = load_file(folder / "weights.safetensors")
    for prefix, module in (("reid.", model), ("head.", head)):
        fit_weights(module, {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, str(folder))
    weights = {"fused": tuple(values["fusion"]), "refined": REFINED, "cls": (0.0, 1.0, 0.0)}[variant]
    name = "saga" if variant == "fused" else f"saga_{variant}"
    return SagaEmbedder(name, ReidEmbedder(name, model, spec, device), head, values["token_block"], weights,
                        {"refined": REFINED} if variant == "fused" else {})
