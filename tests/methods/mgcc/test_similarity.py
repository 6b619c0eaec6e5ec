"""MGCC's selection, similarities and loss: the authors' numbers, hand-computed cases, properties."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from golden_files import GRADIENT, golden, meta
from torch.testing import assert_close

from benchmarks.mgcc_similarity import PATCHES, WIDTH, WORDS, broadcast, ours, problem
from reanchor.methods.mgcc import blocks
from reanchor.methods.mgcc.losses import info_nce
from reanchor.methods.mgcc.selection import keep_count, select_patches, select_words, take
from reanchor.methods.mgcc.shared import shared_means
from reanchor.methods.mgcc.similarity import FUSIONS, GRANULARITIES, ImageSide, Matrices, Similarity, TextSide

NAMES = {"image_text": "img_text", "image_word": "img_word", "patch_text": "patch_text", "patch_word": "patch_word"}
MATRICES = {"whole": "global_mat_weight", "local": "local_mat_weight", "patch": "patch_logit_weight",
            "word": "word_logit_weight", "patch_first": "patch_mat_weight", "word_first": "word_mat_weight",
            "patch_second": "patch_mat_weight2", "word_second": "word_mat_weight2"}


def sides(want: dict) -> tuple[ImageSide, TextSide]:
    return ImageSide(want["img_global"], want["patch"]), TextSide(want["txt_global"], want["word"])


@pytest.mark.parametrize("case", ["s0", "s1"])
def test_similarities_agree_with_the_authors(case):
    want = golden("F_mgcc_similarity")
    scale, matrices = meta("F_mgcc_similarity")["logit_scale_exp"], Matrices(24, 15, 10)
    if case == "s1":
        matrices.load_state_dict({name: want[f"w:{theirs}"] for name, theirs in MATRICES.items()})
    for one in [Similarity(matrices=matrices)] + ([Similarity()] if case == "s0" else []):
        scores = one.scores(*sides(want))
        for name, theirs in NAMES.items():
            assert_close(scores[name] * scale, want[f"{case}:{theirs}_logits"], atol=1e-4, rtol=1e-4)
        assert_close(one(*sides(want)) * scale, want[f"{case}_total"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("fusion", FUSIONS[1:])
def test_other_fusions_agree_with_the_authors(fusion):
    want = golden("F_mgcc_similarity")
    got = Similarity(fusion=fusion, granularities=["patch_word"])(*sides(want))
    assert_close(got, want["aggr:" + "_".join(word.title() for word in fusion.split("_"))], atol=1e-6, rtol=1e-5)


def test_the_loss_and_its_gradient_agree_with_the_authors():
    want = golden("F_mgcc_similarity")
    logits = want["nce_sim"].clone().requires_grad_()
    terms = info_nce(logits, "mean")
    terms["loss"].backward()
    for name in ("i2t", "t2i", "loss"):
        assert_close(terms[name], want[f"nce_{name}"], atol=1e-5, rtol=1e-5)
    assert_close(logits.grad, want["nce_grad"], **GRADIENT)
    assert_close(info_nce(logits)["loss"], 2 * want["nce_loss"], atol=1e-5, rtol=1e-5)


def test_pairs_of_one_person_can_be_left_out_of_the_negatives():
    logits = torch.tensor([[2.0, 9.0, 0.0], [9.0, 2.0, 1.0], [1.0, 0.0, 2.0]])
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    row = [math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1)), math.log(1 + math.exp(-1) + math.exp(-2))]
    assert info_nce(logits, same=same)["i2t"].item() == pytest.approx(sum(row) / 3, abs=1e-6)


@pytest.mark.parametrize("share", ["0.3", "0.4", "0.5"])
def test_patch_selection_agrees_with_the_authors(share):
    want = golden("F_mgcc_tokens")
    attention = want["img_att"].mean(1)[:, 0, 1:]
    index = select_patches(attention, float(share))
    assert torch.equal(index, want[f"img_rv{share}_idx"])
    tokens = F.normalize(take(want["img_hidden"][:, 1:], index), dim=2)
    assert_close(tokens, want[f"img_rv{share}_tokens"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("share", ["0.4", "0.5"])
def test_word_selection_as_released_agrees_with_the_authors(share):
    want = golden("F_mgcc_tokens")
    eos = (want["txt_ids"] == 49407).int().argmax(1)
    attention = want["txt_att"].mean(1)[torch.arange(6), eos]
    index, present = select_words(attention, eos, float(share), 25, rank_all=True, offset=1)
    for row in range(6):
        positions = want[f"txt_rt{share}_pos_i{row}"]
        assert torch.equal(index[row][present[row]] + 1, positions) and present[row].sum() == len(positions)
    mapped = F.layer_norm(want["txt_hidden"], (16,), want["fc_ln_w"], want["fc_ln_b"]) @ want["fc_w"].T
    tokens = F.normalize(take(mapped[:, 1:], index), dim=2) * present.unsqueeze(2)
    assert_close(tokens, want[f"txt_rt{share}_tokens"], atol=1e-5, rtol=0)


def test_kept_counts_agree_with_the_authors():
    for share, (words, patches) in meta("F_mgcc_tokens")["rounding"].items():
        assert (keep_count(float(share), 25), keep_count(float(share), 49)) == (words, patches)
    assert keep_count(0.01, 25) == 1 and keep_count(1.0, 49) == 49


def test_words_are_paired_with_their_own_attention():
    attention = torch.tensor([[0.5, 0.1, 0.3, 0.2, 0.9, 0.9],  # 3 words; [EOS] and what follows cannot be selected
                              [0.5, 0.1, 0.1, 0.2, 0.3, 0.4],  # 5 words, of which 4 are looked at; ties in order
                              [0.5, 0.9, 0.0, 0.0, 0.0, 0.0]])  # none: [EOS] itself
    index, present = select_words(attention, torch.tensor([4, 6, 1]), 1.0, 4)  # a missing word repeats the best
    assert index.tolist() == [[1, 2, 0, 1], [3, 2, 0, 1], [0, 0, 0, 0]]
    assert present.tolist() == [[True, True, True, False], [True] * 4, [True, False, False, False]]
    assert select_words(attention, torch.tensor([4, 6, 1]), 0.5, 4)[0].tolist() == [[1, 2], [3, 2], [0, 0]]
    assert select_words(attention, torch.tensor([4, 6, 1]), 0.5, 4, rank_all=True)[0][1].tolist() == [4, 3]
    wide, there = select_words(attention, torch.tensor([4, 6, 1]), 1.0, 7)
    assert wide.shape == there.shape == (3, 7) and there.sum(1).tolist() == [3, 5, 1]


def random_sides(images: int = 3, texts: int = 4, patches: int = 5, words: int = 6) -> tuple[ImageSide, TextSide]:
    generator = torch.Generator().manual_seed(0)

    def unit(*shape: int) -> torch.Tensor:
        return F.normalize(torch.randn(*shape, 8, generator=generator), dim=-1)

    present = torch.arange(words) < torch.tensor([6, 3, 1, 5])[:texts, None]
    text = unit(texts, words) * present.unsqueeze(2)
    return ImageSide(unit(images), unit(images, patches)), TextSide(unit(texts), text, present)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_missing_words_take_no_part(fusion):
    images, texts = random_sides()
    similarity = Similarity(0.5, fusion)  # at the published .01 a zero hardly weighs
    got = similarity.scores(images, texts)
    for row in range(4):
        length = int(texts.present[row].sum())
        short = TextSide(texts.whole[row:row + 1], texts.words[row:row + 1, :length])
        for name, score in similarity.scores(images, short).items():
            assert_close(got[name][:, row], score[:, 0], msg=name)
    with_zeros = similarity.scores(images, TextSide(texts.whole, texts.words))
    assert not torch.allclose(with_zeros["image_word"], got["image_word"])


def test_attention_fusion_by_hand():
    """Two patches and one word whose cosines are .5 and .3, at tau .1: weights e^5 and e^3."""
    image = ImageSide(torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.5, 0.0], [0.3, 0.0]]]))
    text = TextSide(torch.tensor([[0.2, 0.0]]), torch.tensor([[[1.0, 0.0]]]))
    scores = Similarity(0.1).scores(image, text)
    both = (0.5 * math.exp(5) + 0.3 * math.exp(3)) / (math.exp(5) + math.exp(3))
    twice = (both + both) / 2  # over patches first, then one word; over one word first, then patches
    little = (0.1 * math.exp(1) + 0.06 * math.exp(0.6)) / (math.exp(1) + math.exp(0.6))
    want = {"image_text": 0.2, "patch_word": twice, "patch_text": little, "image_word": 1.0}
    assert {name: pytest.approx(score.item(), abs=1e-6) for name, score in scores.items()} == want
    assert Similarity(0.1)(image, text).item() == pytest.approx(sum(want.values()) / 4, abs=1e-6)


def test_the_order_of_patches_and_words_does_not_matter():
    images, texts = random_sides()
    turned = (ImageSide(images.whole, images.patches.flip(1)),
              TextSide(texts.whole, texts.words.flip(1), texts.present.flip(1)))
    assert_close(Similarity()(images, texts), Similarity()(*turned))


@pytest.mark.parametrize("chosen", [["image_text"], ["patch_text", "image_word"], list(GRANULARITIES)])
def test_the_mean_is_over_the_chosen_granularities(chosen):
    images, texts = random_sides()
    every = Similarity().scores(images, texts)
    assert_close(Similarity(granularities=chosen)(images, texts), sum(every[name] for name in chosen) / len(chosen))


def slowly(images: ImageSide, texts: TextSide, temperature: float) -> torch.Tensor:
    """The equations pair by pair."""
    def attend(scores, dim):
        return (torch.softmax(scores / temperature, dim) * scores).sum(dim)

    result = torch.empty(len(images.whole), len(texts.whole), dtype=images.whole.dtype)
    for b, n in itertools.product(range(len(images.whole)), range(len(texts.whole))):
        words = texts.words[n] if texts.present is None else texts.words[n][texts.present[n]]
        scores = images.patches[b] @ words.T
        patch_word = (attend(attend(scores, 0), 0) + attend(attend(scores, 1), 0)) / 2
        whole = images.whole[b] @ texts.whole[n]
        result[b, n] = (patch_word + whole + attend(images.patches[b] @ texts.whole[n], 0)
                        + attend(words @ images.whole[b], 0)) / 4
    return result


def without_mask(texts: TextSide, present: bool) -> TextSide:
    return texts if present else TextSide(texts.whole, texts.words)


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("temperature", [0.05, 0.01])
def test_both_ways_to_fuse_equal_the_equations_pair_by_pair(temperature, present):
    """At tau .01 these cosines span too much for one exponential, at .05 they do not."""
    images, texts = random_sides(images=5)
    texts = without_mask(texts, present)
    scores = torch.einsum("bpd,nwd->bpwn", images.patches, texts.words)
    assert (shared_means(scores, temperature) is None) == (temperature == 0.01)
    assert_close(Similarity(temperature)(images, texts), slowly(images, texts, temperature), atol=1e-6, rtol=0)


@pytest.mark.parametrize("present", [True, False])
def test_the_shared_exponential_has_the_gradient_of_two_softmaxes(present):
    images, texts = random_sides()
    texts = without_mask(texts, present)
    leaves = [images.whole.double(), images.patches.double(), texts.whole.double(), texts.words.double()]
    grads = []
    for function in (Similarity(0.05), lambda *sides: slowly(*sides, 0.05)):
        whole, patches, sentence, words = (leaf.clone().requires_grad_() for leaf in leaves)
        result = function(ImageSide(whole, patches), TextSide(sentence, words, texts.present))
        (result * torch.arange(12.0).view(3, 4)).sum().backward()
        grads.append([whole.grad, patches.grad, sentence.grad, words.grad])
    for got, want in zip(*grads, strict=True):
        assert_close(got, want, atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize("upstream", [1.0, 1e-3, 1e-6, 1e-10])
@pytest.mark.parametrize("masked", [True, False])
def test_single_precision_keeps_the_gradient_however_small_the_one_behind_it(upstream, masked):
    """At the published tau, cosines that span .3 to 1.2; against the two softmaxes in double."""
    generator = torch.Generator().manual_seed(0)
    present = torch.arange(10)[:, None] < torch.tensor([10, 3, 1, 5, 7, 2]) if masked else None
    behind = [torch.randn(4, side, 6, generator=generator) * upstream for side in (10, 15)]
    for span in (0.3, 1.2):
        scores = (torch.rand(4, 15, 10, 6, generator=generator) - 0.5) * span
        grads = []
        for leaf, function in ((scores, shared_means), (scores.double(), two_softmaxes)):
            leaf.requires_grad_()
            means = function(leaf, 0.01, present)
            torch.autograd.backward(means, [gradient.to(leaf.dtype) for gradient in behind])
            grads.append(leaf.grad.double())
        assert_close(grads[0], grads[1], atol=2e-5 * grads[1].abs().max().item(), rtol=0)


def two_softmaxes(scores: torch.Tensor, temperature: float, present: torch.Tensor | None) -> list[torch.Tensor]:
    logits = scores / temperature
    there = logits if present is None else logits.masked_fill(~present, float("-inf"))
    return [(torch.softmax(logits, 1) * scores).sum(1), (torch.softmax(there, 2) * scores).sum(2)]


def test_published_sizes_agree_with_the_formula_in_broadcasts():
    """15 patches, 10 words, width 512: the benchmark's problem, small enough for every run."""
    sides = problem(16, 32)
    assert sides[0].patches.shape == (16, PATCHES, WIDTH) and sides[1].words.shape == (32, WORDS, WIDTH)
    assert (PATCHES, WORDS, WIDTH) == (15, 10, 512) and not sides[1].present.all()
    assert_close(ours(*sides), broadcast(*sides), atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", ["plain", "mean_max", "two", "matrices"])
def test_blocks_of_all_pairs_equal_the_whole(case, monkeypatch):
    monkeypatch.setattr(blocks, "TEXTS", 3)
    monkeypatch.setattr(blocks, "BLOCK", 5 * 6 * 3 * 2)
    images, texts = random_sides(images=5)
    similarity = {"mean_max": Similarity(fusion="mean_max"), "two": Similarity(granularities=GRANULARITIES[:2]),
                  "matrices": Similarity(matrices=Matrices(8, 5, 6))}.get(case, Similarity(0.05))
    assert_close(blocks.all_pairs(similarity, images, texts), similarity(images, texts), atol=1e-6, rtol=0)
