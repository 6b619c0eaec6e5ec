"""MGCC's similarity of all pairs at evaluation size, block by block, so that scores stay within a core's cache."""

import torch
from torch import Tensor

from reanchor.methods.mgcc.similarity import ImageSide, Similarity, TextSide

BLOCK = 2 ** 18  # scores of patches and words per block, 1 MB
TEXTS = 64  # sentences per block


@torch.no_grad()
def all_pairs(similarity: Similarity, images: ImageSide, texts: TextSide) -> Tensor:
    """`similarity` of every image with every sentence, fp32 [B, N], without CLIP's scale."""
    images = ImageSide(images.whole.float(), images.patches.float())
    texts = TextSide(texts.whole.float(), texts.words.float(), texts.present)
    step = max(1, BLOCK // (images.patches.shape[1] * texts.words.shape[1] * min(TEXTS, len(texts.whole))))
    result = images.whole.new_empty(len(images.whole), len(texts.whole))
    for n in range(0, len(texts.whole), TEXTS):
        block = texts[n:n + TEXTS]
        block.words = block.words.transpose(0, 1).contiguous().transpose(0, 1)  # as the similarity reads them
        for b in range(0, len(images.whole), step):
            result[b:b + step, n:n + TEXTS] = similarity(images[b:b + step], block)
    return result
