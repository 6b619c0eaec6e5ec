"""Masked words: BERT's shares, the reader against its formula written out, where the loss looks."""

import math

import pytest
import torch
import torch.nn.functional as F
from golden_files import tiny_clip
from torch import Generator

from reanchor.clip.tokenizer import BytePairTokenizer, WordTokenizer, tokenize
from reanchor.text.masked_words import (
    NOTHING,
    MaskedWords,
    image_states,
    mask_id,
    mask_words,
    ordinary_ids,
    word_states,
)

WORDS = WordTokenizer([f"w{chr(97 + a)}{chr(97 + b)}" for a in range(10) for b in range(10)])


def seeded(number: int) -> Generator:
    return Generator().manual_seed(number)


def test_the_codes_are_the_authors():
    codes = BytePairTokenizer()
    assert (codes.sos, codes.eos, mask_id(codes)) == (49406, 49407, 49405)
    assert ordinary_ids(codes) == range(1, 49405)  # theirs: 0 < token < 49405, replaced by one of 1 .. 49404
    assert mask_id(WORDS) == 1 and ordinary_ids(WORDS) == range(2, WORDS.sos)


def test_fifteen_in_a_hundred_words_are_asked_of_which_eighty_masked_ten_replaced_ten_kept():
    tokens = torch.randint(2, WORDS.sos, (400, 60), generator=seeded(0))
    tokens[:, 0], tokens[:, 50], tokens[:, 51:], tokens[:, 7] = WORDS.sos, WORDS.eos, 0, 1
    masked, targets = mask_words(tokens, WORDS, seeded(1))
    asked = targets != NOTHING
    assert torch.equal(targets[asked], tokens[asked]) and torch.equal(masked[~asked], tokens[~asked])
    assert not asked[:, [0, 7]].any() and not asked[:, 50:].any()  # [SOS], an unknown word, [EOS], padding
    share = asked.sum().item() / (400 * 48)
    assert share == pytest.approx(0.15, abs=0.01)
    mask, kept = masked[asked] == 1, masked[asked] == tokens[asked]
    assert mask.float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert kept.float().mean().item() == pytest.approx(0.1 + 0.1 / 100, abs=0.015)
    others = masked[asked][~mask & ~kept]
    assert others.min() >= 2 and others.max() < WORDS.sos and len(others.unique()) > 80
    again = mask_words(tokens, WORDS, seeded(1))
    assert torch.equal(masked, again[0]) and torch.equal(targets, again[1])


def test_masking_follows_the_generator_draw_by_draw():
    tokens = tokenize(WORDS, ["waa wab wac wad wae waf wag wah wai waj", "wba wbb"], 14)
    masked, targets = mask_words(tokens, WORDS, seeded(4))
    drawn = seeded(4)
    choice, fate = torch.rand(2, 2, 14, generator=drawn)
    others = torch.randint(2, WORDS.sos, (2, 14), generator=drawn)
    for row, words in ((0, 10), (1, 2)):
        chosen = [slot for slot in range(1, words + 1) if choice[row, slot] < 0.15]
        wanted = tokens[row].tolist()
        for slot in chosen:
            luck = fate[row, slot].item()
            wanted[slot] = 1 if luck < 0.8 else others[row, slot].item() if luck < 0.9 else wanted[slot]
        if not chosen:
            chosen, wanted[1] = [1], 1
        assert masked[row].tolist() == wanted
        assert (targets[row] != NOTHING).nonzero()[:, 0].tolist() == chosen


def test_every_sentence_is_asked_for_a_word_unless_it_has_none():
    tokens = tokenize(WORDS, ["waa wab", "", "zzz waa"], 8)
    few = 0
    for seed in range(40):
        masked, targets = mask_words(tokens, WORDS, seeded(seed))
        asked = targets != NOTHING
        assert asked[0].any() and not asked[1].any() and torch.equal(masked[1], tokens[1])
        few += int(asked[0].tolist() == [False, True] + [False] * 6 and masked[0, 1] == 1)
        assert not asked[2, 1]  # the unknown word
    assert few > 20  # .85 ** 2 of 40, and single ones


def attention(weights, bias, out, queries, keys, heads):
    """softmax(q k^T / sqrt(d)) v of every head, one after the other (Vaswani et al., 2017, eq. 1)."""
    width = queries.shape[-1]
    q, k, v = ((x @ weights[part * width:(part + 1) * width].T + bias[part * width:(part + 1) * width])
               for part, x in enumerate((queries, keys, keys)))
    each, parts = width // heads, []
    for head in range(heads):
        own = slice(head * each, (head + 1) * each)
        scores = q[..., own] @ k[..., own].transpose(1, 2) / math.sqrt(each)
        weight = scores.exp() / scores.exp().sum(-1, keepdim=True)
        parts.append(weight @ v[..., own])
    return torch.cat(parts, dim=-1) @ out.weight.T + out.bias


