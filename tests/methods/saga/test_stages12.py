"""SAGA's own stages 1 and 2, and NFC before its fusion, against the authors' code."""

import numpy as np
import pytest
import torch
from composed import composed
from golden_files import FORWARD, GRADIENT, golden, tiny_clip
from torch.testing import assert_close

from reanchor.clip.tokenizer import BytePairTokenizer
from reanchor.errors import ReanchorError
from reanchor.formats.labels import Labels
from reanchor.methods.clip_reid.finetune import lr_factor, stage2_losses
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.prompts import PromptLearner, prompts_job, stage1_losses, stage1_lr
from reanchor.methods.clip_reid.settings import FinetuneRecipe, LossWeights, Prompts
from reanchor.methods.clip_reid.texts import FixedTexts
from reanchor.methods.saga.features import concat, fuse
from reanchor.retrieval.extras import centralise_parts
from reanchor.retrieval.nfc import centralise

STAGE1 = Prompts(context=8, zero_slots=8, before="", after="person.", schedule="saga", epochs=100, batch=64, lr=3.5e-4,
                 warmup_lr=1e-5, min_lr=1e-6, warmup_epochs=5, weight_decay=1e-4)
STAGE2 = FinetuneRecipe(epochs=80, optimizer="adam", lr=5e-6, schedule="multistep", milestones=[40, 70],
                        warmup_epochs=0,
                  warmup_steps=10, warmup_factor=0.1, heads="cls", neck_bias=True)


def learner_of(context):
    text = tiny_clip().text_encoder()
    learner = PromptLearner(len(context), 8, "", "person.", text, BytePairTokenizer(), zeros=8)
    learner.context.data.copy_(context)
    return learner, text


def test_identity_prompts_have_zeros_behind_their_context():
    want = golden("E_saga_prompts")
    learner, text = learner_of(want["ctx_generic"])
    prompts = learner(want["labels"].long())
    assert_close(prompts, want["prompts"][:, :prompts.shape[1]], **FORWARD)
    assert not prompts[:, 9:17].any() and prompts[:, 17:].any(-1).all()
    assert_close(learner.encode(want["labels"].long(), text), want["text_features"], **FORWARD)


def test_two_steps_of_stage_1_agree():
    want = golden("E_saga_stage12")
    learner, text = learner_of(want["ctx_init"])
    labels = want["pids"].long()
    terms = stage1_losses(want["image_features"], labels, learner, text)
    assert_close(terms["loss"], want["stage1_loss0"], atol=1e-5, rtol=1e-5, check_dtype=False)
    terms["loss"].backward()
    assert_close(learner.context.grad, want["g_ctx0"], **GRADIENT)
    job = prompts_job(STAGE1, learner, text, want["image_features"], labels)
    for epoch, rate in enumerate(want["lrs"].tolist()):
        job.optimizer.param_groups[0]["lr"] = STAGE1.lr * job.lr_factor(epoch, 0, 1)
        assert job.optimizer.param_groups[0]["lr"] == pytest.approx(rate, abs=1e-12)
        job.optimizer.zero_grad()
        (batch,) = job.batches(epoch)
        job.losses(batch, torch.Generator())["loss"].backward()
        job.optimizer.step()
    assert_close(learner.context.data, want["ctx_after"], atol=1e-5, rtol=0)


def test_the_rates_of_both_stages_agree():
    want = golden("E_saga_lr")
    got = [stage1_lr(STAGE1, epoch) for epoch in range(100)]
    np.testing.assert_allclose(got, want["stage1_formula"], rtol=0, atol=1e-12)
    got = [STAGE2.lr * lr_factor(STAGE2, *divmod(iteration, 7), 7) for iteration in range(560)]
    np.testing.assert_allclose(got, want["stage2_iter"], rtol=0, atol=1e-12)


