"""CLIP-ReID's ablations: side information, text terms, averaged features, one-stage training, features at test time."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_files import golden, tiny_clip, tiny_resnet_clip
from torch import Generator
from torch.testing import assert_close

from reanchor.clip.tokenizer import BytePairTokenizer
from reanchor.errors import ReanchorError
from reanchor.methods.clip_reid.finetune import finetune_job, stage2_losses, text_losses
from reanchor.methods.clip_reid.method import FEATURES
from reanchor.methods.clip_reid.model import ReidModel, retrieval_feature
from reanchor.methods.clip_reid.prompts import PromptLearner, average_losses
from reanchor.methods.clip_reid.settings import FinetuneRecipe, LossWeights
from reanchor.methods.clip_reid.side import SideInformation, SideSettings
from reanchor.methods.clip_reid.store import save_reid
from reanchor.methods.clip_reid.texts import FixedTexts, LearnedTexts
from reanchor.methods.embedders import load_embedder
from reanchor.training.images import TrainingImages, average_features
from reanchor.training.losses import batch_hard_triplet

LABELS = torch.tensor([0, 0, 2, 2])


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def learner() -> PromptLearner:
    text = tiny_clip().text_encoder()
    made = PromptLearner(3, 2, "a photo of a", "person.", text, BytePairTokenizer())
    made.initialise(Generator().manual_seed(1))
    return made


def contrast(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The multi-positive contrast of the batch LABELS, written out row by row."""
    rows = []
    for i, label in enumerate(LABELS):
        p = torch.softmax(a[i] @ b.T, 0).log()
        rows.append(-p[label == LABELS].mean())
    return torch.stack(rows).mean()


def test_side_rows_count_cameras_first_and_views_second():
    both = SideInformation(SideSettings("both", cameras=3, views=4), width=5)
    assert both.table.shape == (12, 5)
    assert both.index(np.array([1, 2, 3]), np.array([1, 4, 2])).tolist() == [0, 7, 9]
    assert SideInformation(SideSettings("camera", 3, 4), 5).index(np.array([3, 1])).tolist() == [2, 0]
    assert SideInformation(SideSettings("view", 3, 4), 5).index(np.array([9]), np.array([4])).tolist() == [3]


def test_an_unknown_view_adds_nothing():
    side = SideInformation(SideSettings("both", 3, 4), 5)
    side.initialise(Generator().manual_seed(0))
    index = side.index(np.array([2, 2]), np.array([0, 1]))
    assert index.tolist() == [-1, 4]
    added = side(index)
    assert not added[0].any() and torch.equal(added[1], side.table[4])
    assert side.index(np.array([3])).tolist() == [-1]


@pytest.mark.parametrize("tokens", ["cls", "all"])
def test_an_unknown_camera_adds_the_mean_over_cameras(tokens):
    one = SideInformation(SideSettings("camera", 3, 1, coefficient=2.0, tokens=tokens), 5).eval()
    one.initialise(Generator().manual_seed(0))
    added = one(one.index(np.array([0, 3, 0]))).reshape(3, 5)
    assert_close(added, 2 * torch.stack([one.table.mean(0), one.table[2], one.table.mean(0)]))
    both = SideInformation(SideSettings("both", 3, 4, tokens=tokens), 5).eval()
    both.initialise(Generator().manual_seed(1))
    added = both(both.index(np.array([0, 0, 2]), np.array([3, 0, 1]))).reshape(3, 5)
    means = (both.table[2] + both.table[6] + both.table[10]) / 3  # view 3 of each camera
    assert_close(added, torch.stack([means, torch.zeros(5), both.table[4]]))


def test_the_table_in_training_has_no_mean_and_known_cameras_get_the_same_bits():
    side = SideInformation(SideSettings("camera", 3, 1), 5)
    side.initialise(Generator().manual_seed(0))
    index = side.index(np.array([1, 3]))
    assert torch.equal(side.train()(index), side.table[[0, 2]]) and torch.equal(side.eval()(index), side.table[[0, 2]])
    with pytest.raises(IndexError):
        side.train()(side.index(np.array([0])))


