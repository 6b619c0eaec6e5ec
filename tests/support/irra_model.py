"""A tiny IRRA and a batch for it, made by hand."""

import dataclasses

import torch
from composed import composed
from golden_files import tiny_clip
from torch import Generator, Tensor

from reanchor.clip.model import Clip
from reanchor.clip.tokenizer import BytePairTokenizer, tokenize
from reanchor.methods.irra.model import IrraModel, build_model
from reanchor.methods.irra.settings import Irra
from reanchor.text.masked_words import NOTHING, mask_id

CODES = BytePairTokenizer()
TEXTS = ["a man in a red coat", "a woman with a bag", "he walks", "a child in blue shoes"]
MASKED = [(0, 2), (0, 5), (1, 1), (3, 4)]  # (sentence, slot)


def published(**changes) -> Irra:
    """The authors' recipe with changes."""
    return dataclasses.replace(composed("method=irra", "train=irra_vit_b16").irra, **changes)


def worded_clip() -> Clip:
    """The CLIP of the golden numbers (joint width 32, images 64 x 32), with an embedding for each of CLIP's codes."""
    clip = tiny_clip()
    words = clip.network.token_embedding.weight.data
    words[:] = 0.5 * torch.randn(words.shape, generator=Generator().manual_seed(1))
    return clip


def tiny_model(config: Irra, identities: int = 5) -> IrraModel:
    """IRRA on it."""
    return build_model(worded_clip(), identities, config).eval()


def batch_of(seed: int = 0) -> dict[str, Tensor]:
    """Four pairs of identities 3, 0, 3, 1; of the sentences 2, 1, 0 and 1 words are masked."""
    tokens = tokenize(CODES, TEXTS, 77)
    masked, targets = tokens.clone(), torch.full_like(tokens, NOTHING)
    for sentence, slot in MASKED:
        masked[sentence, slot], targets[sentence, slot] = mask_id(CODES), tokens[sentence, slot]
    images = torch.randn(4, 3, 64, 32, generator=Generator().manual_seed(seed))
    return {"image": images, "tokens": tokens, "masked": masked, "targets": targets,
            "labels": torch.tensor([3, 0, 3, 1])}
