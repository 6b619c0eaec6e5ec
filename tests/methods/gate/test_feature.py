"""The plain [CLS] beside the replayed one: the same pass, weighted cosines, on disk."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gated_models import gated
from golden_files import tiny_clip
from torch import Generator
from torch.testing import assert_close

from reanchor.methods.clip_reid.model import retrieval_feature
from reanchor.methods.embedders import load_embedder
from reanchor.methods.gate.feature import look
from reanchor.methods.gate.store import save_gated

IMAGES = torch.randn(4, 3, 64, 32, generator=Generator().manual_seed(0))
SIDE = torch.randn(4, 64, generator=Generator().manual_seed(1))


@pytest.mark.parametrize("blocks", [0, 1, 2])
@pytest.mark.parametrize("kind", ["own", "shared"])
def test_one_pass_gives_both(kind, blocks):
    encoder = gated(kind, blocks).encoder
    with torch.no_grad():
        (_, alone), (weights, both), plain = (encoder.look(IMAGES, SIDE), encoder.look(IMAGES, SIDE, both=True),
                                              encoder.plain(IMAGES, SIDE))
        given = encoder.replay(IMAGES, weights, SIDE, both=True)
    assert alone.plain is None and (both.cls - plain.cls).abs().max() > 1e-3
    for name, value in plain.features.items():
        for out in (both, given):
            assert_close(out.features[name], alone.features[name], atol=1e-5, rtol=1e-4)
            assert_close(out.plain.features[name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_cosines_are_a_weighted_mean(weight):
    encoder = gated("own", plain_weight=weight).encoder
    with torch.no_grad():
        found = look(encoder, IMAGES, SIDE)[1]
        own, plain = (F.normalize(retrieval_feature(out.features), dim=1)
                      for out in (encoder(IMAGES, SIDE), encoder.plain(IMAGES, SIDE)))
    assert_close(found @ found.T, (own @ own.T + weight * plain @ plain.T) / (1 + weight), atol=1e-5, rtol=0)


def test_the_weight_comes_back_from_disk(tmp_path):
    model, pixels = gated("own", 1, 0.5), np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), dtype=np.uint8)
    save_gated(model, tiny_clip().spec, tmp_path)
    embedder = load_embedder(tmp_path)
    assert embedder.model.encoder.plain_weight == 0.5
    found = embedder.embed(pixels, np.ones(2, np.int64)).features
    assert found.shape == (2, 2 * (64 + 32)) and np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-6)
