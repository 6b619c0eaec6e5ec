"""SAGA's anchors, aggregation, losses and rates against the authors' code."""

import json

import pytest
import torch
from golden_files import FOLDER, FORWARD, GRADIENT, golden, tiny_clip
from torch import nn
from torch.testing import assert_close

from reanchor.clip.tokenizer import BytePairTokenizer
from reanchor.config.sections import Saga
from reanchor.evaluation.ranking import Labels, rank_features
from reanchor.saga.anchors import DomainAnchors, FreeAnchors, TextAnchors, phrase_context
from reanchor.saga.head import RefineBlock, SagaHead, fuse
from reanchor.saga.train import stage3_losses
from reanchor.training.schedule import warmup_then

NAMES = {"text_anchor.ctx_main": "anchors.learnable", "text_anchor.ctx_parts": "anchors.parts",
         "text_anchor.proj.weight": "anchors.projection.weight", "domain_anchor.anchor_gen": "domain.generate",
         "refine.layers": "refine", "bn.": "neck."}


def load(head: SagaHead, want: dict) -> SagaHead:
    state = head.state_dict()
    for key, value in want.items():
        if not key.startswith("w:") or "token_prefix" in key or "token_suffix" in key:
            continue
        name = key.removeprefix("w:")
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours) if name.startswith(theirs) else name
        if name in state:
            state[name] = value
    head.load_state_dict(state)
    return head


def main_head(want: dict) -> tuple[SagaHead, nn.Module]:
    text = tiny_clip().text_encoder()
    anchors = TextAnchors(5, 16, 12, 64, 32, text, BytePairTokenizer())
    return load(SagaHead(anchors, DomainAnchors(3, 64), 2, 8, 64, 6, 4), want), text


def test_aggregation_agrees():
    want = golden("E_saga_main")
    head, text = main_head(want)
    head.eval()
    tokens = tiny_clip().image_encoder()(want["image"], taps=(1,)).taps[1][:, 1:]
    assert_close(tokens, want["tokens"], **FORWARD)
    anchors = head.anchors(text)
    assert_close(anchors, want["text_anchors"], **FORWARD)
    assert_close(head.domain(tokens), want["domain_anchors"], **FORWARD)
    out = head(tokens, anchors)
    assert_close(out.token_weights, want["token_weights"], **FORWARD)
    assert_close(out.feature, want["feat"], **FORWARD)
    assert_close(torch.stack(out.scores, 0 if want["logits"].shape[0] == 4 else 1), want["logits"], **FORWARD)


@pytest.mark.parametrize("variant", ["free", "nodom"])
def test_variants_agree(variant):
    want, other = golden("E_saga_main"), golden("E_saga_variants")
    text = tiny_clip().text_encoder()
    anchors = FreeAnchors(5, 64) if variant == "free" else TextAnchors(5, 16, 12, 64, 32, text, BytePairTokenizer())
    domain = None if variant == "nodom" else DomainAnchors(3, 64)
    head = load(SagaHead(anchors, domain, 2, 8, 64, 6, 4), want).eval()
    if variant == "free":
        anchors.anchors.data.copy_(other["free/w:text_anchor.anchors"])
    feature, _ = head.aggregate(other[f"{variant}/tokens"], head.anchors(text))
    assert_close(feature, other[f"{variant}/feat"], **FORWARD)


def test_stage3_losses_and_gradients_agree():
    want, main = golden("E_saga_losses"), golden("E_saga_main")
    head, text = main_head(main)
    for module in head.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    for block in head.refine:
        block.attn.dropout = 0.0
    head.train()
    out = head(main["tokens"], head.anchors(text))
    terms = stage3_losses(out, want["target"].long(), head, Saga(classifiers=4))
    terms["loss"].backward()
    for name, theirs, weight in (("id", "xent", 1), ("triplet", "tri", 1), ("anchor_diversity", "ldiv", 0.05),
                                 ("classifier_diversity", "lclsdiv", 0.5), ("loss", "total", 1)):
        assert_close(weight * terms[name], want[theirs], atol=1e-5, rtol=1e-5, check_dtype=False)
    for parameter, name in ((head.neck.weight, "bn.weight"), (head.anchors.learnable, "text_anchor.ctx_main"),
                            (head.anchors.projection.weight, "text_anchor.proj.weight"),
                            (head.classifiers[0].weight, "classifiers.0.weight"),
                            (head.refine[1].norm_kv.weight, "refine.layers.1.norm_kv.weight"),
                            (head.domain.generate[0].bias, "domain_anchor.anchor_gen.0.bias")):
        assert_close(parameter.grad, want[f"g:{name}"], **GRADIENT)


def test_phrase_context_agrees():
    want, text = golden("E_saga_prompts"), tiny_clip().text_encoder()
    for slots in (4, 12):
        assert_close(phrase_context(26, slots, text, BytePairTokenizer()), want[f"init_n{slots}_K26"], **FORWARD)


def test_refinement_starts_from_the_clip_block():
    block, mapping = RefineBlock(64, 8), json.loads((FOLDER / "E_saga_init_map.json").read_text())
    source = tiny_clip().image_encoder().visual.transformer.resblocks[0]
    block.start_from(source)
    theirs = source.state_dict()
    for ours, names in next(iter(mapping.values())).items():
        assert_close(block.state_dict()[ours], theirs[names[0]])


def test_rates_agree():
    want = golden("E_saga_lr")
    phases = (("s3a", 3.5e-4, 20, 1.0), ("s3b_min05", 2e-4, 80, 0.5), ("s3b_min001", 2e-4, 80, 0.01))
    for name, base, epochs, ratio in phases:
        got = [base * warmup_then(epoch, 5, epochs, ratio) for epoch in range(epochs)]
        assert_close(torch.tensor(got, dtype=torch.float64), want[name].double(), atol=1e-12, rtol=0)


def test_fusion_agrees():
    want = golden("E_saga_fusion")
    parts = list(want["raw"].split([64, 64, 32], dim=1))
    queries = int(want["num_query"])
    feature = fuse(parts, [2.0, 0.2, 0.05])
    got = (feature[:queries, None] - feature[None, queries:]).square().sum(-1)
    assert_close(got, want["fusion_dist"], atol=1e-5, rtol=1e-4, check_dtype=False)
    labels = Labels(want["pids"].numpy(), want["cams"].numpy())
    ranking = rank_features(feature[:queries].numpy(), feature[queries:].numpy(), labels[slice(0, queries)],
                            labels[slice(queries, None)])
    assert ranking.metrics()["mAP"] == pytest.approx(100 * float(want["fusion_mAP"]), abs=1e-4)