@pytest.mark.parametrize(("kind", "camids", "viewids", "message"), [
    ("camera", [1, 4], None, r"camera 4 has no embedding, allowed are 0 to 3 .*finetune.recipe.sie=none"),
    ("camera", [-1], None, r"camera -1 has no embedding"),
    ("both", [1], [5], r"view 5 has no embedding, allowed are 0 to 4"),
])
def test_a_camera_or_view_without_embedding_is_named(kind, camids, viewids, message):
    side = SideInformation(SideSettings(kind, 3, 4), 5)
    with pytest.raises(ReanchorError, match=message):
        side.index(np.array(camids), None if viewids is None else np.array(viewids))


def test_side_is_scaled_and_reaches_one_token_or_all():
    for tokens, shape in (("cls", (2, 5)), ("all", (2, 1, 5))):
        side = SideInformation(SideSettings("camera", 3, 1, coefficient=2.5, tokens=tokens), 5)
        side.initialise(Generator().manual_seed(0))
        got = side(torch.tensor([2, 0]))
        assert got.shape == shape
        assert_close(got.reshape(2, 5), 2.5 * side.table[[2, 0]])


def test_text_terms_of_a_batch_by_hand():
    features, texts = draw(4, 32), FixedTexts(draw(3, 32, seed=1))
    weights = LossWeights(i2tce=1.0, i2t=1.0, t2i=1.0)
    terms = text_losses(features, LABELS, weights, texts, 0.1)
    batch = texts.features[LABELS]
    assert_close(terms["i2t"], contrast(features, batch))
    assert_close(terms["t2i"], contrast(batch, features))
    log_p = F.log_softmax(features @ texts.features.T, 1)
    q = 0.9 * F.one_hot(LABELS, 3) + 0.1 / 3
    assert_close(terms["i2tce"], -(q * log_p).sum(1).mean())
    assert text_losses(features, LABELS, LossWeights(i2tce=0.0), None, 0.1) == {}


def test_every_term_has_its_own_weight():
    model = ReidModel(tiny_clip().image_encoder(), identities=3)
    model.initialise(Generator().manual_seed(0))
    weights = LossWeights(id=0.5, triplet=2.0, i2tce=3.0, i2t=5.0, t2i=7.0)
    terms = stage2_losses(model, draw(4, 3, 64, 32), LABELS, None, weights, FixedTexts(draw(3, 32)), 0.1, 0.3)
    want = sum(getattr(weights, name) * terms[name] for name in ("id", "triplet", "i2tce", "i2t", "t2i"))
    assert_close(terms["loss"], want)


def test_the_early_triplet_can_be_left_out():
    model = ReidModel(tiny_clip().image_encoder(), identities=3).eval()
    images = draw(4, 3, 64, 32)
    early = batch_hard_triplet(model(images).features[0], LABELS, 0.3)
    with_it, without = (stage2_losses(model, images, LABELS, None, LossWeights(i2tce=0.0), None, 0.1, 0.3, flag)
                        for flag in (True, False))
    assert_close(with_it["triplet"] - without["triplet"], early)


def test_averages_and_their_cross_entropy_by_hand():
    images, labels = torch.tensor([[1.0, 0], [3.0, 2], [5.0, 5]]), torch.tensor([1, 1, 0])
    assert average_features(images, labels).tolist() == [[5, 5], [2, 1]]
    prompts, averages = learner(), draw(3, 32, seed=3)
    text = tiny_clip().text_encoder()
    texts = prompts.encode(torch.tensor([2, 0]), text)
    want = -torch.stack([F.log_softmax(texts[0] @ averages.T, 0)[2], F.log_softmax(texts[1] @ averages.T, 0)[0]]).mean()
    assert_close(average_losses(averages, torch.tensor([2, 0]), prompts, text)["loss"], want)


def test_learned_texts_pass_gradients_to_the_prompts_of_the_batch_alone():
    prompts = learner()
    texts = LearnedTexts(prompts, tiny_clip().text_encoder())
    assert_close(texts.of(LABELS), texts.all()[LABELS])
    features = draw(4, 32).requires_grad_()
    text_losses(features, LABELS, LossWeights(i2tce=0.0, i2t=1.0, t2i=1.0), texts, 0.1)
    losses = text_losses(features, LABELS, LossWeights(i2tce=0.0, i2t=1.0), texts, 0.1)
    losses["i2t"].backward()
    assert features.grad.abs().sum() > 0 and prompts.context.grad[[0, 2]].abs().sum((1, 2)).min() > 0
    assert not prompts.context.grad[1].any()


