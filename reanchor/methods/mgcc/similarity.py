"""MGCC's similarity of sentences and images: four granularities, fused over their fine axes.

Every feature is L2-normalised, so scores are cosines. Shapes: B images, P patches, N sentences, W words, D width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reanchor.methods.mgcc.shared import shared_means

GRANULARITIES = ("image_text", "patch_word", "patch_text", "image_word")  # eq. 2, 1, 3 and 4
FUSIONS = ("attention", "mean_mean", "mean_max", "max_mean", "max_max")  # Table 6
_LOWEST = -4.0  # below every cosine: what a maximum reads in place of a missing word


@dataclass
class ImageSide:
    """Images: the global feature [B, D] and the selected patches [B, P, D]."""

    whole: Tensor
    patches: Tensor

    def __getitem__(self, rows: slice) -> "ImageSide":
        return ImageSide(self.whole[rows], self.patches[rows])


@dataclass
class TextSide:
    """Sentences: the global feature [N, D], the selected words [N, W, D] and which of them exist [N, W].

    Missing words are zero vectors. `present` None: they take part all the same (the authors' code).
    """

    whole: Tensor
    words: Tensor
    present: Tensor | None = None

    def __getitem__(self, rows: slice) -> "TextSide":
        return TextSide(self.whole[rows], self.words[rows], None if self.present is None else self.present[rows])


class Matrices(nn.Module):
    """The learnable square matrices of the authors' code, identities at first; the paper has none.

    They act on features (whole, local) and on attention weights; those depend on a token's place in the ranking.
    """

    def __init__(self, width: int, patches: int, words: int):
        super().__init__()
        sizes = {"whole": width, "local": width, "patch": patches, "word": words, "patch_first": patches,
                 "word_first": words, "patch_second": patches, "word_second": words}
        for name, size in sizes.items():
            setattr(self, name, nn.Parameter(torch.eye(size)))


def attention_fusion(scores: Tensor, dim: int, temperature: float, present: Tensor | None = None,
                     matrix: Tensor | None = None) -> Tensor:
    """Softmax-weighted mean over `dim` (eq. 5 to 8, 10 and 11).

    Args:
        present: which scores count, broadcastable to `scores`.
        matrix: [K, K], applied to the weights before they are used.
    """
    logits = scores / temperature
    if present is not None:
        logits = logits.masked_fill(~present, float("-inf"))
    weights = logits.softmax(dim)
    if matrix is not None:
        weights = (weights.movedim(dim, -1) @ matrix).movedim(-1, dim)
        if present is not None:
            weights = weights * present
    return (scores * weights).sum(dim)


def mean_fusion(scores: Tensor, dim: int, present: Tensor | None = None) -> Tensor:
    """Mean over `dim`, of the scores that count."""
    if present is None:
        return scores.mean(dim)
    weights = present.expand_as(scores).to(scores.dtype)
    return (scores * weights).sum(dim) / weights.sum(dim)


def max_fusion(scores: Tensor, dim: int, present: Tensor | None = None) -> Tensor:
    """Maximum over `dim`, of the scores that count."""
    return (scores if present is None else scores.masked_fill(~present, _LOWEST)).amax(dim)


class Similarity:
    """How alike images and sentences are.

    Args:
        temperature: tau of the softmax attention.
        fusion: "attention" (the paper's AF), or what two steps do in its place ("mean_max": first mean, then
            maximum); vectors (eq. 10 and 11) take the second step only.
        granularities: which scores are averaged (Table 3).
        matrices: of the authors' code; they go with "attention" only.
    """

    def __init__(self, temperature: float = 0.01, fusion: str = "attention",
                 granularities: Sequence[str] = GRANULARITIES, matrices: Matrices | None = None):
        self.temperature, self.fusion, self.matrices = temperature, fusion, matrices
        self.granularities = tuple(granularities)

    def __call__(self, images: ImageSide, texts: TextSide) -> Tensor:
        """The mean of the scores (eq. 12), [B, N]."""
        scores = self.scores(images, texts)
        return sum(scores.values()) / len(scores)

    def scores(self, images: ImageSide, texts: TextSide) -> dict[str, Tensor]:
        """The score of each granularity, [B, N], without CLIP's scale."""
        compute = {"image_text": self._image_text, "patch_word": self._patch_word, "patch_text": self._patch_text,
                   "image_word": self._image_word}
        return {name: compute[name](images, texts) for name in self.granularities}

    def _image_text(self, images: ImageSide, texts: TextSide) -> Tensor:
        whole = images.whole if self.matrices is None else images.whole @ self.matrices.whole
        return whole @ texts.whole.T

    def _patch_text(self, images: ImageSide, texts: TextSide) -> Tensor:
        return self._step(1, "patch")(images.patches @ texts.whole.T, 1)

    def _image_word(self, images: ImageSide, texts: TextSide) -> Tensor:
        scores = _products(images.whole, texts)  # [B, W, N]
        return self._step(1, "word")(scores, 1, None if texts.present is None else texts.present.T)

    def _patch_word(self, images: ImageSide, texts: TextSide) -> Tensor:
        """Both orders of the two steps, and their mean (eq. 5 to 9)."""
        patches = images.patches if self.matrices is None else images.patches @ self.matrices.local
        scores = _products(patches, texts)  # [B, P, W, N]
        present, means = None if texts.present is None else texts.present.T, None
        if self.fusion == "attention" and self.matrices is None:
            means = shared_means(scores, self.temperature, present)
        if means is None:
            means = self._step(0, "patch_first")(scores, 1), self._step(0, "word_first")(scores, 2, present)
        of_words, of_patches = means  # [B, W, N], [B, P, N]
        by_image = self._step(1, "word_second")(of_words, 1, present)
        return (by_image + self._step(1, "patch_second")(of_patches, 1)) / 2

    def _step(self, number: int, matrix: str) -> Callable[..., Tensor]:
        if self.fusion == "attention":
            def fuse(scores: Tensor, dim: int, present: Tensor | None = None) -> Tensor:
                found = None if self.matrices is None else getattr(self.matrices, matrix)
                return attention_fusion(scores, dim, self.temperature, present, found)

            return fuse
        return {"mean": mean_fusion, "max": max_fusion}[self.fusion.split("_")[number]]


def _products(features: Tensor, texts: TextSide) -> Tensor:
    """Cosines of features [..., D] with every word, [..., W, N], by one matrix product."""
    words = texts.words.transpose(0, 1)
    return (features @ words.reshape(-1, words.shape[2]).T).unflatten(-1, words.shape[:2])