def norm(layer, x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.weight + layer.bias


def quick_gelu(x):
    return x / (1 + (-1.702 * x).exp())


def filled(width=128, words=30, layers=4) -> MaskedWords:
    """A reader none of whose weights is 0 or 1."""
    torch.manual_seed(0)
    reader = MaskedWords(width, words, layers)
    for parameter in reader.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.2 * torch.randn(parameter.shape, generator=seeded(parameter.numel()))
    return reader


def test_the_reader_is_its_formula_written_out():
    reader, drawn = filled(), seeded(2)
    words, image = torch.randn(3, 7, 128, generator=drawn), torch.randn(3, 11, 128, generator=drawn)
    seen, cross = norm(reader.norm_image, image), reader.cross
    x = attention(cross.in_proj_weight, cross.in_proj_bias, cross.out_proj, norm(reader.norm_words, words), seen, 2)
    assert len(reader.blocks) == 4
    for block in reader.blocks:
        own, attn, mlp = norm(block.ln_1, x), block.attn, block.mlp
        x = x + attention(attn.in_proj_weight, attn.in_proj_bias, attn.out_proj, own, own, 2)
        hidden = quick_gelu(norm(block.ln_2, x) @ mlp.c_fc.weight.T + mlp.c_fc.bias)
        assert hidden.shape[-1] == 4 * 128
        x = x + hidden @ mlp.c_proj.weight.T + mlp.c_proj.bias
    x = norm(reader.norm, x)
    torch.testing.assert_close(reader.read(words, image), x, atol=1e-5, rtol=1e-4)
    targets = torch.full((3, 7), NOTHING)
    targets[0, 2], targets[0, 6], targets[2, 1] = 5, 29, 0
    first, _, middle, last = reader.head
    logits = norm(middle, quick_gelu(x @ first.weight.T + first.bias)) @ last.weight.T + last.bias
    losses = -logits.log_softmax(-1)
    summed, count = reader(words, image, targets)
    assert count.tolist() == [2, 0, 1]
    wanted = torch.stack([losses[0, 2, 5] + losses[0, 6, 29], torch.tensor(0.0), losses[2, 1, 0]])
    torch.testing.assert_close(summed, wanted, atol=1e-4, rtol=1e-4)


def test_only_masked_places_carry_a_gradient_into_the_head():
    reader, drawn = filled(), seeded(3)
    words, image = torch.randn(1, 5, 128, generator=drawn), torch.randn(1, 4, 128, generator=drawn)
    targets = torch.tensor([[NOTHING, 3, NOTHING, NOTHING, 8]])
    reader(words, image, targets)[0].sum().backward()
    gradient = reader.head[3].bias.grad
    asked = reader.read(words, image)[0, [1, 4]]
    shares = reader.head(asked).softmax(1).sum(0)
    torch.testing.assert_close(gradient, shares - F.one_hot(torch.tensor([3, 8]), 30).sum(0), atol=1e-5, rtol=1e-4)


def test_new_weights_have_clips_spreads():
    torch.manual_seed(0)
    reader = MaskedWords(256, 2000, 4)
    spreads = {reader.cross.in_proj_weight: 1 / 16, reader.cross.out_proj.weight: 1 / 16 / math.sqrt(8),
               reader.head[0].weight: 1 / math.sqrt(512), reader.head[3].weight: 1 / 16 / math.sqrt(8)}
    for block in reader.blocks:
        spreads |= {block.attn.in_proj_weight: 1 / 16, block.attn.out_proj.weight: 1 / 16 / math.sqrt(8),
                    block.mlp.c_fc.weight: 1 / math.sqrt(512), block.mlp.c_proj.weight: 1 / 16 / math.sqrt(8)}
    for weight, spread in spreads.items():
        assert weight.std().item() == pytest.approx(spread, rel=0.02)
    assert not reader.cross.in_proj_bias.any() and reader.head[3].bias.any()
    assert reader.cross.num_heads == 4 and {block.attn.num_heads for block in reader.blocks} == {4}


def test_states_of_words_and_images_are_the_towers_own():
    clip = tiny_clip()
    encoder, text = clip.image_encoder(), clip.text_encoder()
    tokens = tokenize(BytePairTokenizer(), ["a man in red", "a woman with a long blue coat"], text.context_length)
    states = word_states(text, tokens)
    assert states.shape[1] == text.context_length
    eos = tokens.argmax(1)
    torch.testing.assert_close(states[torch.arange(2), eos], text.encode_tokens(tokens), atol=2e-6, rtol=1e-5)
    images = torch.randn(2, 3, 64, 32, generator=seeded(0))
    with torch.no_grad():
        out = encoder(images, taps=(encoder.depth,))
        tokens = image_states(encoder, out.taps[encoder.depth])
    assert tokens.shape[1] == 1 + encoder.grid[0] * encoder.grid[1]
    torch.testing.assert_close(tokens[:, 0], out.projected, atol=2e-6, rtol=1e-5)