def test_stage_2_agrees():
    want = golden("E_saga_stage12")
    model = ReidModel(tiny_clip().image_encoder(), 6).train()
    model.classifier.weight.data.copy_(want["s2_classifier"])
    model.neck.bias.requires_grad_(True)
    out = model(want["s2_images"])
    for got, name in zip((out.scores[0], *out.features[1:]), ("s2_score", "s2_feat", "s2_proj"), strict=True):
        assert_close(got, want[name], **FORWARD)
    terms = stage2_losses(model, want["s2_images"], want["s2_target"].long(), None, LossWeights(),
                          FixedTexts(want["s2_text_all"]), 0.1, 0.3, early_triplet=True, heads="cls")
    assert_close(terms["loss"], want["s2_loss"], atol=1e-5, rtol=1e-5, check_dtype=False)
    model.zero_grad()
    terms["loss"].backward()
    for parameter, name in ((model.classifier.weight, "g_classifier"), (model.neck.bias, "g_bn_bias"),
                            (model.encoder.visual.proj, "g_vis_proj")):
        assert_close(parameter.grad, want[name], **GRADIENT)
    assert model.classifier_projected.weight.grad is None


def test_the_preset_has_both_stages():
    params = composed("train=saga_market1501", "backbone=openai_vit_b16")
    for name in ("context", "zero_slots", "before", "after", "schedule", "epochs", "batch", "lr", "warmup_lr", "min_lr",
                 "warmup_epochs", "weight_decay"):
        assert getattr(params.prompts, name) == getattr(STAGE1, name), name
    for name in ("epochs", "optimizer", "lr", "schedule", "milestones", "warmup_epochs", "warmup_steps",
                 "warmup_factor", "heads", "neck_bias"):
        assert getattr(params.finetune.recipe, name) == getattr(STAGE2, name), name
    assert params.finetune.recipe.sie_coefficient == 3.0


@pytest.mark.parametrize("wrong", [["finetune.recipe.schedule=cosine"], ["finetune.recipe.warmup_epochs=1"]])
def test_a_warm_up_is_of_steps_or_of_epochs(wrong):
    with pytest.raises(ReanchorError, match=r"finetune\.recipe\.warmup_steps: got 10 with schedule"):
        composed("train=saga_market1501", "backbone=openai_vit_b16", *wrong)


def test_nfc_before_the_fusion_agrees():
    want, queries = golden("E_saga_fusion"), int(golden("E_saga_fusion")["num_query"])
    raw, widths = want["raw"], (64, 64, 32)
    parts = [part / part.norm(dim=1, keepdim=True) for part in raw.split(widths, dim=1)]
    features = {"fusion": (fuse(parts, [2.0, 0.2, 0.05]), widths), "concat": (concat(list(raw.split(widths, 1))), ()),
                "refined": (parts[0], ()), "imgfeat": (parts[1], ()), "proj": (parts[2], ())}
    labels = Labels(want["pids"].numpy(), want["cams"].numpy())
    for name, (feature, own) in features.items():
        query, gallery = (centralise_parts(side.numpy(), own, 2, 2, 2**20) for side in feature.split(
            [queries, len(feature) - queries]))
        if name == "fusion":
            distance = ((query[:, None] - gallery[None]) ** 2).sum(-1)
            np.testing.assert_allclose(distance, want["nfc_fusion_dist"], atol=1e-5, rtol=1e-4)
            whole = centralise(feature[:queries].numpy(), 2, 2, 2**20)
            assert np.abs(whole - query).max() > 1e-3  # the order matters
        worst, best = (mean_ap(query, gallery, labels, favour) for favour in (1e-5, -1e-5))
        assert worst <= 100 * float(want[f"nfc_{name}_mAP"]) <= best < worst + 2, name


def mean_ap(query, gallery, labels, favour: float) -> float:
    """mAP with matches `favour` farther: two mutual neighbours become one feature, such ties fall by rounding."""
    (pids, camids), found = zip(*((labels.pids[part], labels.camids[part]) for part in (
        slice(0, len(query)), slice(len(query), None))), strict=True), []
    for row, feature in enumerate(query):
        kept = (pids[1] != pids[0][row]) | (camids[1] != camids[0][row])
        match = pids[1][kept] == pids[0][row]
        match = match[np.argsort(((feature - gallery[kept]) ** 2).sum(1) + favour * match, kind="stable")]
        if match.any():
            found.append((np.cumsum(match) / np.arange(1, len(match) + 1))[match].mean())
    return 100 * float(np.mean(found))
