"""Both towers of a CLIP, trained together, and the search with their two features.

Shapes: B images or sentences, L slots, E joint width.
"""

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reanchor.clip.fit import fitted
from reanchor.clip.model import Clip, ClipSpec, spec_from, write_spec
from reanchor.clip.text import TextEncoder
from reanchor.clip.tokenizer import tokenize
from reanchor.formats.incoming import checked_images
from reanchor.formats.model_folder import read_model_json, read_weights, save_weights
from reanchor.formats.searcher import Encoded, Searcher
from reanchor.text.words import clean_sentence
from reanchor.training.augment import normalise


class DualEncoder(nn.Module):
    """The image tower, the text tower and the temperature of a CLIP; copies, so that the CLIP stays as it is.

    Args:
        context: slots of a sentence; 0: the CLIP's. Another number resizes the text position embeddings.
        clean: sentences lose most punctuation before they are read (`reanchor.text.words.clean_sentence`).
    """

    def __init__(self, clip: Clip, context: int = 0, clean: bool = False):
        super().__init__()
        self.clean = clean
        self.image = clip.image_encoder()
        self.text = copy.deepcopy(TextEncoder(clip.network))
        self.log_scale = nn.Parameter(clip.network.logit_scale.detach().clone())
        if context and context != self.text.context_length:
            resize_context(self.text, context)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.log_scale.device

    def images(self, images: Tensor) -> Tensor:
        """Projected features [B, E] of normalised images [B, 3, H, W], not of unit length."""
        return self.image(images).projected

    def sentences(self, tokens: Tensor) -> Tensor:
        """Projected features [B, E] of token ids [B, L], not of unit length."""
        return self.text.encode_tokens(tokens)


def resize_text_positions(positions: Tensor, slots: int) -> Tensor:
    """Text position embeddings [L, W] for another context [slots, W].

    The first and the last row are kept, those between interpolated linearly (as TBPS-CLIP's authors do).
    """
    if len(positions) == slots:
        return positions.clone()
    between = F.interpolate(positions[1:-1].T[None], size=slots - 2, mode="linear", align_corners=False)[0].T
    return torch.cat([positions[:1], between, positions[-1:]])


def resize_context(text: TextEncoder, context: int) -> None:
    """Let the text tower read `context` slots."""
    text.positional_embedding = nn.Parameter(resize_text_positions(text.positional_embedding.data, context))
    text.context_length = context
    text.attn_mask = torch.full((context, context), float("-inf")).triu_(1)


def save_dual(model: DualEncoder, spec: ClipSpec, name: str, folder: Path, **more: object) -> None:
    """Write the towers: weights.safetensors and model.json (kind "dual"), which also takes `more`."""
    save_weights(model, folder)
    settings = {"context": model.text.context_length, "clean": model.clean}
    write_spec(spec, folder, kind="dual", name=name, settings=settings, **more)


def read_dual(folder: Path) -> tuple[DualEncoder, ClipSpec, str]:
    """What `save_dual` wrote: towers, spec of their CLIP, name."""
    values = read_model_json(folder)
    spec = spec_from(values["spec"])
    model = fitted(lambda: DualEncoder(Clip(spec, spec.network()), **values["settings"]), read_weights(folder),
                   str(folder))
    return model, spec, values["name"]


class DualSearcher(Searcher):
    """Text-based search by the cosine of the two features of an image and a sentence.

    Wraps the model itself, so one that is in training is judged as it stands; put it in evaluation mode.
    """

    def __init__(self, name: str, model: DualEncoder, spec: ClipSpec):
        self.name, self.model, self.spec = name, model, spec
        self.grid, self.preprocessing = model.image.grid, spec.preprocessing
        self.tokenizer, self.context = spec.tokenizer(), model.text.context_length

    @torch.inference_mode()
    def images(self, images: np.ndarray) -> Encoded:
        """{"feature": unit [B, E]} of uint8 RGB images [B, H, W, 3]; ReanchorError where they are not as it reads."""
        given = checked_images(images, tuple(self.spec.image_size), self.name)
        pixels = normalise(torch.from_numpy(given), self.spec.mean, self.spec.std)
        return {"feature": F.normalize(self.model.images(pixels.to(self.model.device)).float(), dim=1)}

    def read(self, sentence: str) -> str:
        """A sentence as it is tokenised."""
        return clean_sentence(sentence) if self.model.clean else sentence

    @torch.inference_mode()
    def sentences(self, sentences: Sequence[str]) -> Encoded:
        """{"feature": unit [B, E]} of B sentences; those longer than the context lose their end."""
        tokens = tokenize(self.tokenizer, [self.read(text) for text in sentences], self.model.text.context_length)
        return {"feature": F.normalize(self.model.sentences(tokens.to(self.model.device)).float(), dim=1)}

    def similarity(self, sentences: Encoded, images: Encoded) -> Tensor:
        """Cosines, fp32 [sentences, images]."""
        return sentences["feature"] @ images["feature"].T
