"""The identities' texts as stage 2's losses read them: fixed by stage 1, or learned along.

Shapes: B images, C identities, E joint width.
"""

from pathlib import Path
from typing import Protocol

from torch import Tensor

from reanchor.clip.model import Clip
from reanchor.clip.text import TextEncoder
from reanchor.methods.clip_reid.prompts import PromptLearner, read_prompts, read_text_features


class Texts(Protocol):
    """Un-normalised text features."""

    def all(self) -> Tensor:
        """Of every identity, [C, E]."""

    def of(self, labels: Tensor) -> Tensor:
        """Of these identities, [B, E]."""


class FixedTexts:
    """What stage 1 left (two-stage training)."""

    def __init__(self, features: Tensor):
        self.features = features

    def all(self) -> Tensor:
        """Of every identity, [C, E]."""
        return self.features

    def of(self, labels: Tensor) -> Tensor:
        """Of these identities, [B, E]."""
        return self.features[labels]


class LearnedTexts:
    """Prompts that are learned along with the image encoder (CLIP-ReID's one-stage training, Table 5)."""

    def __init__(self, learner: PromptLearner, text: TextEncoder):
        self.learner, self.text = learner, text

    def all(self) -> Tensor:
        """Of every identity, [C, E]: every prompt through the text encoder, so not for each step."""
        return self.learner.encode(self.learner.identities(), self.text)

    def of(self, labels: Tensor) -> Tensor:
        """Of these identities, [B, E]; each identity is encoded once."""
        unique, inverse = labels.unique(return_inverse=True)
        return self.learner.encode(unique, self.text)[inverse]


def open_texts(folder: Path, clip: Clip, learned: bool, device: str) -> Texts:
    """The texts that stage 1 wrote into `folder`; `learned`: its prompts, to be learned on."""
    if not learned:
        return FixedTexts(read_text_features(folder).to(device))
    text = clip.text_encoder().to(device)
    return LearnedTexts(read_prompts(folder, text, clip.spec.tokenizer()).to(device), text)
