"""SAGA's options beyond the golden numbers: anchors, refinement, features at test time, models on disk."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_files import tiny_clip
from saga_fakes import IMAGES, pixels, reid_model
from torch import Generator
from torch.testing import assert_close

from reanchor.clip.tokenizer import BytePairTokenizer, WordTokenizer, tokenize
from reanchor.errors import ReanchorError
from reanchor.formats.embedder import Embedder, Embedding
from reanchor.methods.embedders import load_embedder
from reanchor.methods.flip import FlipAveraged, FlipBeside
from reanchor.methods.saga.anchors import phrase_context
from reanchor.methods.saga.batch import TokenBatch, tapped_blocks, token_batch
from reanchor.methods.saga.build import build_head, check_anchors
from reanchor.methods.saga.features import concat, fuse, orthogonal, side_by_side
from reanchor.methods.saga.frozen import generic_phrases
from reanchor.methods.saga.head import SagaHead
from reanchor.methods.saga.losses import anchor_triplet
from reanchor.methods.saga.refine import plain_attention
from reanchor.methods.saga.settings import Saga
from reanchor.methods.saga.store import save_saga
from reanchor.streetfolk.captions import vocabulary


def head_of(config: Saga) -> SagaHead:
    return build_head(config, reid_model(), 3, tiny_clip().text_encoder(), BytePairTokenizer(), cameras=2)


def small(**settings) -> Saga:
    return Saga(**{"text_anchors": 4, "token_blocks": [2], "refine_layers": 1, **settings})


def test_random_frozen_anchors_have_the_text_anchors_mean_norm_and_are_not_trained():
    text = tiny_clip().text_encoder()
    learned = head_of(small()).anchors(text)
    head = head_of(small(anchors="random_frozen"))
    assert_close(head.anchors().norm(dim=1), learned.norm(dim=1).mean().expand(4), atol=1e-6, rtol=1e-5)
    assert not list(head.anchors.parameters())
    assert not torch.equal(head.anchors(), head_of(small(anchors="random_frozen", seed=1)).anchors())
    assert torch.equal(head.anchors(), head_of(small(anchors="random_frozen")).anchors())


def test_generic_frozen_anchors_are_frozen_texts_through_a_learned_map():
    text, head = tiny_clip().text_encoder(), head_of(small(anchors="generic_frozen"))
    phrases = [f"a photo of a {thing}." for thing in ("chair", "table", "lamp", "bottle")]
    tokens = tokenize(BytePairTokenizer(), phrases, 77)
    assert_close(head.anchors(), text.encode_tokens(tokens) @ head.anchors.projection.weight.T, atol=1e-5, rtol=1e-4)
    assert [name for name, _ in head.anchors.named_parameters()] == ["projection.weight"]


def test_generic_phrases_differ_for_every_tokenizer_that_can_tell_them_apart():
    street = WordTokenizer(vocabulary())
    phrases = generic_phrases(32, street)
    assert phrases[0] == "a photo of a round object."
    assert len({tuple(street.encode(phrase)) for phrase in phrases}) == 32
    assert not any(1 in street.encode(phrase) for phrase in phrases)  # 1: an unknown word
    assert "a photo of an airplane." in generic_phrases(32, BytePairTokenizer())
    with pytest.raises(ReanchorError, match="knows neither everyday things nor shapes"):
        generic_phrases(4, WordTokenizer(["a", "photo", "of"]))
    with pytest.raises(ReanchorError, match=r"saga.text_anchors: got 33; allowed .* at most 32"):
        generic_phrases(33, street)


def test_without_refinement_tokens_are_pooled_as_they_are():
    head = head_of(small(refine_layers=0, domain="none", anchors="free")).eval()
    tokens = torch.randn(2, 8, 64, generator=Generator().manual_seed(0))
    anchors = torch.randn(4, 64, generator=Generator().manual_seed(1))
    out = head.aggregate(TokenBatch(tokens), anchors)
    t, a = tokens - tokens.mean(2, keepdim=True), anchors - anchors.mean(1, keepdim=True)
    attention = (64**0.5 * F.cosine_similarity(t[:, :, None], a[None, None], dim=3)).softmax(2)
    assert_close(plain_attention(tokens, anchors.expand(2, -1, -1)), attention, atol=1e-4, rtol=1e-3)
    weights = attention.amax(2) / attention.amax(2).sum(1, keepdim=True)
    assert_close(out.token_weights, weights, atol=1e-5, rtol=1e-3)
    assert_close(out.feature, torch.einsum("bt,btd->bd", weights, tokens), atol=1e-4, rtol=1e-3)


def test_refinement_starts_from_each_paths_own_clip_block_or_at_random():
    blocks = tiny_clip().image_encoder().visual.transformer.resblocks
    head = head_of(small(token_blocks=[1, 3]))
    for path, number in zip(head.refine, (0, 2), strict=True):
        assert torch.equal(path[0].attn.in_proj_weight, blocks[number].attn.in_proj_weight)
    assert torch.equal(head_of(small(token_blocks=[])).refine[0][0].ff[0].weight, blocks[2].mlp.c_fc.weight)
    drawn = [head_of(small(refine_init="random")).refine[0][0].ff[0].weight for _ in range(2)]
    assert torch.equal(*drawn) and not torch.equal(drawn[0], blocks[1].mlp.c_fc.weight)


def test_the_anchor_triplet_by_hand():
    # one anchor; images 0 and 1 are one identity with cosine 0, image 2 is another, equal to image 0
    features, labels = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.0]]]), torch.tensor([0, 0, 1])
    mass = torch.tensor([[2.0], [1.0], [1.0]])
    # losses 1 - 0 + .3, 0 - 0 + .3 and 0 (no positive), weights 1, .5, .5
    assert anchor_triplet(features, mass, labels, 0.3).item() == pytest.approx((1.3 + 0.5 * 0.3) / 2)


def test_the_attention_mass_weighs_the_anchor_triplet_and_is_not_trained_by_it():
    features = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.0]]], requires_grad=True)
    mass = torch.tensor([[2.0], [1.0], [1.0]], requires_grad=True)
    anchor_triplet(features, mass, torch.tensor([0, 0, 1]), 0.3).backward()
    assert mass.grad is None and features.grad.abs().sum() > 0


def test_the_context_starts_from_the_phrases_and_noise_of_a_hundredth():
    text = tiny_clip().text_encoder()
    slots = head_of(small(context_slots=16, frozen_slots=4, seed=5)).anchors.learnable
    noise = slots - phrase_context(4, 12, text, BytePairTokenizer())
    drawn = torch.randn(slots.shape, generator=Generator().manual_seed(5))
    assert_close(noise, 0.01 * drawn, atol=1e-6, rtol=1e-3)


def test_orthogonal_and_concat_by_hand():
    refined, cls = torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    want = torch.tensor([[1.0, 0.3 * 0.8]]) / (1 + 0.24**2) ** 0.5  # c = (.6, .8), (c.r) r = (.6, 0)
    assert_close(orthogonal(refined, cls), want)
    assert_close(concat([refined, cls]), torch.tensor([[2.0, 0.0, 3.0, 4.0]]) / 29**0.5)


@pytest.mark.parametrize("settings", [
    {"domain": "cam", "token_blocks": [1, 2], "classifiers": 2}, {"domain": "clip", "feature_width": 48},
    {"domain": "none", "refine_layers": 0, "anchors": "generic_frozen"}, {"token_blocks": [], "refine_layers": 2}])
def test_saga_comes_back_from_disk_without_a_text_encoder(tmp_path, settings):
    config, model, text = small(**settings), reid_model(), tiny_clip().text_encoder()
    head, blocks = head_of(config).eval(), tapped_blocks(config.token_blocks, 3)
    anchors = head.anchors(text)
    save_saga(head, anchors, model, tiny_clip().spec, blocks, (0.6, 0.3, 0.1), tmp_path)
    camids = np.array([1, 2] * 3)
    encoded = model.encode(pixels(), torch.from_numpy(camids) - 1, blocks)
    out = head.aggregate(token_batch(encoded, blocks, torch.from_numpy(camids)), anchors)
    parts = [out.feature.detach(), encoded.cls, encoded.projected]
    features, mass = (value.detach() for value in head.anchor_features(out))
    want = {"fused": fuse(parts, [0.6, 0.3, 0.1]), "concat": concat(parts), "anchors": side_by_side(features, mass),
            "anchors_top2": side_by_side(features, mass, 2), "projected": fuse(parts, [0.0, 0.0, 1.0]),
            "refined": fuse(parts, [1.0, 0.0, 0.0]), "cls": fuse(parts, [0.0, 1.0, 0.0])}
    if config.feature_width:
        with pytest.raises(ReanchorError, match=r"orthogonal.* has 48 and 64"):
            load_embedder(tmp_path, variant="orthogonal")
    else:
        want["orthogonal"] = orthogonal(*parts[:2])
    for variant, feature in want.items():
        embedder = load_embedder(tmp_path, variant=variant)
        got = embedder.embed(IMAGES, camids)
        assert_close(torch.from_numpy(got.features), feature, atol=2e-5, rtol=1e-4)
        assert_close(torch.from_numpy(got.token_weights), out.token_weights.detach(), atol=1e-5, rtol=1e-4)
        assert list(got.variants) == (["refined"] if variant == "fused" else [])  # one pass for both
        if variant == "fused":
            assert_close(torch.from_numpy(got.variants["refined"]), want["refined"], atol=2e-5, rtol=1e-4)
        assert embedder.name == ("saga" if variant == "fused" else f"saga_{variant}")
    with pytest.raises(ReanchorError, match="variant: got 'other'"):
        load_embedder(tmp_path, variant="other")


def test_flip_averaging_does_not_tell_an_image_from_its_mirror_image(tmp_path):
    config = small()
    head = head_of(config)
    save_saga(head, head.anchors(tiny_clip().text_encoder()), reid_model(), tiny_clip().spec, (2,), (1.0, 0.0, 0.0),
              tmp_path)
    plain, flipped = load_embedder(tmp_path), load_embedder(tmp_path, flip=True)
    camids = np.ones(6, np.int64)
    got, mirrored = flipped.embed(IMAGES, camids), flipped.embed(IMAGES[:, :, ::-1], camids)
    assert np.allclose(got.features, mirrored.features, atol=1e-6)
    back = mirrored.token_weights.reshape(6, 4, 2)[:, :, ::-1].reshape(6, 8)
    assert np.allclose(got.token_weights, back, atol=1e-6)
    both = plain.embed(IMAGES, camids).features + plain.embed(IMAGES[:, :, ::-1], camids).features
    assert np.allclose(got.features, both / np.linalg.norm(both, axis=1, keepdims=True), atol=1e-6)
    both = plain.embed(IMAGES, camids).variants["refined"] + plain.embed(IMAGES[:, :, ::-1], camids).variants["refined"]
    assert np.allclose(got.variants["refined"], both / np.linalg.norm(both, axis=1, keepdims=True), atol=1e-6)
    beside = FlipBeside(load_embedder(tmp_path, features=["concat", "anchors"])).embed(IMAGES, camids)
    assert list(beside.rows("saga")) == ["saga", "saga_refined", "saga_concat", "saga_anchors", "saga_flip"]
    assert np.array_equal(beside.features, plain.embed(IMAGES, camids).features)
    assert np.allclose(beside.variants["flip"], got.features, atol=1e-6)
    concatenated = load_embedder(tmp_path, variant="concat").embed(IMAGES, camids).features
    assert np.allclose(beside.variants["concat"], concatenated, atol=1e-6)
    assert flipped.preprocessing == plain.preprocessing
    assert (flipped.name, flipped.grid, flipped.patch, flipped.stride) == ("saga_flip", (4, 2), 16, 16)


def test_flip_averaging_takes_a_method_without_tokens():
    class Brightness(Embedder):
        name = "brightness"

        def embed(self, images, camids, viewids=None):
            left = images[:, :, 0].mean((1, 2))
            return Embedding(np.stack([np.cos(left), np.sin(left)], 1).astype(np.float32))

    got = FlipAveraged(Brightness()).embed(IMAGES, np.ones(6, np.int64))
    assert got.token_weights is None and np.allclose(np.linalg.norm(got.features, axis=1), 1)


def test_texts_of_body_parts_are_refused_for_vehicles():
    with pytest.raises(ReanchorError, match=r"saga.anchors: got 'text', .* shows vehicles; allowed: free"):
        check_anchors(Saga(), "vehicle")
    check_anchors(Saga(anchors="free"), "vehicle")
    check_anchors(Saga(), "person")
