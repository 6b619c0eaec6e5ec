"""SAGA's learned anchors, which all images share: what patch tokens are matched against.

Shapes: K text anchors, D token width, W text width.
"""

import numpy as np
import torch
from torch import Generator, Tensor, nn

from reanchor.clip.text import TextEncoder
from reanchor.clip.tokenizer import Tokenizer
from reanchor.errors import ReanchorError

# The body-part phrases of the authors' code, from whose words the context starts.
PHRASES = (
    "the face and hair of a person", "the head and neck of a person", "the upper torso of a person",
    "the arms and sleeves of a person", "the waist and hips of a person", "the legs of a person",
    "the feet and shoes of a person", "the upper-body clothing of a person", "the lower-body clothing of a person",
    "the outerwear of a person", "the bag or backpack carried by a person",
    "the object held in the hand of a person", "the hat or headwear of a person",
    "the overall clothing color of a person", "the color of the upper-body clothing",
    "the color of the lower-body clothing", "the texture and pattern of the clothing",
    "the logos or fine details on the clothing of a person", "the overall appearance of a person",
    "the silhouette and body shape of a person", "the pose and posture of a person",
    "the glasses or sunglasses worn by a person", "the color and style of the shoes of a person",
    "the skin tone and complexion of a person",
)


def phrase_context(anchors: int, slots: int, text: TextEncoder, tokenizer: Tokenizer) -> Tensor:
    """[K, slots, W]: words of the phrases, evenly picked when too many, padded with their mean when too few."""
    rows = []
    for number in range(anchors):
        ids = torch.tensor(tokenizer.encode(PHRASES[number % len(PHRASES)]))
        with torch.no_grad():
            words = text.token_embedding(ids.to(text.token_embedding.weight.device))
        if len(words) >= slots:
            rows.append(words[np.linspace(0, len(words) - 1, slots).astype(int)])
        else:
            rows.append(torch.cat([words, words.mean(0, keepdim=True).expand(slots - len(words), -1)]))
    return torch.stack(rows)


class TextAnchors(nn.Module):
    """[SOS] learnable slots, frozen slots, "person." [EOS] -> frozen text encoder -> linear map to D."""

    def __init__(self, count: int, slots: int, frozen: int, width: int, embed: int, text: TextEncoder,
                 tokenizer: Tokenizer):
        super().__init__()
        suffix = [*tokenizer.encode("person."), tokenizer.eos]
        length = 1 + slots + len(suffix)
        if length > text.context_length:
            raise ReanchorError(
                f"saga.context_slots: {slots} slots make a prompt of {length} tokens; the text encoder reads "
                f"{text.context_length}; lower it by {length - text.context_length}"
            )
        device = text.token_embedding.weight.device
        with torch.no_grad():
            self.register_buffer("prefix", text.token_embedding(torch.tensor([tokenizer.sos], device=device)))
            self.register_buffer("suffix", text.token_embedding(torch.tensor(suffix, device=device)))
        self.learnable = nn.Parameter(phrase_context(count, slots - frozen, text, tokenizer))
        self.register_buffer("parts", phrase_context(count, frozen, text, tokenizer) if frozen else
                             self.learnable.detach()[:, :0].clone())
        self.projection = nn.Linear(embed, width, bias=False)

    def initialise(self, generator: Generator) -> None:
        """N(0, .01) noise on the learnable slots; Xavier for the map."""
        with torch.no_grad():
            noise = torch.randn(self.learnable.shape, generator=generator)
            self.learnable += 0.01 * noise.to(self.learnable.device)
            nn.init.xavier_uniform_(self.projection.weight, generator=generator)

    def forward(self, text: TextEncoder) -> Tensor:
        """The anchors, [K, D]."""
        count = len(self.learnable)
        prompts = torch.cat([self.prefix.expand(count, -1, -1), self.learnable, self.parts,
                             self.suffix.expand(count, -1, -1)], dim=1)
        return self.projection(text(prompts))


class FreeAnchors(nn.Module):
    """The ablation without text: K learnable vectors."""

    def __init__(self, count: int, width: int):
        super().__init__()
        self.anchors = nn.Parameter(torch.zeros(count, width))

    def initialise(self, generator: Generator) -> None:
        """Truncated N(0, .02)."""
        nn.init.trunc_normal_(self.anchors, std=0.02, generator=generator)

    def forward(self, text: TextEncoder | None = None) -> Tensor:
        """The anchors, [K, D]."""
        return self.anchors
