"""The attention pooling of CLIP's ResNet, asked by the mean alone, against open_clip's."""

import torch
from open_clip.modified_resnet import AttentionPool2d
from torch import Generator, nn
from torch.testing import assert_close

from reanchor.clip.resnet import attention_pool


def test_output_and_gradients_are_open_clips():
    generator = Generator().manual_seed(0)
    pool = AttentionPool2d(1, 24, 3, 10).double()
    pool.positional_embedding = nn.Parameter(torch.empty(9, 24, dtype=torch.double))  # of 4 x 2 cells and their mean
    for parameter in pool.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    cells = torch.randn(2, 24, 4, 2, dtype=torch.double, generator=generator, requires_grad=True)
    leaves = [cells, *pool.parameters()]
    want, got = pool(cells), attention_pool(pool, cells)
    assert_close(got, want, atol=1e-12, rtol=1e-12)
    down = torch.randn(2, 10, dtype=torch.double, generator=generator)
    mine, theirs = torch.autograd.grad(got, leaves, down), torch.autograd.grad(want, leaves, down)
    assert_close(mine, theirs, atol=1e-11, rtol=1e-11)
