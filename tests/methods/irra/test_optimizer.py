"""IRRA's Adam: rates and decay by name, the schedule by hand, one step by its formula."""

import math

import pytest
import torch
from irra_model import published, tiny_model

from reanchor.methods.irra.optimizer import lr_factor, make_optimizer, parameter_groups, rate_and_decay

# our name -> (factor on the rate, weight decay), as the authors' rules give it for their name of the same weight
WANTED = {
    "towers.image.visual.conv1.weight": (1, 4e-5),
    "towers.image.visual.positional_embedding": (1, 4e-5),
    "towers.image.visual.ln_pre.weight": (1, 4e-5),
    "towers.image.visual.ln_pre.bias": (2, 0),
    "towers.image.visual.proj": (1, 4e-5),
    "towers.text.token_embedding.weight": (1, 4e-5),
    "towers.text.transformer.resblocks.0.attn.in_proj_weight": (1, 4e-5),
    "towers.text.transformer.resblocks.0.attn.in_proj_bias": (2, 0),
    "towers.text.transformer.resblocks.0.mlp.c_fc.bias": (2, 0),
    "towers.text.text_projection": (1, 4e-5),
    "masked_words.norm_words.weight": (1, 4e-5),  # ln_pre_t: no "cross" in its name
    "masked_words.norm_image.bias": (2, 0),
    "masked_words.norm.weight": (1, 4e-5),
    "masked_words.cross.in_proj_weight": (5, 4e-5),
    "masked_words.cross.in_proj_bias": (2, 0),  # "bias" is asked after "cross"
    "masked_words.cross.out_proj.bias": (2, 0),
    "masked_words.blocks.3.ln_1.weight": (5, 4e-5),
    "masked_words.blocks.3.mlp.c_proj.weight": (5, 4e-5),
    "masked_words.blocks.3.mlp.c_proj.bias": (2, 0),
    "masked_words.head.0.weight": (5, 4e-5),
    "masked_words.head.0.bias": (5, 0),  # and "mlm_head" after "bias"
    "masked_words.head.2.weight": (5, 4e-5),
    "masked_words.head.3.bias": (5, 0),
    "classifier.weight": (5, 4e-5),
    "classifier.bias": (5, 0),
}


@pytest.mark.parametrize("name", WANTED)
def test_rates_and_decay_by_name(name):
    assert name in dict(tiny_model(published()).named_parameters())
    assert rate_and_decay(name, published()) == WANTED[name]


def test_every_trained_weight_is_in_one_group_and_the_plain_one_comes_first():
    model = tiny_model(published())
    groups = parameter_groups(model, published())
    given = [id(parameter) for group in groups for parameter in group["params"]]
    wanted = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert len(given) == len(wanted) and set(given) == wanted
    kinds = [(round(group["lr"], 12), group["weight_decay"]) for group in groups]
    assert kinds[0] == (1e-5, 4e-5) and sorted(kinds) == [(1e-5, 4e-5), (2e-5, 0.0), (5e-5, 0.0), (5e-5, 4e-5)]
    halved = {round(group["lr"], 12) for group in parameter_groups(model, published(lr=2e-5, new_lr_factor=3.0,
                                                                              bias_lr_factor=1.5))}
    assert halved == {2e-5, 3e-5, 6e-5}


def test_the_first_step_is_adams_with_a_large_epsilon():
    """m = g and v = g^2 after correction: lr * g / (|g| + 1e-3), with the decay inside g."""
    model = tiny_model(published(lr=0.1))
    optimizer = make_optimizer(model, published(lr=0.1))
    assert isinstance(optimizer, torch.optim.Adam) and not isinstance(optimizer, torch.optim.AdamW)
    weight, bias = model.towers.image.visual.ln_pre.weight, model.towers.image.visual.ln_pre.bias
    before = [weight.detach().clone(), bias.detach().clone()]
    weight.grad, bias.grad = torch.full_like(weight, 1e-3), torch.full_like(bias, -1e-4)
    optimizer.step()
    pull = 1e-3 + 4e-5 * before[0]
    torch.testing.assert_close(weight, before[0] - 0.1 * pull / (pull + 1e-3), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(bias, before[1] + 0.2 * 1e-4 / (1e-4 + 1e-3), atol=1e-6, rtol=1e-5)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.9, 0.999)}


@pytest.mark.parametrize(("epoch", "factor"), [
    (0, 0.1), (1, 0.28), (2, 0.46), (4, 0.82),  # a fifth of .9 an epoch
    (5, 1.0), (16, 0.5 * (1 + math.cos(math.pi / 5))), (32, 0.5 * (1 + math.cos(math.pi * 27 / 55))),
    (59, 0.5 * (1 + math.cos(math.pi * 54 / 55)))])
def test_the_rate_of_an_epoch(epoch, factor):
    rate = lr_factor(published())
    assert rate(epoch, 0, 100) == pytest.approx(factor, rel=1e-9)
    assert rate(epoch, 99, 100) == rate(epoch, 0, 100)  # constant within it


def test_the_first_rates_are_those_the_paper_tells():
    assert [1e-5 * lr_factor(published())(epoch, 0, 1) for epoch in (0, 5)] == pytest.approx([1e-6, 1e-5])
    assert lr_factor(published(warmup_epochs=0, epochs=2))(0, 0, 1) == 1.0
    assert lr_factor(published(warmup_epochs=0, epochs=2))(1, 0, 1) == pytest.approx(0.5)