def test_one_stage_training_moves_the_prompts_at_their_own_rate():
    clip = tiny_clip()
    model, prompts = ReidModel(clip.image_encoder(), identities=3), learner()
    nobody = np.zeros(12, np.int64)
    data = TrainingImages(np.zeros((12, 64, 32, 3), np.uint8), np.arange(12), np.arange(12) // 4, nobody + 1, nobody)
    config = FinetuneRecipe(identities=2, images=2, lr=1e-3, prompt_lr=0.25)
    texts = LearnedTexts(prompts, clip.text_encoder())
    job = finetune_job("x", config, LossWeights(i2tce=0.0, i2t=1.0, t2i=1.0), model, data, texts, clip.spec, None)
    moved = [group for group in job.optimizer.param_groups if group["params"][0] is prompts.context]
    assert [group["lr"] for group in moved] == [0.25]
    names = {name for name, _ in job.module.named_parameters()}
    assert "1.context" in names and not any("token_embedding" in name for name in names)
    fixed = finetune_job("x", config, LossWeights(), model, data, FixedTexts(draw(3, 32)), clip.spec, None)
    assert fixed.module is model


@pytest.mark.parametrize("make", [tiny_clip, tiny_resnet_clip])
def test_features_at_test_time_are_named_parts_side_by_side(make):
    features = ReidModel(make().image_encoder(), identities=3).eval().encode(draw(2, 3, 64, 32), None).features
    got = retrieval_feature(features, ("before_last", "projected"))
    assert_close(got, torch.cat([features["before_last"], features["projected"]], 1))
    assert_close(retrieval_feature(features), torch.cat([features["last"], features["projected"]], 1))


def test_an_embedder_gives_every_feature_of_table_11_in_one_pass(tmp_path):
    clip = tiny_clip()
    model = ReidModel(clip.image_encoder(), identities=3)
    model.neck.running_mean += 0.5
    save_reid(model, clip.spec, "clip_reid", tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), dtype=np.uint8)
    rows = load_embedder(tmp_path, features=FEATURES).embed(images, np.array([1, 1])).rows("m")
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    parts = model.eval().encode(pixels, None).features
    assert list(rows) == ["m", *(f"m_{name}" for name in FEATURES)]
    for name in FEATURES[:-1]:
        want = F.normalize(torch.cat([parts[part] for part in name.split("+")], 1), dim=1)
        assert_close(torch.from_numpy(rows[f"m_{name}"]), want, atol=1e-5, rtol=1e-4)
    behind = torch.cat([model.neck(parts["last"]), model.neck_projected(parts["projected"])], 1)
    assert_close(torch.from_numpy(rows["m_after_neck"]), F.normalize(behind, dim=1), atol=1e-5, rtol=1e-4)
    assert not np.allclose(rows["m_after_neck"], rows["m"])


def test_the_resnet_trains_through_all_terms():
    model = ReidModel(tiny_resnet_clip().image_encoder(), identities=3)
    model.initialise(Generator().manual_seed(0))
    terms = stage2_losses(model, draw(4, 3, 64, 32), LABELS, None, LossWeights(), FixedTexts(draw(3, 32)), 0.1, 0.3)
    terms["loss"].backward()
    # bn3's scale starts at 0 in open_clip, so what stands before it gets no gradient yet
    assert model.encoder.visual.attnpool.q_proj.weight.grad.abs().sum() > 0
    assert model.encoder.visual.layer4[0].bn3.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("variant", [{"side": SideSettings("camera", 2, 1)}, {"token_block": 1}])
def test_what_only_a_vit_has_is_refused_for_a_resnet(variant):
    with pytest.raises(ReanchorError, match=r"finetune\.recipe\.(sie|token_block): a ResNet has neither"):
        ReidModel(tiny_resnet_clip().image_encoder(), identities=3, **variant)


def test_published_weights_are_the_defaults_of_the_paper():
    weights = LossWeights()
    assert (weights.id, weights.triplet, weights.i2tce) == (0.25, 1, 1)
    assert golden("B_model_stage2")["loss"].item() == pytest.approx(sum(
        w * golden("B_model_stage2")[name].item() for w, name in
        ((0.25, "ce0"), (0.25, "ce1"), (1, "tri0"), (1, "tri1"), (1, "tri2"), (1, "i2t_ce"))), rel=1e-5)
    assert dataclasses.replace(weights, i2tce=0.0).text is False
