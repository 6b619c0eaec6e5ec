"""SAGA's anchors, aggregation, losses and rates against the authors' code."""

import json

import pytest
import torch
from golden_files import FOLDER, FORWARD, GRADIENT, golden, tiny_clip
from torch import nn
from torch.testing import assert_close

from reanchor.clip.tokenizer import BytePairTokenizer
from reanchor.formats.labels import Labels
from reanchor.methods.saga.anchors import FreeAnchors, TextAnchors, phrase_context
from reanchor.methods.saga.batch import TokenBatch, starting_blocks, tapped_blocks, token_batch
from reanchor.methods.saga.domain import make_domain
from reanchor.methods.saga.features import concat, fuse, orthogonal, side_by_side
from reanchor.methods.saga.head import SagaHead, anchor_shares
from reanchor.methods.saga.losses import anchor_triplet, stage3_losses
from reanchor.methods.saga.refine import RefineBlock
from reanchor.methods.saga.settings import Saga
from reanchor.methods.saga.train import head_groups
from reanchor.retrieval.ranking import rank_features
from reanchor.training.schedule import warmup_then

NAMES = {"text_anchor.ctx_main": "anchors.learnable", "text_anchor.ctx_parts": "anchors.parts",
         "text_anchor.proj.weight": "anchors.projection.weight", "text_anchor.anchors": "anchors.anchors",
         "domain_anchor.anchor_gen": "domain.generate", "domain_anchor.cam_embed.weight": "domain.cameras",
         "domain_anchor.": "domain.", "refine.layers": "refine.0", "refine.0.layers": "refine.0",
         "refine.1.layers": "refine.1", "bn.": "neck."}


def load(head: SagaHead, want: dict) -> SagaHead:
    state = head.state_dict()
    for key, value in want.items():
        if not key.startswith("w:") or "token_prefix" in key or "token_suffix" in key:
            continue
        name = key.removeprefix("w:")
        theirs = next((theirs for theirs in NAMES if name.startswith(theirs)), "")
        name = NAMES[theirs] + name.removeprefix(theirs) if theirs else name
        if name in state:
            state[name] = value
    head.load_state_dict(state)
    return head


def main_head(want: dict) -> tuple[SagaHead, nn.Module]:
    text = tiny_clip().text_encoder()
    anchors = TextAnchors(5, 16, 12, 64, 32, text, BytePairTokenizer())
    return load(SagaHead(anchors, domain("mlp"), 2, 8, 64, 6, 4), want), text


def domain(kind: str) -> nn.Module | None:
    return make_domain(kind, 3, 64, 32, 8, 4)


def test_aggregation_agrees():
    want = golden("E_saga_main")
    head, text = main_head(want)
    head.eval()
    tokens = tiny_clip().image_encoder()(want["image"], taps=(1,)).taps[1][:, 1:]
    assert_close(tokens, want["tokens"], **FORWARD)
    anchors = head.anchors(text)
    assert_close(anchors, want["text_anchors"], **FORWARD)
    assert_close(head.domain(TokenBatch(tokens), anchors), want["domain_anchors"], **FORWARD)
    out = head(TokenBatch(tokens), anchors)
    assert_close(out.refined[0], want["refined"], **FORWARD)
    assert_close(out.attention[0], want["attn"][..., :5], **FORWARD)
    assert_close(out.token_weights, want["token_weights"], **FORWARD)
    assert_close(out.feature, want["feat"], **FORWARD)
    assert_close(torch.stack(out.scores, 0 if want["logits"].shape[0] == 4 else 1), want["logits"], **FORWARD)


def variant_of_main(variant: str, **settings) -> tuple[SagaHead, dict]:
    """The head of E_saga_main with what the variant has of its own."""
    text, want = tiny_clip().text_encoder(), golden("E_saga_variants")
    own = {key.removeprefix(f"{variant}/"): value for key, value in want.items() if key.startswith(f"{variant}/")}
    frozen = own["w:text_anchor.ctx_parts"].shape[1] if "w:text_anchor.ctx_parts" in own else 12
    anchors = FreeAnchors(5, 64) if variant == "free" else TextAnchors(5, 16, frozen, 64, 32, text, BytePairTokenizer())
    kind = {"cam": "cam", "clipdom": "clip", "nodom": "none"}.get(variant, "mlp")
    head = SagaHead(anchors, domain(kind), 2, 8, 64, 6, 4, **settings)
    main = golden("E_saga_main")
    weights = {key: value for key, value in main.items()
               if not (key.startswith("w:domain_anchor") and kind != "mlp")
               and not (settings and key.startswith(("w:bn", "w:classifiers")))}
    return load(head, weights | own).eval(), own


