"""Loss terms of text-based search by hand."""

import math

import numpy as np
import pytest
import torch

from reanchor.text.losses import similarity_distribution_matching


def test_sdm_by_hand():
    labels = torch.tensor([0, 0, 1])
    images = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    texts = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    half = math.sqrt(0.5)
    cosine = np.array([[1, half, 0], [0, half, 1], [half, 1, half]])
    target = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]])
    expected = 0.0
    for matrix in (cosine, cosine.T):
        for row, wanted in zip(matrix, target, strict=True):
            p = np.exp(row / 0.5) / np.exp(row / 0.5).sum()
            expected += sum(p * np.log(p / (wanted + 1e-8))) / 3
    assert float(similarity_distribution_matching(images, texts, labels, 0.5)) == pytest.approx(expected, rel=1e-5)
