"""A block read here against open_clip's own: values and every gradient."""

import pytest
import torch
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Generator, Tensor, nn
from torch.testing import assert_close

from reanchor.clip.block import residual_block


def gradients(block: nn.Module, x: Tensor, out: Tensor) -> list[Tensor]:
    """Of a weighted sum of `out`, with regard to the tokens and every weight."""
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    return list(torch.autograd.grad((out * weights).sum(), [x, *block.parameters()]))


@pytest.mark.parametrize("rows", [None, 1, 2])
@pytest.mark.parametrize("activation", [QuickGELU, nn.GELU])
def test_values_and_gradients_are_open_clips(activation, rows):
    generator = Generator().manual_seed(0)
    block = ResidualAttentionBlock(32, 4, act_layer=activation)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    x = torch.randn(3, 7, 32, generator=generator, requires_grad=True)
    found, wanted = residual_block(block, x, rows), block(x)[:, :rows]
    assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(gradients(block, x, found), gradients(block, x, wanted), strict=True):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_key_bias_costs_no_bits_under_autocast():
    generator = Generator().manual_seed(0)
    block = ResidualAttentionBlock(32, 4)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.1, generator=generator)
    block.attn.in_proj_bias.data[:64] += 30  # of queries and keys: every logit is thousands, and none differs by it
    x = torch.randn(3, 7, 32, generator=generator)
    wanted = block.double()(x.double())[:, :1].float()
    with torch.autocast("cpu", torch.bfloat16):
        found = residual_block(block.float(), x, 1)
    assert_close(found, wanted, rtol=0.02, atol=0.02)
