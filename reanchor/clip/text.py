"""The text encoder, fed with word embeddings so that prompt context can be learned.

Shapes: N prompts, L slots, W text width, E joint width.
"""

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Past = list[tuple[Tensor, Tensor]]  # keys and values of a shared prefix, per block: [1, heads, P, W / heads]


class TextEncoder(nn.Module):
    """CLIP's causal text transformer (open_clip's own modules), cut at [EOS].

    In a causal encoder only slots up to [EOS] can reach [EOS]'s output, so the slots behind
    it are never computed: the result is exactly that of the full context.
    """

    def __init__(self, clip: open_clip.model.CLIP):
        super().__init__()
        self.transformer = clip.transformer
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection
        self.register_buffer("attn_mask", clip.attn_mask, persistent=False)
        self.width = clip.token_embedding.weight.shape[1]
        self.context_length = clip.context_length

    def forward(self, embeddings: Tensor, eos: Tensor | None = None) -> Tensor:
        """[N, L, W] word embeddings -> [N, E] features, un-normalised.

        `eos`: each prompt's [EOS] slot, [N]; by default the last slot.
        """
        length = embeddings.shape[1]
        x = embeddings + self.positional_embedding[:length].to(embeddings.dtype)
        x = self.transformer(x, attn_mask=self.attn_mask[:length, :length])
        x = x[:, -1] if eos is None else x[torch.arange(len(x), device=x.device), eos]
        return self.ln_final(x) @ self.text_projection

    @torch.no_grad()
    def read_prefix(self, prefix: Tensor) -> Past:
        """Keys and values of a prefix [P, W] that many prompts share (the frozen encoder only).

        Causality again: what stands behind a prefix cannot change its states, so they are
        computed once for a whole batch of prompts.
        """
        x, past = (prefix + self.positional_embedding[: len(prefix)]).unsqueeze(0), []
        for block in self.transformer.resblocks:
            x, keys, values = _causal_block(block, x, None)
            past.append((keys, values))
        return past

    def continue_from(self, past: Past, embeddings: Tensor) -> Tensor:
        """As `forward` on prefix + `embeddings` [N, S, W], [EOS] in the last slot, -> [N, E]."""
        start = past[0][0].shape[2]
        x = embeddings + self.positional_embedding[start:start + embeddings.shape[1]].to(embeddings.dtype)
        for block, one in zip(self.transformer.resblocks, past, strict=True):
            last = block is self.transformer.resblocks[-1]
            x, _, _ = _causal_block(block, x, one, eos_only=last)
        return self.ln_final(x[:, -1]) @ self.text_projection

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """[N, context] token ids -> [N, E]; [EOS] is the highest id of its row."""
        eos = tokens.argmax(dim=1)
        tokens = tokens[:, : int(eos.max()) + 1]
        return self(self.token_embedding(tokens), eos)


def _causal_block(block: nn.Module, x: Tensor, past: tuple[Tensor, Tensor] | None, eos_only: bool = False
                  ) -> tuple[Tensor, Tensor, Tensor]:
    """One residual attention block behind `past`; returns states, keys and values.

    With `eos_only` just the last slot's state is computed: nothing reads the others after the last block.
    """
    attn = block.attn
    q, k, v = F.linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias).chunk(3, dim=-1)
    q, k, v = (part.unflatten(-1, (attn.num_heads, -1)).transpose(1, 2) for part in (q, k, v))
    if past is not None:
        k, v = (torch.cat([old.expand(len(x), -1, -1, -1), new], dim=2) for old, new in zip(past, (k, v), strict=True))
    if eos_only:
        x, q = x[:, -1:], q[:, :, -1:]
    seen = k.shape[2] - q.shape[2]
    mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=x.device).tril(seen)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
    x = x + block.ls_1(attn.out_proj(mixed))
    return x + block.ls_2(block.mlp(block.ln_2(x))), k, v
