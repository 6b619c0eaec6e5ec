"""CLIP-ReID's two stages against the authors' code."""

import json
from dataclasses import replace

import pytest
import torch
from composed import composed
from golden_files import FOLDER, FORWARD, GRADIENT, golden, tiny_clip
from torch import nn
from torch.testing import assert_close

from reanchor.clip.tokenizer import BytePairTokenizer
from reanchor.methods.clip_reid.finetune import lr_factor, optimizer_of, stage2_losses
from reanchor.methods.clip_reid.model import ReidModel, retrieval_feature
from reanchor.methods.clip_reid.prompts import PromptLearner, prompts_job, stage1_losses, stage1_lr, text_features
from reanchor.methods.clip_reid.settings import FinetuneRecipe, LossWeights, Prompts
from reanchor.methods.clip_reid.side import SideSettings
from reanchor.methods.clip_reid.texts import FixedTexts
from reanchor.training.losses import batch_hard_triplet, euclidean, identity_cross_entropy, supervised_contrastive

STAGE1 = Prompts(epochs=120, batch=64, lr=3.5e-4, warmup_epochs=5, warmup_lr=1e-5, min_lr=1e-6, weight_decay=1e-4)

PUBLISHED = FinetuneRecipe(epochs=60, optimizer="adam", lr=5e-6, bias_lr_factor=2.0, head_lr_factor=1.0,
                           weight_decay=1e-4,
                     schedule="multistep", milestones=[30, 50], warmup_epochs=10, warmup_factor=0.1)

SIE = SideSettings("camera", cameras=4, views=1, coefficient=3.0)


def learner_of(want: dict) -> tuple[PromptLearner, nn.Module]:
    text = tiny_clip().text_encoder()
    learner = PromptLearner(len(want["cls_ctx"]), 4, "A photo of a", "person.", text, BytePairTokenizer())
    learner.context.data.copy_(want["cls_ctx"])
    return learner, text


def test_prompts_and_text_features_agree():
    want = golden("B_prompt_text")
    learner, text = learner_of(want)
    prompts = learner(want["labels"].long())
    assert prompts.shape[1] == int(want["eot_index"]) + 1
    assert_close(prompts, want["prompts"][:, : prompts.shape[1]], **FORWARD)
    assert_close(text(prompts), want["text_features"], **FORWARD)
    assert_close(text_features(learner, text, batch=3), want["text_features_all"], **FORWARD)


def test_stage1_loss_and_gradient_agree():
    want = golden("B_stage1")
    learner, text = learner_of(want)
    images = tiny_clip().image_encoder()(want["images"]).projected.detach()
    assert_close(images, want["image_features"], **FORWARD)
    terms = stage1_losses(images, want["labels"].long(), learner, text)
    terms["loss"].backward()
    for name in ("i2t", "t2i", "loss"):
        assert_close(terms[name], want[name], atol=1e-5, rtol=1e-5, check_dtype=False)
    assert_close(learner.context.grad, want["g_cls_ctx"], **GRADIENT)


def test_supervised_contrastive_agrees():
    want = golden("B_supcon")
    images, texts = want["img"].clone().requires_grad_(), want["txt"].clone().requires_grad_()
    labels = want["labels"].long()
    i2t, t2i = (supervised_contrastive(a, b, labels, labels) for a, b in ((images, texts), (texts, images)))
    (i2t + t2i).backward()
    assert_close(i2t, want["i2t"], atol=1e-5, rtol=1e-5, check_dtype=False)
    assert_close(t2i, want["t2i"], atol=1e-5, rtol=1e-5, check_dtype=False)
    assert_close(images.grad, want["g_img"], **GRADIENT)
    assert_close(texts.grad, want["g_txt"], **GRADIENT)


def test_cross_entropy_and_triplet_agree():
    want = golden("B_ce_triplet")
    logits = want["logits"].clone().requires_grad_()
    ce = identity_cross_entropy(logits, want["labels"].long(), 0.1)
    ce.backward()
    assert_close(ce, want["ce_smooth"], atol=1e-5, rtol=1e-5, check_dtype=False)
    assert_close(logits.grad, want["g_logits"], **GRADIENT)
    for margin, name in ((0.3, "m03"), (None, "soft")):
        features = want["feat"].clone().requires_grad_()
        loss = batch_hard_triplet(features, want["labels4"].long(), margin)
        loss.backward()
        assert_close(loss, want[f"tri_{name}"], atol=1e-5, rtol=1e-5, check_dtype=False)
        assert_close(features.grad, want[f"g_feat_{name}"], **GRADIENT)
    unit = batch_hard_triplet(nn.functional.normalize(want["feat"], dim=1), want["labels4"].long(), 0.3)
    assert_close(unit, want["tri_m03_normfeat"], atol=1e-5, rtol=1e-5, check_dtype=False)
    assert_close(euclidean(want["feat"], want["feat"]), want["dist"], atol=1e-3, rtol=1e-4)


def stage2_model(want: dict) -> ReidModel:
    model = ReidModel(tiny_clip().image_encoder(), identities=7, side=SIE)
    model.side.table.data.copy_(want["cv_embed"])
    model.classifier.weight.data.copy_(want["classifier_w"])
    model.classifier_projected.weight.data.copy_(want["classifier_proj_w"])
    for neck, prefix in ((model.neck, "bn"), (model.neck_projected, "bnp")):
        neck.weight.data.copy_(want[f"{prefix}_w"])
        neck.running_mean.copy_(want[f"{prefix}_rm0"])
        neck.running_var.copy_(want[f"{prefix}_rv0"])
    model.neck.bias.data.copy_(want["bn_b"])
    return model


