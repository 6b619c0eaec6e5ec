"""Gates from the gated encoder's own tokens: the same replay, and a network that is one with the encoder."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_files import tiny_clip
from torch import Generator, Tensor
from torch.testing import assert_close

from reanchor.errors import ReanchorError
from reanchor.formats.occlusion import OBJECT, TARGET
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.settings import FinetuneRecipe, LossWeights
from reanchor.methods.gate.gates import OnesGates
from reanchor.methods.gate.generator import GeneratedImages
from reanchor.methods.gate.joint import joint_job, visible_batch
from reanchor.methods.gate.replay import GatedEncoder, replay
from reanchor.methods.gate.shared import SharedGatedEncoder, SharedNetwork
from reanchor.methods.gate.store import gate_model, read_gated, save_gated, seeing_network
from reanchor.methods.gate.targets import targets
from reanchor.training.augment import draw_geometry, normalise, random_erase

TOKENS = 8


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def network(encoder, taps=(1, 3), own: int = 1) -> SharedNetwork:
    made = SharedNetwork(encoder, taps, own)
    made.initialise(Generator().manual_seed(0))
    with torch.no_grad():
        made.head[1].weight.mul_(40)  # so that weights differ from one half
    return made


@pytest.mark.parametrize("blocks", [0, 1, 2])
@pytest.mark.parametrize("taps", [(), (1, 3)])
def test_the_pass_equals_the_replay_with_its_weights(blocks, taps):
    encoder, images, side = tiny_clip().image_encoder().eval(), draw(3, 3, 64, 32), draw(3, 64, seed=1)
    gated = SharedGatedEncoder(network(encoder), eps=0.05, blocks=blocks).eval()
    weights, out = gated.look(images, side, taps)
    assert weights.std() > 0.1
    want = replay(encoder, images, weights, side, taps, eps=0.05, blocks=blocks)
    for name in want.features:
        assert_close(out.features[name], want.features[name], atol=1e-5, rtol=1e-4)
    assert out.taps.keys() == want.taps.keys() == set(taps)
    for tap in taps:
        assert_close(out.taps[tap], want.taps[tap], atol=1e-5, rtol=1e-4)
    assert (out.cls - encoder(images, side).cls).abs().max() > 1e-3
    assert_close(gated.replay(images, weights, side).cls, want.cls, atol=1e-5, rtol=1e-4)


def test_the_network_reads_narrow_maps_of_the_tapped_tokens():
    encoder, images = tiny_clip().image_encoder().eval(), draw(2, 3, 64, 32)
    made = network(encoder, own=0)
    seen = encoder(images, taps=(1, 3)).taps
    x = sum(F.linear(F.layer_norm(seen[tap][:, 1:], (64,)), change.weight, change.bias)
            for tap, change in zip((1, 3), made.maps, strict=True))
    want = F.linear(F.layer_norm(x, (32,)), made.head[1].weight, made.head[1].bias)[..., 0]
    assert_close(made(images), want, atol=1e-5, rtol=1e-4)
    assert_close(SharedGatedEncoder(made, 0.1).gates(images), want.sigmoid(), atol=1e-5, rtol=1e-4)
    deeper = network(encoder, own=1)
    assert_close(deeper(images), deeper.head(deeper.own[0](sum(
        change(norm(seen[tap][:, 1:])) for tap, norm, change in zip((1, 3), deeper.norms, deeper.maps, strict=True)))
    )[..., 0], atol=1e-5, rtol=1e-4)


def test_one_seed_one_network():
    one, other = (network(tiny_clip().image_encoder()).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_losses_of_the_replay_do_not_reach_the_network_and_its_own_reach_the_encoder():
    encoder = tiny_clip().image_encoder()
    gated = SharedGatedEncoder(network(encoder), 0.1)
    gated(draw(2, 3, 64, 32)).projected.sum().backward()
    assert all(p.grad is None for name, p in gated.network.named_parameters() if not name.startswith("trunk."))
    gated.zero_grad(set_to_none=True)
    gated(draw(2, 3, 64, 32)).visibility.sum().backward()
    first, last = encoder.visual.transformer.resblocks[0], encoder.visual.proj
    assert first.mlp.c_fc.weight.grad.abs().max() > 0 and last.grad is None


def test_a_shared_gate_comes_back_from_disk_with_one_encoder(tmp_path):
    clip = tiny_clip()
    model = ReidModel(clip.image_encoder(), 3)
    gate_model(model, network(model.encoder), 0.3, 1)
    save_gated(model, clip.spec, tmp_path)
    again, _ = read_gated(tmp_path)
    assert (again.encoder.eps, again.encoder.blocks, again.encoder.network.taps) == (0.3, 1, (1, 3))
    assert again.encoder.plain is seeing_network(again).trunk
    pixels = draw(2, 3, 64, 32)
    assert torch.equal(again.eval().encode(pixels, None).projected, model.eval().encode(pixels, None).projected)
    control = gate_model(ReidModel(clip.image_encoder(), 3), OnesGates(TOKENS), 0.1, 0)
    assert seeing_network(control) is None and isinstance(control.encoder, GatedEncoder)


def test_a_block_that_is_not_there_is_named():
    with pytest.raises(ReanchorError, match=r"gate\.shared_blocks: got \[2, 4\]; allowed: 1 to 3"):
        SharedNetwork(tiny_clip().image_encoder(), [2, 4], 1)


class Stream:
    """Two pictures; the left half of each shows the person."""

    def batch(self, rows, chance, generator):
        assert chance == 0.7
        images = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), dtype=np.uint8)
        masks = np.zeros((2, 64, 32), np.uint8)
        masks[:, :, :16] = TARGET
        torch.rand(1, generator=generator)
        return images[rows], masks[rows]


def joint_data() -> GeneratedImages:
    blank = np.zeros(2, np.int64)
    return GeneratedImages(images=np.zeros((2, 64, 32, 3), np.uint8), rows=np.arange(2), labels=np.arange(2),
                           cameras=blank, views=blank, stream=Stream())


SETTINGS = FinetuneRecipe(identities=2, flip=1.0, pad=0, erase=1.0, occluded=0.7, token_block=1)


def test_what_is_erased_is_not_visible_and_masks_move_with_images():
    spec, data = tiny_clip().spec, joint_data()
    pixels, masks = visible_batch(data, np.arange(2), SETTINGS, spec, Generator().manual_seed(3))
    generator = Generator().manual_seed(3)
    images, _ = data.stream.batch(np.arange(2), 0.7, generator)
    whole = normalise(draw_geometry(2, 1.0, 0, generator).apply(torch.from_numpy(images)), spec.mean, spec.std)
    want = random_erase(whole, 1.0, generator)
    assert torch.equal(pixels, want)
    erased = (want != whole).any(1).numpy()
    assert erased.mean(axis=(1, 2)).min() > 0.01
    mirrored = np.zeros((64, 32), np.uint8)
    mirrored[:, 16:] = TARGET
    assert np.array_equal(masks, np.where(erased, OBJECT, mirrored))


def test_the_joint_loss_is_stage_2s_and_the_weighted_cross_entropy():
    clip, data = tiny_clip(), joint_data()
    model = ReidModel(clip.image_encoder(), 2, token_block=1)
    model.initialise(Generator().manual_seed(0))
    gate_model(model, network(model.encoder), 0.1, 0).train()
    weights = LossWeights(id=1.0, i2tce=0.0, token=0.5)
    job = joint_job(SETTINGS, weights, 7.0, model, data, None, clip.spec, None)
    terms = job.losses(np.arange(2), Generator().manual_seed(3))
    pixels, masks = visible_batch(data, np.arange(2), SETTINGS, clip.spec, Generator().manual_seed(3))
    logits, share = model.encoder.network(pixels), targets(masks, model.encoder)
    want = -(share * F.logsigmoid(logits) + (1 - share) * F.logsigmoid(-logits)).mean()
    assert_close(terms["visibility"], want)
    assert_close(terms["loss"], terms["id"] + terms["triplet"] + 0.5 * terms["token"] + 7 * want)
    assert (job.epochs, job.name) == (SETTINGS.epochs, "gate: stage 2")
