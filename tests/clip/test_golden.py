"""The CLIP towers against CLIP-ReID's own code."""

import pytest
import torch
from golden_files import FORWARD, golden, meta, tiny_clip
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import nn
from torch.testing import assert_close

from reanchor.clip.resnet import CnnEncoder
from reanchor.clip.tokenizer import BytePairTokenizer, WordTokenizer, tokenize
from reanchor.clip.vision import ImageEncoder, resize_positions


@pytest.mark.parametrize("stride", [16, 12])
@pytest.mark.parametrize("sie", [False, True])
def test_image_encoder_agrees(stride, sie):
    want = golden("A_vit_outputs")
    encoder = tiny_clip(stride=stride).image_encoder()
    camera = want["cv_embed"] if sie else None
    out = encoder(want["image"], camera, taps=(2,))
    prefix = f"s{stride}_sie_" if sie else f"s{stride}_"
    assert encoder.grid == tuple(want[f"s{stride}_grid_hw"].tolist())
    assert_close(encoder.visual.positional_embedding, want[f"s{stride}_pos_resized"], atol=1e-6, rtol=1e-5)
    assert_close(out.taps[2], want[prefix + "before_last"], **FORWARD)
    assert_close(out.cls, want[prefix + "last"][:, 0], **FORWARD)
    assert_close(out.projected, want[prefix + "proj"][:, 0], **FORWARD)
    whole = encoder(want["image"], camera, taps=(encoder.depth,)).taps[encoder.depth]  # all rows of the last block
    assert_close(encoder.visual.ln_post(whole), want[prefix + "last"], **FORWARD)


def test_resnet_agrees():
    want = golden("A_resnet")
    encoder = golden_resnet(want)
    out = encoder.eval()(want["image"])
    assert_close(out.before_last, want["avg_x3"], **FORWARD)
    assert_close(out.last, want["avg_x4"], **FORWARD)
    assert_close(out.projected, want["xproj"][0], **FORWARD)
    out = golden_resnet(want).train()(want["image"])  # batch statistics
    assert_close(out.last, want["train_x4"].mean((2, 3)), **FORWARD)
    assert_close(out.projected, want["train_xproj"][0], **FORWARD)


def golden_resnet(want: dict) -> CnnEncoder:
    tower = ModifiedResNet([1, 2, 1, 1], output_dim=16, heads=2, image_size=64, width=4)
    tower.attnpool.positional_embedding = nn.Parameter(torch.zeros(5, 128))  # a square grid, to be resized
    encoder = CnnEncoder(tower, (64, 32))
    encoder.visual.load_state_dict({name[2:]: value for name, value in want.items() if name.startswith("w:")})
    return encoder


def test_twelve_blocks_agree():
    want = golden("A_vit12_unpatched")
    state = {name[2:]: value for name, value in want.items() if name.startswith("w:")}
    tower = VisionTransformer(64, 16, 32, 12, 2, 4.0, output_dim=state["visual.proj"].shape[1], act_layer=QuickGELU)
    tower.load_state_dict({name.removeprefix("visual."): value for name, value in state.items()})
    encoder = ImageEncoder(tower, tuple(want["image"].shape[2:]))
    assert_close(encoder.visual.positional_embedding, want["pos_resized"], atol=1e-6, rtol=1e-5)
    for side, suffix in ((None, ""), (want["cv_embed"], "_sie")):
        out = encoder(want["image"], side, taps=(11,))
        assert_close(out.taps[11], want["x11" + suffix], atol=1e-4, rtol=1e-4)
        assert_close(out.before_last, want["x11" + suffix][:, 0], atol=1e-4, rtol=1e-4)
        assert_close(out.cls, want["x12" + suffix][:, 0], atol=1e-4, rtol=1e-4)


def test_sie_on_all_tokens_moves_every_token():
    encoder, image = tiny_clip().image_encoder(), golden("A_vit_outputs")["image"]
    side, seen = golden("A_vit_outputs")["cv_embed"], []
    encoder.visual.ln_pre.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    for given in (None, side, side.unsqueeze(1)):
        encoder(image, given)
    assert_close(seen[1] - seen[0], torch.nn.functional.pad(side.unsqueeze(1), (0, 0, 0, 8)), **FORWARD)
    assert_close(seen[2] - seen[0], side.unsqueeze(1).expand(-1, 9, -1), **FORWARD)


@pytest.mark.parametrize("target", [(16, 8), (21, 10), (24, 8), (14, 14)])
def test_position_resize_agrees(target):
    want = golden("A_posembed_resize")
    got = resize_positions(want["source"], (14, 14), target)
    assert_close(got, want[f"to_{target[0]}x{target[1]}"], atol=1e-6, rtol=1e-5)


def test_byte_pair_tokens_agree():
    texts = meta("A_tokens")["texts"]
    assert torch.equal(tokenize(BytePairTokenizer(), texts, 77), golden("A_tokens")["tokens"].long())


def test_text_encoder_agrees():
    want = golden("A_text_outputs")
    assert_close(tiny_clip().text_encoder().encode_tokens(want["tokens"].long()), want["text_features"], **FORWARD)


def test_text_beyond_eos_does_not_matter():
    clip, want = tiny_clip(), golden("A_text_outputs")
    full = clip.network.encode_text(want["tokens"].long())
    assert_close(clip.text_encoder().encode_tokens(want["tokens"].long()), full, atol=1e-6, rtol=1e-5)


def test_patch_dropout_keeps_the_chosen_tokens():
    encoder, image = tiny_clip().image_encoder(), golden("A_vit_outputs")["image"]
    everything = torch.arange(8).expand(len(image), -1)
    assert_close(encoder(image, keep=everything).projected, encoder(image).projected)
    swapped = everything.flip(1)
    assert_close(encoder(image, keep=swapped).cls, encoder(image).cls, **FORWARD)
    assert encoder(image, taps=(1,), keep=everything[:, :3]).taps[1].shape[1] == 4


def test_word_tokenizer_has_eos_highest_and_cuts_to_context():
    tokenizer = WordTokenizer(["red", "a", ".", "shirt"])
    tokens = tokenize(tokenizer, ["a red shirt.", "a blue shirt shirt shirt shirt"], 5)
    assert tokens.argmax(1).tolist() == [4, 4]
    assert tokens[0].tolist() == [6, 3, 4, 5, 7]
    assert tokens[1].tolist() == [6, 3, 1, 5, 7]
    assert tokenizer.eos == tokenizer.size - 1
