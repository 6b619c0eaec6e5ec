"""MGCC's similarity of all pairs at evaluation size, block by block.

The softmax attention over patches and the one over words weigh the same scores, so one exponential serves both:
exp((s - top) / tau + 80) with the block's highest score as top, and weighted means as ratios of sums. A block
whose scores span so much that the lowest exponential would vanish (1.6 at tau = .01) goes through the plain formula.
Scores lie as [B, P, W, N], so that both sums run along contiguous sentences and a block comes from one product.

Shapes: B images, P patches, N sentences, W words, D width.
"""

import torch
from torch import Tensor

from reanchor.mgcc.similarity import GRANULARITIES, ImageSide, Similarity, TextSide

BLOCK = 2 ** 18  # scores of patches and words per block: 1 MB, within a core's cache
TEXTS = 64  # sentences per block
HIGH, LOW = 80.0, -80.0  # exponents whose sums over tokens stay well within fp32's normal numbers (-87 to 88)


@torch.no_grad()
def all_pairs(similarity: Similarity, images: ImageSide, texts: TextSide) -> Tensor:
    """`similarity` of every image with every sentence, fp32 [B, N], without CLIP's scale."""
    images = ImageSide(images.whole.float(), images.patches.float())
    texts = TextSide(texts.whole.float(), texts.words.float(), texts.present)
    shared = (similarity.fusion == "attention" and similarity.matrices is None
              and set(similarity.granularities) == set(GRANULARITIES))
    step = max(1, BLOCK // (images.patches.shape[1] * texts.words.shape[1] * min(TEXTS, len(texts.whole))))
    result = images.whole.new_empty(len(images.whole), len(texts.whole))
    for n in range(0, len(texts.whole), TEXTS):
        block = texts[n:n + TEXTS]
        words = block.words.transpose(0, 1).reshape(-1, block.words.shape[2])  # [W * N, D]
        for b in range(0, len(images.whole), step):
            part, found = images[b:b + step], None
            if shared:
                found = _shared_exponential(similarity.temperature, part, block, words)
            result[b:b + step, n:n + TEXTS] = similarity(part, block) if found is None else found
    return result


def _shared_exponential(temperature: float, images: ImageSide, texts: TextSide, words: Tensor) -> Tensor | None:
    """One block, [B, N]; None where its scores span too much for one shift."""
    (count, patches, width), sentences = images.patches.shape, len(texts.whole)
    scores = (images.patches.reshape(-1, width) @ words.T).view(count, patches, -1, sentences)
    low, high = (bound.item() for bound in scores.aminmax())
    if (low - high) / temperature + HIGH < LOW:
        return None
    weights = (scores - high).div_(temperature).add_(HIGH).exp_()
    total = weights.sum(1)  # [B, W, N]
    weighted = scores.mul_(weights)
    of_words = weighted.sum(1).div_(total)
    there = None
    if texts.present is not None and not texts.present.all():
        there = texts.present.T  # [W, N]
        weights.mul_(there)
        weighted.mul_(there)
    of_patches = weighted.sum(2).div_(weights.sum(2))  # [B, P, N]
    result = _fuse(of_words, temperature, there).add_(_fuse(of_patches, temperature)).div_(2)
    result += images.whole @ texts.whole.T
    result += _fuse((images.patches.reshape(-1, width) @ texts.whole.T).view(count, patches, sentences), temperature)
    by_word = (images.whole @ words.T).view(count, -1, sentences)
    return result.add_(_fuse(by_word, temperature, there)).div_(4)


def _fuse(scores: Tensor, temperature: float, present: Tensor | None = None) -> Tensor:
    """Softmax-weighted mean over the middle axis of [B, K, N]."""
    if present is not None:
        scores = scores.masked_fill(~present, -4.0)  # below every cosine, and finite
    top = scores.amax(1, keepdim=True)
    weights = scores.sub(top).div_(temperature).exp_()
    return (weights * scores).sum(1).div_(weights.sum(1))
