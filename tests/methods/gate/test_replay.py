"""The gated replay of [CLS] against the plain pass and against torch's own attention with a mask."""

import copy

import pytest
import torch
from golden_files import tiny_clip, tiny_resnet_clip
from open_clip.transformer import CustomResidualAttentionBlock
from torch import Generator, Tensor, nn
from torch.testing import assert_close

from reanchor.errors import ReanchorError
from reanchor.methods.gate.gates import NetworkGates, OnesGates
from reanchor.methods.gate.replay import GatedEncoder, replay
from reanchor.methods.gate.visibility import VisibilityNetwork

TOKENS = 8  # 4 x 2 patches


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 5) -> Tensor:
    return torch.rand(*shape, generator=Generator().manual_seed(seed))


def slow_replay(encoder, images: Tensor, weights: Tensor, eps: float, blocks: int, side=None) -> dict[str, Tensor]:
    """Block by block: the block itself on the plain tokens, MultiheadAttention with a float mask for the extra one."""
    x = encoder.start(images, side)
    second, before_last, layers = x[:, :1], x[:, 0], encoder.visual.transformer.resblocks
    for number, block in enumerate(layers, start=1):
        if number > len(layers) - (blocks or len(layers)):
            seen = block.ln_1(torch.cat([second, x[:, 1:]], dim=1))
            bias = torch.cat([torch.zeros(len(x), 1), (weights + eps).log()], dim=1)[:, None]
            mask = bias.repeat_interleave(block.attn.num_heads, dim=0)  # [B * H, 1, 1+T]
            mixed, _ = block.attn(seen[:, :1], seen, seen, attn_mask=mask, need_weights=True)
            second = second + block.ls_1(mixed)
            second = second + block.ls_2(block.mlp(block.ln_2(second)))
            x = block(x)
        else:
            x = block(x)
            second = x[:, :1]
        if number == len(layers) - 1:
            before_last = second[:, 0]
    last = encoder.visual.ln_post(torch.cat([second, x[:, 1:]], dim=1))
    return {"before_last": before_last, "all": last, "projected": last[:, 0] @ encoder.visual.proj}


