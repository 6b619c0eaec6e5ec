"""Anchors that are no learned text: what the reviewers ask the text anchors to be compared with.

Definitions are ours; the paper has none. Shapes: K anchors, D token width, E joint width.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from reanchor.clip.text import TextEncoder
from reanchor.clip.tokenizer import Tokenizer, tokenize
from reanchor.errors import ReanchorError

# Everyday things and places: no person, no body part, no clothing.
_THINGS = (
    "chair", "table", "lamp", "bottle", "cup", "spoon", "clock", "piano", "bicycle", "train", "ship", "airplane",
    "bridge", "house", "tower", "window", "mountain", "river", "forest", "beach", "desert", "cloud", "flower", "apple",
    "bread", "horse", "dog", "bird", "fish", "book", "candle", "guitar",
)
# The same for a closed vocabulary that knows few nouns: things without colour or cloth.
_SHAPES = tuple(f"{quality} {noun}" for noun in ("object", "camera", "star", "disc")
                for quality in ("round", "square", "wide", "long", "short", "open", "upright", "plain"))


class FrozenAnchors(nn.Module):
    """K vectors that are never trained."""

    def __init__(self, vectors: Tensor):
        super().__init__()
        self.register_buffer("anchors", vectors)

    def initialise(self, generator: Generator) -> None:
        """Nothing is left to draw."""

    def forward(self, text: TextEncoder | None = None) -> Tensor:
        """The anchors, [K, D]."""
        return self.anchors


def random_vectors(count: int, width: int, norm: float, generator: Generator) -> Tensor:
    """[K, D]: directions uniform on the sphere, each of length `norm`."""
    return norm * F.normalize(torch.randn(count, width, generator=generator), dim=1)


class GenericAnchors(nn.Module):
    """Frozen text features [K, E] of generic phrases through the learned linear map of the text anchors."""

    def __init__(self, features: Tensor, width: int):
        super().__init__()
        self.register_buffer("features", features)
        self.projection = nn.Linear(features.shape[1], width, bias=False)

    def initialise(self, generator: Generator) -> None:
        """Xavier for the map."""
        nn.init.xavier_uniform_(self.projection.weight, generator=generator)

    def forward(self, text: TextEncoder | None = None) -> Tensor:
        """The anchors, [K, D]."""
        return self.projection(self.features)


def generic_phrases(count: int, tokenizer: Tokenizer) -> list[str]:
    """"a photo of a ..." of K different things, or of shapes where the tokenizer cannot tell the things apart.

    Raises:
        ReanchorError: more phrases than there are, or words that the tokenizer does not know.
    """
    for names in (_THINGS, _SHAPES):
        phrases = [f"a photo of {'an' if name[0] in 'aeiou' else 'a'} {name}." for name in names]
        if len({tuple(tokenizer.encode(phrase)) for phrase in phrases}) == len(phrases):
            break
    else:
        raise ReanchorError("saga.anchors: got 'generic_frozen'; this backbone's tokenizer knows neither everyday "
                            "things nor shapes; allowed: text, free, random_frozen")
    if count > len(phrases):
        raise ReanchorError(f"saga.text_anchors: got {count}; allowed while saga.anchors is generic_frozen: at most "
                            f"{len(phrases)}, the generic phrases there are")
    return phrases[:count]


@torch.no_grad()
def generic_features(count: int, text: TextEncoder, tokenizer: Tokenizer) -> Tensor:
    """Text features of the generic phrases, [K, E]."""
    tokens = tokenize(tokenizer, generic_phrases(count, tokenizer), text.context_length)
    return text.encode_tokens(tokens.to(text.token_embedding.weight.device)).clone()
