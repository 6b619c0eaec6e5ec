"""SAGA's anchors as the source of gates: weights by hand, the same replay, files, what is refused."""

import pytest
import torch
from composed import composed
from golden_files import tiny_clip
from torch import Generator
from torch.testing import assert_close

from reanchor.errors import ReanchorError
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.gate.anchors import SURE, AnchorNetwork
from reanchor.methods.gate.replay import replay
from reanchor.methods.gate.store import gate_model, read_gated, save_gated, seeing_network
from reanchor.methods.saga.batch import TokenBatch
from reanchor.methods.saga.store import blank_head

IMAGES = torch.randn(3, 3, 64, 32, generator=Generator().manual_seed(0))


def head(domain: str = "mlp", paths: int = 1):
    shape = {"domain": domain, "domain_anchors": 2, "heads": 4, "cameras": 3, "text_anchors": 4, "layers": 1,
             "classifiers": 1, "feature_width": 0}
    made = blank_head(shape, 64, 32, identities=5, paths=paths)
    torch.manual_seed(1)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made.eval()


@pytest.mark.parametrize("taps", [(2,), (1, 3)])
def test_a_token_counts_by_its_share(taps):
    encoder = tiny_clip().image_encoder().eval()
    network = AnchorNetwork(encoder, head(paths=len(taps)), taps)
    seen = encoder(IMAGES, taps=taps).taps
    batch = TokenBatch(torch.cat([seen[tap][:, 1:] for tap in taps], dim=1))
    shares = network.head.aggregate(batch, network.head.anchors()).token_weights
    expected = [[min(1.0, 8 * share) for share in row] for row in shares.tolist()]
    weights = network(IMAGES).sigmoid()
    assert_close(weights, torch.tensor(expected), atol=2 * SURE, rtol=0)
    assert weights.min() < 0.9 < weights.max() <= 1
    assert not any(parameter.requires_grad for parameter in network.head.parameters())


def test_cls_is_replayed_behind_the_anchors():
    model = ReidModel(tiny_clip().image_encoder(), identities=5).eval()
    plain = model.encoder
    gated = gate_model(model, AnchorNetwork(plain, head(), (2,)), eps=0.05, blocks=0).encoder
    weights, out = gated.look(IMAGES)
    want = replay(plain, IMAGES, weights, eps=0.05)
    for name in want.features:
        assert_close(out.features[name], want.features[name], atol=1e-5, rtol=1e-4)
    assert (out.cls - plain(IMAGES).cls).abs().max() > 1e-3
    assert seeing_network(model) is gated.network


def test_what_was_saved_comes_back(tmp_path):
    clip = tiny_clip()
    model = ReidModel(clip.image_encoder(), identities=5).eval()
    gate_model(model, AnchorNetwork(model.encoder, head(), (2,)), eps=0.05, blocks=1)
    save_gated(model, clip.spec, tmp_path)
    back, spec = read_gated(tmp_path)
    assert spec == clip.spec
    assert torch.equal(back.eval().encoder(IMAGES).cls, model.encoder(IMAGES).cls)


@pytest.mark.parametrize("domain", ["cam", "clip"])
def test_anchors_of_more_than_tokens_are_refused(domain):
    with pytest.raises(ReanchorError, match=f"gate.source: got saga with saga.domain {domain}; allowed: none, mlp"):
        AnchorNetwork(tiny_clip().image_encoder(), head(domain), (2,))


@pytest.mark.parametrize("wrong", ["gate.trained=true", "gate.model=baseline"])
def test_other_settings_are_refused(wrong):
    wanted = ["method=gate", "gate.source=saga"]
    assert composed(*wanted).gate.source == "saga"
    with pytest.raises(ReanchorError, match=r"gate\.source: got 'saga' with gate\.trained"):
        composed(*wanted, wrong)