@pytest.mark.parametrize("blocks", [0, 1, 2])
@pytest.mark.parametrize("training", [False, True])
def test_the_replay_equals_torchs_attention_with_a_mask(blocks, training):
    encoder, images, weights = tiny_clip().image_encoder().train(training), draw(3, 3, 64, 32), uniform(3, TOKENS)
    want = slow_replay(encoder, images, weights, 0.1, blocks)
    got = replay(encoder, images, weights, eps=0.1, blocks=blocks)
    tapped = replay(encoder, images, weights, taps=(encoder.depth,), eps=0.1, blocks=blocks)
    everything = encoder.visual.ln_post(tapped.taps[encoder.depth])
    for one, value in ((want["before_last"], got.before_last), (want["projected"], got.projected),
                       (want["projected"], tapped.projected), (want["all"], everything)):
        assert_close(value, one, atol=1e-5, rtol=1e-4)
    plain = encoder(images, taps=(encoder.depth,))
    assert (got.cls - plain.cls).abs().max() > 1e-3
    assert_close(everything[:, 1:], encoder.visual.ln_post(plain.taps[encoder.depth])[:, 1:], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("blocks", [0, 1])
@pytest.mark.parametrize("shape", [None, (3, 64), (3, 1, 64)])
def test_weights_of_one_minus_eps_give_the_plain_cls(blocks, shape):
    encoder, images = tiny_clip((70, 40), stride=10).image_encoder().eval(), draw(3, 3, 70, 40)
    side = None if shape is None else draw(*shape, seed=1)
    count = encoder.grid[0] * encoder.grid[1]
    plain = encoder(images, side, taps=(1, 2))
    got = replay(encoder, images, torch.full((3, count), 0.9), side, (1, 2), eps=0.1, blocks=blocks)
    for name in plain.features:
        assert_close(got.features[name], plain.features[name], atol=1e-5, rtol=1e-5)
    for number in (1, 2):
        assert_close(got.taps[number], plain.taps[number], atol=1e-5, rtol=1e-5)


def test_side_information_reaches_the_second_cls():
    encoder, images, weights = tiny_clip().image_encoder().eval(), draw(2, 3, 64, 32), uniform(2, TOKENS)
    side = 3 * draw(2, 64, seed=2)
    want = slow_replay(encoder, images, weights, 0.02, 0, side)
    assert_close(replay(encoder, images, weights, side, eps=0.02).projected, want["projected"], atol=1e-5, rtol=1e-4)


def test_what_a_shut_gate_hides_the_last_block_cannot_see():
    # gated in the last block alone, with all but patch 3 shut, [CLS] sees itself and patch 3
    encoder, images = tiny_clip().image_encoder().eval(), draw(1, 3, 64, 32)
    weights = torch.zeros(1, TOKENS)
    weights[0, 3] = 1
    depth, block = encoder.depth, encoder.visual.transformer.resblocks[-1]
    x = encoder(images, taps=(depth - 1,)).taps[depth - 1][:, [0, 4]]
    want = encoder.visual.ln_post(block(x)[:, 0])
    assert_close(replay(encoder, images, weights, eps=1e-12, blocks=1).cls, want, atol=1e-5, rtol=1e-4)


def test_gradients_equal_the_slow_ones_and_reach_the_gates():
    one, other = tiny_clip().image_encoder(), tiny_clip().image_encoder()
    images, weights, probe = draw(2, 3, 64, 32), uniform(2, TOKENS), draw(2, 32, seed=4)
    leaves = [weights.clone().requires_grad_() for _ in range(2)]
    (replay(one, images, leaves[0], eps=0.1).projected * probe).sum().backward()
    (slow_replay(other, images, leaves[1], 0.1, 0)["projected"] * probe).sum().backward()
    assert_close(leaves[0].grad, leaves[1].grad, atol=1e-5, rtol=1e-3)
    theirs = dict(other.named_parameters())
    for name, parameter in one.named_parameters():
        assert_close(parameter.grad, theirs[name].grad, atol=1e-4, rtol=1e-3, msg=name)


def test_bf16_autocast_follows_fp32():
    encoder, images, weights = tiny_clip().image_encoder().eval(), draw(2, 3, 64, 32), uniform(2, TOKENS)
    want = replay(encoder, images, weights).cls
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = replay(encoder, images, weights).cls
    assert torch.nn.functional.cosine_similarity(got.float(), want).min() > 0.99


def test_the_network_copies_the_first_blocks_and_no_more():
    encoder = tiny_clip().image_encoder().eval()
    network = VisibilityNetwork(encoder, 1).eval()
    network.initialise(Generator().manual_seed(0))
    images = draw(2, 3, 64, 32)
    got = network(images)
    assert got.shape == (2, TOKENS)
    assert_close(got, network.head(encoder(images, taps=(1,)).taps[1][:, 1:])[..., 0])
    assert encoder.depth == len(encoder.visual.transformer.resblocks) == 3
    got.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_a_gated_encoder_stands_for_an_encoder():
    encoder = tiny_clip().image_encoder().eval()
    network = VisibilityNetwork(encoder, 1)
    network.initialise(Generator().manual_seed(0))
    network.head[3].bias.data.fill_(2.0)
    gated = GatedEncoder(encoder, NetworkGates(network), eps=0.3, blocks=1)
    images = draw(2, 3, 64, 32)
    out = gated(images, taps=(1,))
    want = slow_replay(encoder, images, network(images).sigmoid(), 0.3, 1)
    assert_close(out.projected, want["projected"], atol=1e-5, rtol=1e-4)
    out.projected.sum().backward()
    assert all(parameter.grad is None for parameter in network.parameters())
    assert (gated.grid, gated.width, gated.embed, gated.patch, gated.stride) == ((4, 2), 64, 32, 16, 16)
    ones = GatedEncoder(encoder, OnesGates(TOKENS), eps=1e-7)
    assert_close(ones(images).projected, encoder(images).projected, atol=1e-5, rtol=1e-4)


def test_a_backbone_that_does_not_fit_is_named():
    encoder = tiny_clip().image_encoder()
    with pytest.raises(ReanchorError, match=r"gate\.blocks: got 4; allowed: 1 to 3.*0 for all"):
        GatedEncoder(encoder, OnesGates(TOKENS), 0.1, blocks=4)
    with pytest.raises(ReanchorError, match=r"gate\.network_blocks: got 4; allowed: 1 to 3"):
        VisibilityNetwork(encoder, 4)
    with pytest.raises(ReanchorError, match=r"gate\.train: .*ResNet has not"):
        GatedEncoder(tiny_resnet_clip().image_encoder(), OnesGates(TOKENS), 0.1)
    other = copy.deepcopy(encoder)
    other.visual.transformer.resblocks = nn.ModuleList([CustomResidualAttentionBlock(64, 2, qk_norm=True)])
    with pytest.raises(ReanchorError, match=r"gate\.train: .*Attention; allowed"):
        GatedEncoder(other, OnesGates(TOKENS), 0.1)
