"""Softmax attention over patches and over words of the same scores, from one exponential.

Both weigh exp(s / tau), over different axes. exp((s - top) / tau + 60), with the highest score as top, serves both:
weighted means are ratios of its sums. Scores lie as [B, P, W, N], so that either sum runs along contiguous sentences.

Shapes: B images, P patches, W words, N sentences.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

# Exponents whose sums over tokens stay well within fp32's normal numbers (-87 to 88). Gradients are divided by these
# sums, hence the room above: down to 1e-10 they stay normal numbers.
HIGH, LOW = 60.0, -80.0


def shared_means(scores: Tensor, temperature: float, present: Tensor | None = None) -> tuple[Tensor, Tensor] | None:
    """Softmax-weighted means of `scores` [B, P, W, N] over patches, [B, W, N], and over words, [B, P, N].

    Args:
        present: which words count, [W, N].

    Returns:
        None where the scores span so much that the lowest exponential would vanish: 1.4 at tau = .01.
    """
    low, high = (bound.item() for bound in scores.detach().aminmax())
    if (low - high) / temperature + HIGH < LOW:
        return None
    return _SharedMeans.apply(scores, temperature, high, present)


class _SharedMeans(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, scores: Tensor, temperature: float, high: float,
                present: Tensor | None) -> tuple[Tensor, Tensor]:
        weights = (scores - high).div_(temperature).add_(HIGH).exp_()
        weighted = scores * weights
        over_patches = weights.sum(1)
        of_words = weighted.sum(1) / over_patches
        if present is None:
            over_words = weights.sum(2)
            of_patches = weighted.sum(2) / over_words
        else:
            there = present.to(scores.dtype)
            over_words = (weights * there).sum(2)
            of_patches = weighted.mul_(there).sum(2) / over_words
        ctx.save_for_backward(scores, weights, over_patches, over_words, of_words, of_patches, present)
        ctx.temperature = temperature
        return of_words, of_patches

    @staticmethod
    def backward(ctx: FunctionCtx, to_words: Tensor, to_patches: Tensor) -> tuple[Tensor | None, ...]:
        """d mean / d s_i = w_i (1 + (s_i - mean) / tau), of both means."""
        scores, weights, over_patches, over_words, of_words, of_patches, present = ctx.saved_tensors
        words, patches = (to_words / over_patches).unsqueeze(1), (to_patches / over_words).unsqueeze(2)
        if present is not None:
            patches = patches * present.to(scores.dtype)
        slope = (scores / ctx.temperature).add_(1)
        gradient = (words + patches).mul_(slope)
        gradient.sub_(words * of_words.unsqueeze(1) / ctx.temperature)
        gradient.sub_(patches * of_patches.unsqueeze(2) / ctx.temperature)
        return gradient.mul_(weights), None, None, None