def test_stage2_losses_and_gradients_agree():
    want = golden("B_model_stage2")
    model = stage2_model(want).train()
    out_before = stage2_model(want).train()(want["image"], want["cam"].long())
    for got, name in zip([*out_before.scores, *out_before.features],
                         ["score0", "score1", "feat_last", "feat", "feat_proj"], strict=True):
        assert_close(got, want[name], **FORWARD)
    terms = stage2_losses(model, want["image"], want["target"].long(), want["cam"].long(), LossWeights(),
                          FixedTexts(want["text_features_all"]), 0.1, 0.3)
    terms["loss"].backward()
    for name, value in (("id", want["ce0"] + want["ce1"]), ("triplet", want["tri0"] + want["tri1"] + want["tri2"]),
                        ("i2tce", want["i2t_ce"]), ("loss", want["loss"])):
        assert_close(terms[name], value, atol=1e-5, rtol=0, check_dtype=False)
    for parameter, name in ((model.classifier.weight, "g_classifier"), (model.side.table, "g_cv_embed"),
                            (model.classifier_projected.weight, "g_classifier_proj"),
                            (model.encoder.visual.proj, "g_vis_proj"), (model.neck.weight, "g_bn_w"),
                            (model.encoder.visual.class_embedding, "g_class_embedding")):
        assert_close(parameter.grad, want[name], **GRADIENT)
    assert_close(model.neck.running_mean, want["bn_rm_after"], **FORWARD)
    assert_close(model.neck_projected.running_var, want["bnp_rv_after"], **FORWARD)


def test_retrieval_feature_agrees():
    want = golden("B_model_stage2")
    model = stage2_model(want).eval()
    features = model.encode(want["image"], want["cam"].long()).features
    assert_close(retrieval_feature(features), want["eval_before"], **FORWARD)
    assert_close(retrieval_feature(model.after_neck(features)), want["eval_after"], **FORWARD)
    assert_close(retrieval_feature(model.encode(want["image"], None).features), want["eval_before_nocam"], **FORWARD)


def test_baseline_is_the_same_code_without_the_text_term():
    want = golden("B_model_stage2")
    terms = stage2_losses(stage2_model(want).train(), want["image"], want["target"].long(), want["cam"].long(),
                          LossWeights(i2tce=0.0), None, 0.1, 0.3)
    assert set(terms) == {"id", "triplet", "loss"}
    assert_close(terms["loss"], want["loss"] - want["i2t_ce"], atol=1e-5, rtol=0, check_dtype=False)


def test_learning_rates_agree():
    want = golden("B_lr")
    got = [stage1_lr(STAGE1, epoch) for epoch in range(120)]
    assert_close(torch.tensor(got, dtype=torch.float64), want["stage1_vit"], atol=1e-12, rtol=0)
    got = [5e-6 * lr_factor(PUBLISHED, epoch, 0, 10) for epoch in range(60)]
    assert_close(torch.tensor(got, dtype=torch.float64), want["stage2_vit"][1:], atol=1e-12, rtol=0)


def test_parameter_groups_agree():
    groups = json.loads((FOLDER / "B_param_groups.json").read_text())["stage2"]
    published = sorted(lr for _, lr, _ in groups)
    model = ReidModel(tiny_clip().image_encoder(), identities=7, side=SIE)
    optimizer = optimizer_of(PUBLISHED, model)
    got = sorted(group["lr"] for group in optimizer.param_groups for _ in group["params"])
    assert {group["weight_decay"] for group in optimizer.param_groups} == {decay for _, _, decay in groups}
    assert got == pytest.approx(published, rel=1e-12)


@pytest.mark.parametrize("preset", [False, True])
def test_stage_1_optimises_the_published_group(preset):
    ((name, rate, decay),) = json.loads((FOLDER / "B_param_groups.json").read_text())["stage1"]
    config = composed("method=clip_reid", "train=clip_reid_vit").prompts if preset else STAGE1
    learner, text = learner_of(golden("B_prompt_text"))
    optimizer = prompts_job(config, learner, text, torch.zeros(7, 32), torch.arange(7)).optimizer
    (group,) = optimizer.param_groups
    assert name == "prompt_learner.cls_ctx" and [id(one) for one in group["params"]] == [id(learner.context)]
    assert (group["lr"], group["weight_decay"]) == (rate, decay) == (3.5e-4, 1e-4)
    assert type(optimizer) is torch.optim.Adam and (group["betas"], group["eps"]) == ((0.9, 0.999), 1e-8)


def test_the_cnn_recipe_s_learning_rates_agree():
    want = golden("B_lr")
    got = [stage1_lr(replace(STAGE1, epochs=60), epoch) for epoch in range(60)]
    assert_close(torch.tensor(got, dtype=torch.float64), want["stage1_cnn"], atol=1e-12, rtol=0)
    recipe = FinetuneRecipe(epochs=120, schedule="multistep", milestones=[40, 70], warmup_epochs=10, warmup_factor=0.01)
    got = [3.5e-4 * lr_factor(recipe, epoch, 0, 10) for epoch in range(120)]
    assert_close(torch.tensor(got, dtype=torch.float64), want["stage2_cnn"][1:], atol=1e-12, rtol=0)
