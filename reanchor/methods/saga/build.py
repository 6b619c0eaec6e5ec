"""A seeded SAGA head that fits a backbone."""

import torch
from torch import Generator, nn

from reanchor.clip.text import TextEncoder
from reanchor.clip.tokenizer import Tokenizer
from reanchor.clip.vision import ImageEncoder
from reanchor.errors import ReanchorError
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.saga.anchors import FreeAnchors, TextAnchors
from reanchor.methods.saga.batch import starting_blocks, tapped_blocks
from reanchor.methods.saga.domain import make_domain
from reanchor.methods.saga.frozen import FrozenAnchors, GenericAnchors, generic_features, random_vectors
from reanchor.methods.saga.head import SagaHead
from reanchor.methods.saga.settings import Saga


def build_head(config: Saga, model: ReidModel, identities: int, text: TextEncoder, tokenizer: Tokenizer,
               cameras: int = 1) -> SagaHead:
    """A seeded head; with `refine_init: clip` each path's blocks start from the CLIP block at its tokens."""
    encoder = model.encoder
    check_fits(config, encoder)
    torch.manual_seed(config.seed)  # before the first layer that draws its own initial values
    anchors = make_anchors(config, encoder, text, tokenizer)
    domain = make_domain(config.domain, config.domain_anchors, encoder.width, encoder.embed, config.refine_heads,
                         cameras)
    sources = starting_blocks(config.token_blocks, encoder.depth)
    head = SagaHead(anchors, domain, config.refine_layers, config.refine_heads, encoder.width, identities,
                    config.classifiers, len(sources), config.feature_width)
    head.initialise(Generator().manual_seed(config.seed))
    if config.refine_init == "clip":
        for path, source in zip(head.refine, sources, strict=True):
            for block in path:
                block.start_from(encoder.visual.transformer.resblocks[source - 1])
    return head


def make_anchors(config: Saga, encoder: ImageEncoder, text: TextEncoder, tokenizer: Tokenizer) -> nn.Module:
    """The anchors that `saga.anchors` names, before `initialise`."""
    if config.anchors == "free":
        return FreeAnchors(config.text_anchors, encoder.width)
    if config.anchors == "generic_frozen":
        return GenericAnchors(generic_features(config.text_anchors, text, tokenizer), encoder.width)
    anchors = TextAnchors(config.text_anchors, config.context_slots, config.frozen_slots, encoder.width,
                          encoder.embed, text, tokenizer)
    return anchors if config.anchors == "text" else FrozenAnchors(_random_like(anchors, encoder, text, config))


@torch.no_grad()
def _random_like(anchors: TextAnchors, encoder: ImageEncoder, text: TextEncoder, config: Saga) -> torch.Tensor:
    """Random directions of the mean norm that the text anchors begin with under this seed."""
    anchors.initialise(Generator().manual_seed(config.seed))
    norm = anchors.to(text.token_embedding.weight.device)(text).norm(dim=1).mean().item()
    return random_vectors(config.text_anchors, encoder.width, norm, Generator().manual_seed(config.seed))


def check_fits(config: Saga, encoder: ImageEncoder) -> None:
    """Raise ReanchorError where SAGA's settings ask for what this backbone does not have."""
    if encoder.grid is None:
        raise ReanchorError("saga.train: SAGA reads patch tokens, which a ResNet has not; use a ViT or "
                            "method=clip_reid")
    tapped_blocks(config.token_blocks, encoder.depth)
    if encoder.width % config.refine_heads:
        raise ReanchorError(f"saga.refine_heads: got {config.refine_heads}; allowed: a divisor of {encoder.width}, "
                            "this backbone's token width")


def check_anchors(config: Saga, kind: str) -> None:
    """Raise ReanchorError where the anchors' texts describe something else than the images show."""
    if config.anchors == "text" and kind == "vehicle":
        raise ReanchorError("saga.anchors: got 'text', whose phrases name a person's parts and clothes, but the "
                            "dataset shows vehicles; allowed: free, random_frozen, generic_frozen")
