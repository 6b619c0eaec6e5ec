"""A trained MGCC on disk and at test time."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reanchor.clip.fit import fitted
from reanchor.clip.model import Clip, ClipSpec, spec_from, write_spec
from reanchor.clip.tokenizer import tokenize
from reanchor.formats.incoming import checked_images
from reanchor.formats.model_folder import read_model_json, read_weights, save_weights
from reanchor.formats.searcher import Encoded, Searcher
from reanchor.methods.mgcc.blocks import all_pairs
from reanchor.methods.mgcc.model import Mgcc
from reanchor.methods.mgcc.settings import MgccModel
from reanchor.methods.mgcc.similarity import ImageSide, TextSide
from reanchor.training.augment import normalise


def save_mgcc(model: Mgcc, spec: ClipSpec, folder: Path, **more: object) -> None:
    """Write weights.safetensors and model.json (kind "mgcc"), which also takes `more`."""
    save_weights(model, folder)
    write_spec(spec, folder, kind="mgcc", name="mgcc", settings=asdict(model.settings), **more)


def load_mgcc(folder: Path, device: str = "cpu") -> "MgccSearcher":
    """What `save_mgcc` wrote, ready to search."""
    values = read_model_json(folder)
    spec = spec_from(values["spec"])
    settings = MgccModel(**values["settings"])
    model = fitted(lambda: Mgcc(Clip(spec, spec.network()), settings), read_weights(folder), str(folder))
    return MgccSearcher(model.to(device).eval(), spec)


class MgccSearcher(Searcher):
    """Text-based search with MGCC.

    Wraps the model itself, so one that is in training is judged as it stands; put it in evaluation mode.
    """

    name = "mgcc"

    def __init__(self, model: Mgcc, spec: ClipSpec):
        self.model, self.spec = model, spec
        self.grid, self.preprocessing = model.towers.image.grid, spec.preprocessing
        self.tokenizer, self.context = spec.tokenizer(), model.towers.text.context_length

    @torch.inference_mode()
    def images(self, images: np.ndarray) -> Encoded:
        """{"whole": [B, D], "patches": [B, P, D], "patch_index": [B, P]} of uint8 RGB images [B, H, W, 3].

        Raises:
            ReanchorError: images of another dtype, layout or size than the model reads.
        """
        given = checked_images(images, tuple(self.spec.image_size), self.name)
        pixels = normalise(torch.from_numpy(given), self.spec.mean, self.spec.std)
        found = self.model.images(pixels.to(self.model.device))
        return {"whole": found.side.whole, "patches": found.side.patches, "patch_index": found.index}

    @torch.inference_mode()
    def sentences(self, sentences: Sequence[str]) -> Encoded:
        """{"whole": [N, D], "words": [N, W, D], "present", "word_index": [N, W]}; a missing word repeats the best."""
        tokens = tokenize(self.tokenizer, list(sentences), self.context)
        found = self.model.sentences(tokens.to(self.model.device))
        return {"whole": found.side.whole, "words": found.side.words, "present": found.present,
                "word_index": found.index}

    @torch.inference_mode()
    def similarity(self, sentences: Encoded, images: Encoded) -> Tensor:
        """Similarities without CLIP's scale, fp32 [sentences, images]."""
        present = sentences["present"] if self.model.settings.mask_padding else None
        texts = TextSide(sentences["whole"], sentences["words"], present)
        return all_pairs(self.model.similarity, ImageSide(images["whole"], images["patches"]), texts).T
