"""Which tokens take part: those that [CLS] and [EOS] attend to most (MGCC, "Fine-Granularity Token Selection").

Shapes: B images, T patches, N sentences, L text slots, K kept tokens.
"""

import torch
from torch import Tensor


def keep_count(share: float, tokens: int) -> int:
    """How many of `tokens` stay: round(share x tokens), halves to even as in the authors' code; at least 1."""
    return max(1, round(share * tokens))


def select_patches(attention: Tensor, share: float) -> Tensor:
    """The most attended patches, best first, 0-based [B, K].

    Args:
        attention: [CLS]'s attention to the patches, heads averaged, [B, T].
        share: rho_i, of the T patches.
    """
    return _best_first(attention)[:, : keep_count(share, attention.shape[1])]


def select_words(attention: Tensor, eos: Tensor, share: float, limit: int, rank_all: bool = False,
                 offset: int = 0) -> tuple[Tensor, Tensor]:
    """The most attended words, best first.

    A sentence has eos - 1 words. One without any keeps a single token, its [EOS], so that no sentence is empty.

    Args:
        attention: [EOS]'s attention to every slot, heads averaged, [N, L]; slot 0 is [SOS].
        eos: each sentence's [EOS] slot, [N].
        share: rho_t, of `limit` words; a shorter sentence keeps the same number, as far as it has words.
        limit: the paper's m (25): only the first so many words can be selected.
        rank_all: all words can be selected (the authors' code cuts to `limit` behind its sort).
        offset: 1 takes the token behind the one whose attention was looked at (a slip of the authors' code).

    Returns:
        0-based words behind [SOS] [N, K], and which of them exist [N, K] bool; a missing one repeats the best.
    """
    width = attention.shape[1] - 1
    kept = keep_count(share, limit)
    words = (eos - 1).clamp(min=1).unsqueeze(1)
    usable = words if rank_all else words.clamp(max=limit)
    beyond = torch.arange(width, device=attention.device) >= usable
    index = _best_first(attention[:, 1:].masked_fill(beyond, -1.0))[:, :kept]
    index = torch.cat([index, index[:, :1].expand(-1, kept - index.shape[1])], dim=1)
    present = torch.arange(kept, device=attention.device) < usable.clamp(max=width)
    index = torch.where(present, index, index[:, :1]) + offset
    return index.minimum((eos - 1).unsqueeze(1)), present


def take(tokens: Tensor, index: Tensor) -> Tensor:
    """Rows `index` [B, K] of `tokens` [B, T, D], [B, K, D]."""
    return tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def _best_first(scores: Tensor) -> Tensor:
    return scores.argsort(dim=1, descending=True, stable=True)
