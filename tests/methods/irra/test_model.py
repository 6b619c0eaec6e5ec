"""IRRA's network: what SDM and the ID loss read, what is trained, what stands at the start."""

import numpy as np
import pytest
import torch
from golden_files import tiny_clip, tiny_resnet_clip
from irra_model import CODES, TEXTS, batch_of, tiny_model, worded_clip

from reanchor.backbone.load import openai_architecture
from reanchor.clip.model import Clip, ClipSpec
from reanchor.errors import ReanchorError
from reanchor.methods.irra.model import build_model
from reanchor.methods.irra.settings import Irra
from reanchor.text.masked_words import image_states, mask_id, word_states
from reanchor.text.towers import DualSearcher

CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def test_features_are_those_of_cls_and_eos():
    model, batch, clip = tiny_model(Irra()), batch_of(), worded_clip()
    with torch.no_grad():
        found = model.encode(batch)
        torch.testing.assert_close(found["image"], clip.image_encoder()(batch["image"]).projected, **CLOSE)
        torch.testing.assert_close(found["text"], clip.text_encoder().encode_tokens(batch["tokens"]), **CLOSE)


def test_the_authors_code_lets_sdm_read_the_masked_sentence():
    model, batch, text = tiny_model(Irra(sentence="masked")), batch_of(), worded_clip().text_encoder()
    with torch.no_grad():
        found = model.encode(batch)["text"]
        torch.testing.assert_close(found, text.encode_tokens(batch["masked"]), **CLOSE)
        whole = text.encode_tokens(batch["tokens"])
    differs = (found - whole).abs().amax(1) > 1e-4
    assert differs.tolist() == [True, True, False, True]  # the third sentence has nothing masked


@pytest.mark.parametrize("sentence", ["whole", "masked"])
def test_masked_words_read_every_image_token(sentence):
    """The reader is given masked words and [CLS] with all patch tokens, behind the towers' last norms."""
    model, batch = tiny_model(Irra(sentence=sentence)), batch_of()
    image = model.towers.image
    with torch.no_grad():
        found = model.encode(batch)
        tapped = image(batch["image"], taps=(image.depth,)).taps[image.depth]
        words, seen = word_states(model.towers.text, batch["masked"]), image_states(image, tapped)
        assert seen.shape == (4, 1 + image.grid[0] * image.grid[1], 32) and words.shape == (4, 77, 32)
        wanted, count = model.masked_words(words, seen, batch["targets"])
        torch.testing.assert_close(found["mlm"], wanted, **CLOSE)
        assert found["words"].tolist() == count.tolist() == [2, 1, 0, 1]
        batch["image"][0, :, -16:] += 3.0  # the last row of patches of one image
        assert ((model.encode(batch)["mlm"] - found["mlm"]).abs() > 1e-5).tolist() == [True, False, False, False]


def test_every_weight_but_the_temperature_learns():
    model, batch = tiny_model(Irra()), batch_of()
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert frozen == ["towers.log_scale"]
    found = model.encode(batch)
    logits = model.classifier(found["image"] + found["text"])
    (logits.square().sum() + found["mlm"].sum()).backward()
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert silent == frozen


def test_new_parts_are_seeded_and_the_classifier_is_nearly_silent():
    one, same, other = (build_model(tiny_clip(), 4000, Irra(seed=seed)) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True))
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    assert not torch.equal(one.masked_words.cross.in_proj_weight, other.masked_words.cross.in_proj_weight)
    assert one.classifier.weight.shape == (4000, 32) and not one.classifier.bias.any()
    assert one.classifier.weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert len(one.masked_words.blocks) == 4 and one.masked_words.head[3].out_features == CODES.size == 49408


def test_at_384_x_128_the_vit_has_24_x_8_patches_and_its_positions_are_stretched():
    blank = openai_architecture(tiny_clip().network.state_dict())
    size = blank["vision_cfg"]
    size |= {"image_size": 224, "patch_size": 16, "layers": 1}
    spec = ClipSpec(blank, (384, 128))
    torch.manual_seed(0)
    network = spec.network()
    model = build_model(Clip(spec, network), 3, Irra())
    assert model.towers.image.grid == (24, 8)
    ours, theirs = model.towers.image.visual.positional_embedding, network.visual.positional_embedding
    assert ours.shape[0] == 193 and theirs.shape[0] == 197
    assert torch.equal(ours[0], theirs[0])
    # bilinear, sample points at pixel centres: rows 14 / 24 of a step apart, columns 14 / 8
    grid = theirs[1:].reshape(14, 14, -1)
    y, x = (10 + 0.5) * 14 / 24 - 0.5, (3 + 0.5) * 14 / 8 - 0.5
    (row, down), (column, right) = (int(y), y - int(y)), (int(x), x - int(x))
    wanted = ((1 - down) * ((1 - right) * grid[row, column] + right * grid[row, column + 1])
              + down * ((1 - right) * grid[row + 1, column] + right * grid[row + 1, column + 1]))
    torch.testing.assert_close(ours[1 + 10 * 8 + 3], wanted, atol=1e-6, rtol=1e-4)


def test_at_test_time_the_towers_search_alone():
    model, clip = tiny_model(Irra()), tiny_clip()
    searcher = DualSearcher("irra", model.towers, clip.spec)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 32, 3), dtype=np.uint8)
    found = searcher.similarity(searcher.sentences(TEXTS), searcher.images(images))
    with torch.no_grad():
        batch = {"image": (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5,
                 "tokens": batch_of()["tokens"][:3], "masked": batch_of()["masked"][:3],
                 "targets": batch_of()["targets"][:3]}
        features = model.encode(batch)
    wanted = torch.nn.functional.cosine_similarity(features["text"][:, None], features["image"][None], dim=2)
    torch.testing.assert_close(found[:3], wanted, atol=1e-5, rtol=1e-4)


def test_a_resnet_reads_no_masked_words():
    with pytest.raises(ReanchorError, match=r"^irra.mlm: got 1, but a ResNet gives no image tokens .*allowed: 0"):
        build_model(tiny_resnet_clip(), 5, Irra())
    assert build_model(tiny_resnet_clip(), 5, Irra(mlm=0.0)).masked_words is None
    assert mask_id(CODES) == 49405
