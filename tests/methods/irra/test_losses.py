"""IRRA's three terms against slow references, and how they add up."""

import dataclasses
import math

import pytest
import torch
from irra_model import batch_of, tiny_model, worded_clip
from torch import Generator

from reanchor.methods.irra.job import irra_losses
from reanchor.methods.irra.optimizer import make_optimizer
from reanchor.methods.irra.settings import Irra
from reanchor.text.losses import similarity_distribution_matching


def cosine(one, other) -> float:
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in other))


def slow_sdm(images, texts, labels, temperature=0.02, eps=1e-8) -> float:
    """The paper's equations 1 to 4, number by number in double precision."""
    total, count = 0.0, len(labels)
    for rows, columns in ((images, texts), (texts, images)):
        for i in range(count):
            powers = [math.exp(cosine(rows[i], columns[j]) / temperature) for j in range(count)]
            same = [labels[i] == labels[j] for j in range(count)]
            for j in range(count):
                p, q = powers[j] / sum(powers), same[j] / sum(same)
                total += p * math.log(p / (q + eps)) / count
    return total


@pytest.mark.parametrize(("labels", "temperature"), [([0, 1, 2, 3], 0.02), ([0, 0, 1, 0], 0.02), ([5, 5, 5, 5], 0.5),
                                                     ([1, 2, 2, 1], 0.1)])
def test_sdm_is_the_papers_sum(labels, temperature):
    images, texts = torch.randn(2, 4, 6, generator=Generator().manual_seed(len(set(labels))))
    found = similarity_distribution_matching(images, texts, torch.tensor(labels), temperature).item()
    assert found == pytest.approx(slow_sdm(images.tolist(), texts.tolist(), labels, temperature), rel=1e-4, abs=1e-5)


def test_sdm_of_perfect_pairs_is_nothing_and_of_swapped_ones_is_heavy():
    unit, labels = torch.eye(3), torch.arange(3)
    assert similarity_distribution_matching(unit, unit, labels).item() == pytest.approx(0.0, abs=1e-6)
    wrong = similarity_distribution_matching(unit, unit[[1, 2, 0]], labels).item()
    assert wrong == pytest.approx(-2 * math.log(1e-8), rel=1e-4)  # nearly all of p where q is 0


@pytest.mark.parametrize("sentence", ["whole", "masked"])
def test_the_terms_are_those_of_the_features(sentence):
    config = Irra(sentence=sentence, sdm=1.0, id=0.7, mlm=0.3)
    model, batch = tiny_model(config), batch_of()
    with torch.no_grad():
        terms, features = irra_losses(model, batch, config), model.encode(batch)
    assert list(terms) == ["sdm", "id", "mlm", "loss"]
    images, texts, labels = features["image"], features["text"], batch["labels"].tolist()
    assert terms["sdm"].item() == pytest.approx(slow_sdm(images.tolist(), texts.tolist(), labels), rel=1e-3)
    wanted = []
    for side in (images, texts):  # one classifier, features of any length
        logits = side @ model.classifier.weight.T + model.classifier.bias
        wanted += [(row.exp().sum().log() - row[label]).item() for row, label in zip(logits, labels, strict=True)]
    assert terms["id"].item() == pytest.approx(sum(wanted) / len(wanted), rel=1e-5)
    assert features["words"].tolist() == [2, 1, 0, 1]
    assert terms["mlm"].item() == pytest.approx(features["mlm"].sum().item() / 4, rel=1e-5)  # of words, not sentences
    assert terms["loss"].item() == pytest.approx(sum(getattr(config, name) * terms[name].item()
                                                     for name in ("sdm", "id", "mlm")), rel=1e-5)


def test_masked_words_are_judged_where_they_are_asked_for_alone():
    config = Irra()
    model, batch = tiny_model(config), batch_of()
    with torch.no_grad():
        model.masked_words.head[3].weight.zero_()
        model.masked_words.head[3].bias.zero_()
        even = irra_losses(model, batch, config)["mlm"].item()
        assert even == pytest.approx(math.log(model.masked_words.head[3].out_features), rel=1e-5)
        asked = batch["targets"][batch["targets"] >= 0]
        model.masked_words.head[3].bias[asked] = 20.0  # sure of one of the four words that are asked for
        assert irra_losses(model, batch, config)["mlm"].item() == pytest.approx(math.log(4), abs=1e-3)


@pytest.mark.parametrize(("off", "left"), [("sdm", ["id", "mlm"]), ("id", ["sdm", "mlm"]), ("mlm", ["sdm", "id"])])
def test_a_term_without_weight_costs_nothing(off, left):
    config = dataclasses.replace(Irra(), **{off: 0.0})
    model = tiny_model(config)
    assert (model.classifier is None, model.masked_words is None) == (off == "id", off == "mlm")
    assert list(irra_losses(model, batch_of(), config)) == [*left, "loss"]


@pytest.mark.parametrize("sentence", ["whole", "masked"])
def test_four_pairs_are_learned_by_heart(sentence):
    config = Irra(lr=3e-4, new_lr_factor=5.0, sentence=sentence)
    model, batch = tiny_model(config).train(), batch_of()
    optimizer, first = make_optimizer(model, config), None
    for _ in range(30):
        terms = irra_losses(model, batch, config)
        first = first or {name: value.item() for name, value in terms.items()}
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    shares = {name: terms[name].item() / first[name] for name in first}
    assert shares["sdm"] < 0.1 and shares["id"] < 0.5 and shares["mlm"] < 0.75 and shares["loss"] < 0.4
    assert model.towers.log_scale.item() == worded_clip().network.logit_scale.item()  # not IRRA's temperature
