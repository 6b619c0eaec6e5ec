"""Masked words, read with the help of the image: a term of IRRA, and an option that TBPS-CLIP's study leaves off.

Source: IRRA's implicit relation reasoning (Jiang and Ye, CVPR 2023, section 3.2) and its authors' code: one
cross-attention of words on image tokens, a few transformer blocks, a classifier over the vocabulary; BERT's masking.
Shapes: B pairs, L slots, T patch tokens, D token width, E joint width.
"""

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Generator, Tensor, nn

from reanchor.clip.text import TextEncoder
from reanchor.clip.tokenizer import Tokenizer, WordTokenizer
from reanchor.clip.vision import ImageEncoder

SHARE, MASKED, RANDOM = 0.15, 0.8, 0.1  # of the words; of those chosen
LAYERS = 4
NOTHING = -100  # a target that asks for nothing


def mask_id(tokenizer: Tokenizer) -> int:
    """Whose embedding stands for a masked word: the unknown word, or the code before [SOS], as the authors take."""
    return 1 if isinstance(tokenizer, WordTokenizer) else tokenizer.sos - 1


def ordinary_ids(tokenizer: Tokenizer) -> range:
    """The ids that are masked and that replace others: neither 0, nor the mask's, nor from [SOS] on."""
    return range(2, tokenizer.sos) if mask_id(tokenizer) == 1 else range(1, mask_id(tokenizer))


def mask_words(tokens: Tensor, tokenizer: Tokenizer, generator: Generator) -> tuple[Tensor, Tensor]:
    """Masked ids and targets, both [B, L]; [SOS], [EOS] and what follows are never chosen.

    A sentence of which no word is chosen has its first one masked.
    """
    ids, mask = ordinary_ids(tokenizer), mask_id(tokenizer)
    words = (tokens >= ids.start) & (tokens < ids.stop)
    choice, fate = torch.rand(2, *tokens.shape, generator=generator)
    others = torch.randint(ids.start, ids.stop, tokens.shape, generator=generator)
    chosen = words & (choice < SHARE)
    masked = torch.where(chosen & (fate < MASKED), mask, tokens)
    masked = torch.where(chosen & (fate >= MASKED) & (fate < MASKED + RANDOM), others, masked)
    spared = words[:, 1] & ~chosen.any(1)
    masked[spared, 1], chosen[spared, 1] = mask, True
    return masked, torch.where(chosen, tokens, NOTHING)


class MaskedWords(nn.Module):
    """The reader of masked sentences.

    Args:
        width: of the joint space, E.
        words: ids of the vocabulary.
        layers: self-attention blocks behind the cross-attention.
    """

    def __init__(self, width: int, words: int, layers: int = LAYERS):
        super().__init__()
        heads = max(1, width // 64)
        self.norm_words, self.norm_image = nn.LayerNorm(width), nn.LayerNorm(width)
        self.cross = nn.MultiheadAttention(width, heads, batch_first=True)
        self.blocks = nn.Sequential(*(ResidualAttentionBlock(width, heads, act_layer=QuickGELU)
                                      for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Sequential(nn.Linear(width, width), QuickGELU(), nn.LayerNorm(width), nn.Linear(width, words))
        self._initialise(width, layers)

    def _initialise(self, width: int, layers: int) -> None:
        """The spreads that CLIP's text tower starts from; biases as torch draws them (the authors' code)."""
        attention, hidden = width ** -0.5, (2 * width) ** -0.5
        out = attention * (2 * layers) ** -0.5
        spreads = {self.cross.in_proj_weight: attention, self.cross.out_proj.weight: out,
                   self.head[0].weight: hidden, self.head[3].weight: out}
        for block in self.blocks:
            spreads |= {block.attn.in_proj_weight: attention, block.attn.out_proj.weight: out,
                        block.mlp.c_fc.weight: hidden, block.mlp.c_proj.weight: out}
        for weight, spread in spreads.items():
            nn.init.normal_(weight, std=spread)

    def read(self, words: Tensor, image: Tensor) -> Tensor:
        """Word states [B, L, E] that have seen the image tokens [B, 1+T, E]; padding is read like words."""
        image = self.norm_image(image)
        return self.norm(self.blocks(self.cross(self.norm_words(words), image, image, need_weights=False)[0]))

    def forward(self, words: Tensor, image: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Word states [B, L, E], image tokens [B, 1+T, E], targets [B, L] -> the summed cross entropy of each
        sentence's masked words [B], and how many there are [B]."""
        asked = targets != NOTHING  # the vocabulary is large: no logits where nothing is asked
        logits = self.head(self.read(words, image)[asked]).float()
        losses = F.cross_entropy(logits, targets[asked], reduction="none")
        rows = asked.nonzero()[:, 0]
        return losses.new_zeros(len(targets)).index_add(0, rows, losses), asked.sum(1)


def word_states(text: TextEncoder, tokens: Tensor) -> Tensor:
    """Projected states of all slots [B, L, E] of token ids [B, L]."""
    length = tokens.shape[1]
    x = text.token_embedding(tokens) + text.positional_embedding[:length]
    x = text.transformer(x, attn_mask=text.attn_mask[:length, :length])
    return text.ln_final(x) @ text.text_projection


def image_states(encoder: ImageEncoder, tokens: Tensor) -> Tensor:
    """Projected states of all image tokens [B, 1+T, E], of the last block's raw output [B, 1+T, D]."""
    return encoder.visual.ln_post(tokens) @ encoder.visual.proj
