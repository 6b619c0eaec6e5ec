"""MGCC's network: attention, selection, the map into image width; on disk and as a searcher."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_files import tiny_clip, tiny_resnet_clip
from text_factory import SIZE, small_clip
from torch.testing import assert_close

from reanchor.clip.tokenizer import tokenize
from reanchor.errors import ReanchorError
from reanchor.methods.mgcc.attention import attended_block, causal_block
from reanchor.methods.mgcc.model import Mgcc
from reanchor.methods.mgcc.settings import MgccModel
from reanchor.methods.mgcc.store import MgccSearcher, save_mgcc
from reanchor.methods.searchers import load_searcher
from reanchor.training.augment import normalise

TEXTS = ["A man in a red coat and blue jeans.", "A woman.", "", "She wears a white shirt, black shoes and a green hat, "
         "and carries a yellow bag over the shoulder while a small brown dog walks beside the black bench."]
RELEASED = {"patch_norm": False, "mask_padding": False, "rank_all_words": True, "word_offset": 1, "matrices": True}


@pytest.fixture(scope="module")
def clip():
    return small_clip()


def build(clip, **settings) -> Mgcc:
    torch.manual_seed(1)
    return Mgcc(clip, MgccModel(**settings)).eval()


def pictures(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("causal", [False, True])
def test_the_last_block_is_untouched_and_its_attention_is_torchs(causal):
    torch.manual_seed(0)
    clip = tiny_clip()
    block = (clip.network.transformer if causal else clip.network.visual.transformer).resblocks[-1]
    x = torch.randn(3, 9, 64)
    mask = torch.full((9, 9), float("-inf")).triu(1) if causal else None
    asking = torch.tensor([0, 4, 8])
    out, attention = attended_block(block, x, asking, causal)
    seen = block.ln_1(x)
    want = block.attn(seen, seen, seen, attn_mask=mask, average_attn_weights=True)[1]
    assert_close(out, block(x, attn_mask=mask), atol=2e-6, rtol=1e-5)
    assert_close(attention, want[torch.arange(3), asking], atol=1e-6, rtol=1e-5)
    assert not attention.requires_grad
    if causal:
        assert_close(causal_block(block, x), out)


def test_the_image_side_by_a_plain_forward_pass(clip):
    model = build(clip, patch_share=0.25)
    pixels = normalise(torch.from_numpy(pictures()))
    found = model.images(pixels)
    encoder = clip.image_encoder().eval()
    depth = encoder.depth
    taps = encoder(pixels, taps=(depth - 1, depth)).taps
    block = encoder.visual.transformer.resblocks[-1]
    seen = block.ln_1(taps[depth - 1])
    row = block.attn(seen, seen, seen)[1][:, 0, 1:]
    assert found.index.shape == (3, 8)  # round(.25 x 32)
    assert torch.equal(found.index, row.argsort(dim=1, descending=True)[:, :8])
    last = encoder.visual.ln_post(taps[depth])
    assert_close(found.side.whole, F.normalize(last[:, 0], dim=1), atol=1e-5, rtol=1e-4)
    for picture in range(3):
        want = F.normalize(last[picture, 1:][found.index[picture]], dim=1)
        assert_close(found.side.patches[picture], want, atol=1e-5, rtol=1e-4)
    bare = build(clip, patch_share=0.25, patch_norm=False).images(pixels).side.patches
    assert_close(bare[0], F.normalize(taps[depth][0, 1:][found.index[0]], dim=1), atol=1e-5, rtol=1e-4)


def test_the_text_side_by_a_plain_forward_pass(clip):
    model = build(clip, word_share=0.3, word_limit=20)
    tokens = tokenize(clip.spec.tokenizer(), TEXTS, 40)
    found, eos = model.sentences(tokens), tokens.argmax(1)
    network = clip.network
    x = network.token_embedding(tokens) + network.positional_embedding
    *first, block = network.transformer.resblocks
    for one in first:
        x = one(x, attn_mask=network.attn_mask)
    seen = block.ln_1(x)
    rows = block.attn(seen, seen, seen, attn_mask=network.attn_mask)[1][torch.arange(4), eos]
    x = network.ln_final(block(x, attn_mask=network.attn_mask))
    mapped = F.normalize(model.text_map(x), dim=2)
    assert_close(found.side.whole, mapped[torch.arange(4), eos], atol=1e-5, rtol=1e-4)
    assert found.present.sum(1).tolist() == [6, 3, 1, 6]  # "a woman ." has three tokens; none: [EOS] alone
    for row in range(4):
        usable = min(max(int(eos[row]) - 1, 1), 20)
        best = rows[row, 1:1 + usable].argsort(descending=True)[:6]
        assert found.index[row, :len(best)].tolist() == best.tolist()
        assert_close(found.side.words[row, :len(best)], mapped[row, 1 + best], atol=1e-5, rtol=1e-4)
        assert not found.side.words[row, len(best):].any()
    released = build(clip, word_share=0.3, word_limit=20, word_offset=1, mask_padding=False).sentences(tokens)
    assert released.side.present is None
    assert torch.equal(released.index[0], found.index[0] + 1)
    assert_close(released.side.words[0], mapped[0, 2 + found.index[0]], atol=1e-5, rtol=1e-4)


def test_the_map_can_start_at_clips_own_projections(clip):
    """LayerNorm aside, text . image is then the product that CLIP was trained with."""
    model = build(clip, text_map="clip")
    text, image = torch.randn(2, 32), torch.randn(3, 32)
    want = (text @ clip.network.text_projection) @ (image @ clip.network.visual.proj).T
    assert_close(model.text_map[1](text) @ image.T, want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("settings", [{}, RELEASED, {"fusion": "max_mean", "granularities": ["patch_word"]}],
                         ids=["paper", "released", "two_steps"])
def test_a_model_on_disk_searches_as_the_one_in_memory(clip, tmp_path, settings):
    model = build(clip, word_limit=12, **settings)
    if model.matrices is not None:
        torch.manual_seed(2)
        with torch.no_grad():
            for one in model.matrices.parameters():
                one.add_(0.1 * torch.randn_like(one))
    save_mgcc(model, clip.spec, tmp_path)
    again, first = load_searcher(tmp_path), MgccSearcher(model, clip.spec)
    assert (again.name, again.grid, again.context) == ("mgcc", (8, 4), 40)
    images, texts = again.images(pictures()), again.sentences(TEXTS)
    got = again.similarity(texts, images)
    assert got.shape == (4, 3) and got.dtype == torch.float32
    assert torch.equal(got, first.similarity(first.sentences(TEXTS), first.images(pictures())))
    tokens = tokenize(clip.spec.tokenizer(), TEXTS, 40)
    scaled = model(normalise(torch.from_numpy(pictures())), tokens)
    assert_close(got * clip.network.logit_scale.exp().detach(), scaled.T.detach(), atol=1e-4, rtol=1e-4)
    assert images["patch_index"].shape == (3, 10) and texts["word_index"].shape == (4, 5)
    one = again.images(pictures()[1:2])  # per item
    assert_close(one["patches"][0], images["patches"][1], atol=1e-5, rtol=1e-4)


def test_both_rates_cover_every_parameter_once(clip):
    model = build(clip, **RELEASED)
    towers, new = model.tower_parameters(), model.new_parameters()
    assert len({*map(id, towers), *map(id, new)}) == len(towers) + len(new) == len(list(model.parameters()))
    names = {name.split(".")[0] for name, one in model.named_parameters() if any(one is other for other in new)}
    assert names == {"towers", "text_map", "matrices"} and any(one is model.towers.log_scale for one in new)


def test_towers_without_patches_or_attention_are_refused(clip):
    with pytest.raises(ReanchorError, match=r"backbone.model: MGCC selects patch tokens, and a ResNet has none.*ViT"):
        Mgcc(tiny_resnet_clip(), MgccModel())
    spec = dataclasses.replace(clip.spec, architecture={**clip.spec.architecture, "vision_cfg": {
        **clip.spec.architecture["vision_cfg"], "qk_norm": True}})
    odd = Mgcc(dataclasses.replace(clip, spec=spec, network=spec.network()), MgccModel())
    with pytest.raises(ReanchorError, match=r"MGCC reads the attention of the last block, got Custom.*ViT-B-32"):
        odd.images(torch.zeros(1, 3, *SIZE))