@pytest.mark.parametrize(("variant", "settings"), [
    ("free", {}), ("nodom", {}), ("cam", {}), ("clipdom", {}), ("tl_none", {}), ("embed48", {"feature_width": 48})])
def test_variants_agree(variant, settings):
    head, want = variant_of_main(variant, **settings)
    anchors = head.anchors(tiny_clip().text_encoder())
    assert_close(anchors, want["text_anchors"], **FORWARD)
    cameras = want["cam_ids"].long() + 1 if variant == "cam" else None
    projected = golden("E_saga_main")["proj"]
    batch = TokenBatch(want["tokens"], cameras, projected)
    if head.domain is not None:
        assert_close(head.domain(batch, anchors), want["domain_anchors"], **FORWARD)
    feature = head.aggregate(batch, anchors).feature
    assert_close(feature, want["feat"], **FORWARD)
    main = golden("E_saga_main")
    assert_close(torch.cat([feature, main["cls"], projected], dim=1), want["encode_eval"], **FORWARD)


@pytest.mark.parametrize("cameras", [None, torch.tensor([9, 0, 5, -1])])
def test_a_camera_that_is_not_known_counts_as_the_mean_camera(cameras):
    head, want = variant_of_main("cam")
    anchors = head.anchors(tiny_clip().text_encoder())
    batch = TokenBatch(want["tokens"], cameras)
    assert_close(head.domain(batch, anchors), want["domain_anchors_no_cam_ids"], **FORWARD)
    assert_close(head.aggregate(batch, anchors).feature, want["feat_no_cam_ids"], **FORWARD)


def test_no_token_block_reads_the_second_to_last_and_starts_from_the_last():
    encoder, want = tiny_clip().image_encoder(), golden("E_saga_variants")
    assert (tapped_blocks([], encoder.depth), starting_blocks([], encoder.depth)) == ((2,), (3,))
    encoded = encoder(want["image"], taps=(2,))
    assert_close(token_batch(encoded, (2,), None).tokens, want["tl_none/tokens"], **FORWARD)


def test_several_token_blocks_agree():
    want, main = golden("E_saga_multilayer"), golden("E_saga_main")
    text = tiny_clip().text_encoder()
    anchors = TextAnchors(5, 16, 12, 64, 32, text, BytePairTokenizer())
    ours = {key: value for key, value in main.items() if not key.startswith("w:refine")}
    head = load(SagaHead(anchors, domain("mlp"), 1, 8, 64, 6, 4, paths=2), ours | want).eval()
    encoded = tiny_clip().image_encoder()(main["image"], taps=(1, 2))
    batch = token_batch(encoded, (1, 2), None)
    assert_close(batch.tokens, want["tokens"], **FORWARD)
    out = head.aggregate(batch, head.anchors(text))
    assert_close(out.feature, want["feat"], **FORWARD)
    assert [a.shape[2] for a in out.attention] == anchor_shares(5, 2) == [2, 3]
    assert_close(out.token_weights.sum(1), torch.ones(4))
    assert anchor_shares(24, 3) == [8, 8, 8] and anchor_shares(7, 3) == [2, 2, 3]


def test_anchor_features_agree():
    want = golden("E_saga_main")
    head, text = main_head(want)
    out = head.eval().aggregate(TokenBatch(want["tokens"]), head.anchors(text))
    features, mass = head.anchor_features(out)
    assert_close(features, want["per_anchor"], **FORWARD)
    assert_close(mass, want["attn_mass"], **FORWARD)
    for top, theirs in ((0, "part_all"), (2, "part_top2")):
        assert_close(side_by_side(features, mass, top), torch.nn.functional.normalize(want[theirs], dim=1), **FORWARD)


