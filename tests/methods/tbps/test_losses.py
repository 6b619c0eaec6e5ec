"""TBPS-CLIP's terms, rates and weight decay against the authors' numbers; MixGen by hand."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_files import FOLDER, GRADIENT, golden, tiny_clip
from torch import nn

from reanchor.methods.tbps.batch import mix_pairs
from reanchor.methods.tbps.job import text_losses
from reanchor.methods.tbps.losses import (
    alpha_at,
    clamped_scale,
    cyclic_itc,
    normalised_itc,
    reversed_itc,
    simclr,
)
from reanchor.methods.tbps.model import TbpsModel, decays, parameter_groups
from reanchor.methods.tbps.settings import TbpsRecipe, TbpsTerms
from reanchor.text.losses import same_identity, similarity_distribution_matching
from reanchor.text.towers import DualEncoder
from reanchor.text.words import clean_sentence, delete_words
from reanchor.training.schedule import warmup_linear_cosine

LOSS = {"atol": 1e-5, "rtol": 0}
TAGS = {"a0.5": (0.5, 1 / 0.07), "a0.0": (0.0, 1 / 0.07), "a0.3_clamped": (0.3, 150.0)}
VIEWS = {"image": "image", "second": "aug1", "simclr_1": "aug_ss_1", "simclr_2": "aug_ss_2", "text": "text"}
FULL = TbpsTerms(nitc=1.0, ritc=1.0, citc=0.1, ss=0.4, multi_view=True)


class Heads(nn.Module):
    """What the terms ask of a model, with the golden weights: temperature, MLP and classifier."""

    def __init__(self, scale: float, weights: dict):
        super().__init__()
        self.towers = nn.Module()
        self.towers.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.simclr_mlp = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 16))
        self.classifier = nn.Linear(16, 5)
        for name in ("simclr_mlp", "classifier"):
            part = getattr(self, name)
            part.load_state_dict({key.removeprefix(f"w:{name}."): value for key, value in weights.items()
                                  if key.startswith(f"w:{name}.")})


@pytest.mark.parametrize("tag", TAGS)
def test_terms_and_gradients_are_the_authors(tag):
    values, (alpha, scale) = golden("G_tbps_losses"), TAGS[tag]
    model = Heads(scale, values)
    features = {name: values[key].clone().requires_grad_() for name, key in VIEWS.items()}
    terms = text_losses(model, features, values["id"], FULL, TbpsRecipe(), alpha)
    for name in ("nitc", "ritc", "citc", "ss"):
        torch.testing.assert_close(getattr(FULL, name) * terms[name], values[f"{tag}/{name}_loss"], **LOSS)
    torch.testing.assert_close(terms["loss"], values[f"{tag}/total"], **LOSS)
    terms["loss"].backward()
    for name in ("image", "second", "simclr_1", "text"):
        torch.testing.assert_close(features[name].grad, values[f"{tag}/g_{VIEWS[name]}"], **GRADIENT)
    torch.testing.assert_close(model.towers.log_scale.grad, values[f"{tag}/g_logit_scale"], **GRADIENT)


def test_the_simplified_model_contrasts_one_view():
    values = golden("G_tbps_losses")
    features = {name: values[name] for name in ("image", "text")}
    terms = text_losses(Heads(1 / 0.07, values), features, values["id"], TbpsTerms(nitc=1.0, ritc=1.0), TbpsRecipe(),
                        0.5)
    assert set(terms) == {"nitc", "ritc", "loss"}
    for name in ("nitc", "ritc"):
        torch.testing.assert_close(terms[name], values[f"simplified/{name}_loss"], **LOSS)


def test_identity_loss_and_identity_targets_are_the_authors():
    values = golden("G_tbps_losses")
    features = {name: values[name] for name in ("image", "text")}
    terms = text_losses(Heads(1 / 0.07, values), features, values["id"], TbpsTerms(id=1.0), TbpsRecipe(), 0.0)
    torch.testing.assert_close(terms["id"], values["id/id_loss"], **LOSS)
    torch.testing.assert_close(same_identity(values["id"]), values["sim_targets"], atol=1e-6, rtol=0)


def test_rates_and_soft_labels_are_the_authors_step_by_step():
    values = golden("G_tbps_schedule")
    rates = [warmup_linear_cosine(step, 20, 100, 1e-4, 1e-6, 5e-6) for step in range(100)]
    np.testing.assert_allclose(rates, values["lr"].numpy(), atol=1e-12, rtol=0)
    alphas = [alpha_at(step // 20, step % 20, 20, 0.5) for step in range(100)]
    np.testing.assert_allclose(alphas, values["alpha"].numpy(), atol=1e-12, rtol=0)


def test_a_schedule_without_warm_up_begins_at_the_top():
    assert warmup_linear_cosine(0, 0, 10, 1.0, 0.1, 0.0) == 1.0
    assert warmup_linear_cosine(0, 1, 10, 1.0, 0.1, 0.0) == 1.0


def test_weight_decay_spares_what_the_authors_spare():
    told = json.loads((FOLDER / "G_param_groups.json").read_text())
    for group in told["groups"]:
        parameter = torch.empty(group["shape"], device="meta")
        assert (0.02 if decays(group["name"], parameter) else 0.0) == group["weight_decay"], group["name"]
        assert group["lr_ratio"] == 1.0
    # our names for the same weights
    model = TbpsModel(DualEncoder(tiny_clip()), FULL, 5)
    theirs = {group["name"].removeprefix("encode_text."): group["weight_decay"] > 0 for group in told["groups"]}
    theirs["log_scale"] = theirs.pop("logit_scale")
    for name, parameter in model.named_parameters():
        short = name.removeprefix("towers.").removeprefix("text.").removeprefix("image.")
        assert decays(name, parameter) == theirs[short], name


def test_the_optimiser_is_given_every_trained_weight_once():
    model = TbpsModel(DualEncoder(tiny_clip()), TbpsTerms(nitc=1.0, lock=True, dropout=0.05), 5)
    decayed, rest = parameter_groups(model, 0.02)
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.02, 0.0)
    given = [id(p) for p in decayed["params"] + rest["params"]]
    assert len(given) == len(set(given)) == len(list(model.parameters())) - 1
    assert id(model.towers.image.visual.conv1.weight) not in given  # the patch embedding is locked
    assert {block.attn.dropout for block in model.towers.text.transformer.resblocks} == {0.05}


@pytest.mark.parametrize("bf16", [False, True])
def test_terms_leave_autocast(bf16):
    values = golden("G_tbps_losses")
    features = {name: values[key] for name, key in VIEWS.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        terms = [normalised_itc(features["image"], features["text"], values["id"], torch.tensor(14.0), 0.5),
                 reversed_itc(features["image"], features["text"], values["id"], torch.tensor(14.0)),
                 cyclic_itc(features["image"], features["text"]),
                 similarity_distribution_matching(features["image"], features["text"], values["id"]),
                 simclr(features["simclr_1"], features["simclr_2"])]
    assert all(term.dtype == torch.float32 for term in terms)


def test_simclr_by_a_slow_reference():
    first, second = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    both = F.normalize(torch.cat([first, second]), dim=1)
    losses = []
    for row in range(10):
        others = torch.stack([both[row] @ both[other] / 0.1 for other in range(10) if other != row])
        losses.append(torch.logsumexp(others, 0) - both[row] @ both[(row + 5) % 10] / 0.1)
    torch.testing.assert_close(simclr(first, second, 0.1), torch.stack(losses).mean())


@pytest.mark.parametrize(("scale", "forward"), [(50.0, 50.0), (150.0, 100.0)])
def test_the_scale_is_clamped_forward_only(scale, forward):
    log_scale = torch.tensor(math.log(scale), requires_grad=True)
    value = clamped_scale(log_scale)
    value.backward()
    assert value.item() == pytest.approx(forward, rel=1e-6) and log_scale.grad.item() == pytest.approx(scale, rel=1e-5)


def test_text_augmentation_is_the_authors():
    import random

    told = json.loads((FOLDER / "G_text_aug.json").read_text())
    for text, probability, wanted in told["random_deletion_seed5"]:
        wanted = wanted if isinstance(wanted, str) else " ".join(wanted)  # theirs makes a list of one word
        assert delete_words(text, probability, random.Random(5)) == wanted
    for text, wanted in told["pre_caption"]:
        assert clean_sentence(text) == wanted


def test_mixgen_means_images_and_joins_sentences():
    images = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 2, 2)
    mixed, texts = mix_pairs(images, list("abcde"), 0.4)
    assert mixed[:, 0, 0, 0].tolist() == [1.0, 2.0, 2.0, 3.0, 4.0] and texts == ["a c", "b d", "c", "d", "e"]
    assert images[0, 0, 0, 0] == 0  # not in place