def test_the_anchor_triplet_agrees():
    want = golden("E_saga_losses")
    features = want["per_anchor"].requires_grad_()
    loss = anchor_triplet(features, want["attn_mass"], want["at_target"], 0.3)
    assert_close(loss, want["anchor_triplet"], atol=1e-5, rtol=1e-5)
    loss.backward()
    assert_close(features.grad, want["g_per_anchor"], **GRADIENT)


def test_stage3_losses_and_gradients_agree():
    want, main = golden("E_saga_losses"), golden("E_saga_main")
    head, text = main_head(main)
    for module in head.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    for block in head.refine[0]:
        block.attn.dropout = 0.0
    head.train()
    out = head(TokenBatch(main["tokens"]), head.anchors(text))
    terms = stage3_losses(out, want["target"].long(), head, Saga(classifiers=4))
    terms["loss"].backward()
    for name, theirs, weight in (("id", "xent", 1), ("triplet", "tri", 1), ("anchor_diversity", "ldiv", 0.05),
                                 ("classifier_diversity", "lclsdiv", 0.5), ("loss", "total", 1)):
        assert_close(weight * terms[name], want[theirs], atol=1e-5, rtol=1e-5, check_dtype=False)
    for parameter, name in named(head):
        assert_close(parameter.grad, want[f"g:{name}"], **GRADIENT)


def test_the_first_optimiser_step_agrees():
    want, main = golden("E_saga_losses"), golden("E_saga_main")
    head = main_head(main)[0]
    config = Saga(classifiers=4, classifier_lr_factor=1.0, weight_decay=1e-4)
    optimizer = torch.optim.AdamW(head_groups(head, 0.1 * 3.5e-4, config), weight_decay=config.weight_decay)
    for parameter, name in named(head):
        parameter.grad = want[f"g:{name}"].clone()
    optimizer.step()
    for parameter, name in named(head):
        assert_close(parameter.data, want[f"a:{name}"], atol=1e-7, rtol=1e-6)


def named(head: SagaHead) -> list[tuple[nn.Parameter, str]]:
    """Parameters whose golden gradients there are."""
    return [(head.neck.weight, "bn.weight"), (head.anchors.learnable, "text_anchor.ctx_main"),
            (head.anchors.projection.weight, "text_anchor.proj.weight"),
            (head.classifiers[0].weight, "classifiers.0.weight"),
            (head.refine[0][1].norm_kv.weight, "refine.layers.1.norm_kv.weight"),
            (head.domain.generate[0].bias, "domain_anchor.anchor_gen.0.bias")]


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
    anchor_features, mass = torch.nn.functional.normalize(want["raw"].view(-1, 4, 40), dim=2), want["raw"][:, :4].abs()
    features = {
        "fusion": fuse(parts, [2.0, 0.2, 0.05]), "refined": fuse(parts, [1.0, 0.0, 0.0]),
        "imgfeat": fuse(parts, [0.0, 1.0, 0.0]), "proj": fuse(parts, [0.0, 0.0, 1.0]),
        "concat": concat(parts), "orth": orthogonal(parts[0], parts[1]),
        "part_cos_top2": side_by_side(anchor_features, mass, 2), "part_cos_all": side_by_side(anchor_features, mass),
    }
    for name in ("fusion", "orth"):
        got = (features[name][:queries, None] - features[name][None, queries:]).square().sum(-1)
        assert_close(got, want[f"{name}_dist"], atol=1e-5, rtol=1e-4, check_dtype=False)
    assert_close(features["concat"], want["concat_feat"], **FORWARD)
    labels = Labels(want["pids"].numpy(), want["cams"].numpy())
    for name, feature in features.items():
        ranking = rank_features(feature[:queries].numpy(), feature[queries:].numpy(), labels[slice(0, queries)],
                                labels[slice(queries, None)])
        tied = 0.1 if name == "part_cos_top2" else 1e-4  # images that share no anchor tie at 0; theirs fall by rounding
        assert ranking.metrics()["mAP"] == pytest.approx(100 * float(want[f"{name}_mAP"]), abs=tied), name
