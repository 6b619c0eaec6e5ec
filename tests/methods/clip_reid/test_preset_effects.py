"""What the settings of CLIP-ReID's two stages do to batches, losses, gradients and steps, by hand."""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from composed import composed
from data_factory import market
from golden_files import golden, tiny_clip
from recorders import Rows
from safetensors.torch import load_file
from small_street import MEAN, NO_TEXT, STD, by_hand, learner_of, other_clip, seeded, spec, street
from torch import Generator, Tensor
from torch.testing import assert_close

from reanchor.config.params import Params, Runtime
from reanchor.config.sections.data import Prepare
from reanchor.data.prepare import prepare
from reanchor.formats.images import ImageStore
from reanchor.formats.labels import Labels
from reanchor.formats.manifest import Manifest
from reanchor.methods.clip_reid.finetune import finetune_job
from reanchor.methods.clip_reid.model import ReidModel, retrieval_feature
from reanchor.methods.clip_reid.prompts import prompts_job, train_prompts
from reanchor.methods.clip_reid.settings import FinetuneRecipe, Prompts
from reanchor.methods.clip_reid.texts import LearnedTexts, open_texts
from reanchor.methods.clip_reid.train import build_model, embed_with
from reanchor.training.images import TrainingImages, plain_features

pytestmark = pytest.mark.slow

STILL = ["method=clip_reid", "train=clip_reid_vit", "finetune.recipe.flip=0", "finetune.recipe.pad=0",
         "finetune.recipe.erase=0",
         "finetune.recipe.precision=fp32", "finetune.recipe.identities=2", "finetune.recipe.images=2"]


@functools.cache
def preset(ablation: str) -> Params:
    """The published recipe with an ablation, on small batches without augmentation."""
    return composed(*STILL, f"ablation={ablation}")


# Stage 1.


def test_stage_1_reads_whole_images_with_the_backbone_s_own_statistics():
    data, clip = street(), other_clip()
    encoder = clip.image_encoder().eval()
    got = plain_features(encoder, data, clip.spec, "cpu", batch=5)
    with torch.no_grad():
        want, halved = (encoder(by_hand(data.images[data.rows], *values)).projected
                        for values in ((MEAN, STD), ([0.5] * 3, [0.5] * 3)))
    assert_close(got, want, atol=1e-5, rtol=1e-4)
    assert (got - halved).abs().max() > 0.01


@pytest.mark.parametrize(("train", "name"), [("clip_reid_vit", "stage1_vit"), ("clip_reid_cnn", "stage1_cnn")])
def test_the_published_rates_of_stage_1_reach_its_optimiser(train, name):
    want = golden("B_lr")[name]
    config = replace(composed("method=clip_reid", f"train={train}").prompts, epochs=len(want))
    job = prompts_job(config, learner_of(2), tiny_clip().text_encoder(), torch.zeros(4, 32), torch.arange(4) // 2)
    (group,) = job.optimizer.param_groups
    got = [group["lr"] * job.lr_factor(epoch, step, 7) for epoch in range(job.epochs) for step in (0, 6)]
    assert_close(torch.tensor(got, dtype=torch.float64), want.repeat_interleave(2), atol=1e-12, rtol=0)


@pytest.mark.parametrize("decay", [0.0, 1e-4, 1e6])
def test_a_step_of_stage_1_is_adam_s_with_the_decay_in_the_gradient(decay):
    learner, images = learner_of(3), torch.randn(12, 32, generator=seeded(1))
    config = Prompts(lr=1e-3, weight_decay=decay)
    job = prompts_job(config, learner, tiny_clip().text_encoder(), images, torch.arange(12) // 4)
    before = learner.context.detach().clone()
    job.losses(job.batches(0)[0], Generator())["loss"].backward()
    gradient = learner.context.grad + decay * before
    assert gradient.abs().median() > 1e-6
    job.optimizer.step()
    assert_close(learner.context.detach() - before, -1e-3 * gradient / (gradient.abs() + 1e-8), atol=1e-6, rtol=1e-3)


def average_loss(features: Tensor, labels: np.ndarray, texts: Tensor, rows: list[int]) -> Tensor:
    """Equation 10 of these identities, term by term."""
    means = [features[labels == label].mean(0) for label in range(labels.max() + 1)]
    terms = []
    for row in rows:
        scores = torch.stack([texts[row] @ mean for mean in means])
        terms.append(scores.logsumexp(0) - scores[row])
    return torch.stack(terms).mean()


def instance_loss(features: Tensor, labels: np.ndarray, texts: Tensor) -> Tensor:
    """Equation 5 of a batch of all images."""
    scores, positive = features @ texts[labels].T, torch.from_numpy(labels[:, None] == labels).float()
    return sum(-(positive * F.log_softmax(s, 1)).sum(1).div(positive.sum(1)).mean() for s in (scores, scores.T))


def test_averaged_features_make_batches_of_identities_and_equation_10():
    labels = np.array([1, 1, 0, 2, 2, 2, 0, 1, 1])
    features, learner, text = torch.randn(9, 32, generator=seeded(1)), learner_of(3), tiny_clip().text_encoder()
    config = replace(preset("prompts_average").prompts, batch=2)
    job = prompts_job(config, learner, text, features, torch.from_numpy(labels))
    batches = [batch.tolist() for batch in job.batches(0)]
    assert [len(batch) for batch in batches] == [2, 1] and sorted(batches[0] + batches[1]) == [0, 1, 2]
    for batch in batches:
        got = job.losses(torch.tensor(batch), Generator())["loss"]
        want = average_loss(features, labels, learner.encode(learner.identities(), text), batch)
        assert_close(got, want, atol=1e-5, rtol=1e-5)
        assert_close(*(torch.autograd.grad(loss, learner.context)[0] for loss in (got, want)), atol=1e-6, rtol=1e-3)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A workspace with 24 prepared images of six people and the small CLIP."""
    root = tmp_path_factory.mktemp("street")
    settings = Prepare(root=str(market(root / "street")), height=64, width=32, validation_share=0.0)
    prepare(settings, root / "data/prepared", processes=1)
    (root / "models/backbone").mkdir(parents=True)
    other_clip().save(root / "models/backbone")
    return root


@pytest.mark.parametrize("features", ["instance", "average"])
def test_the_stage_of_prompts_from_files(root, tmp_path, features):
    config, rows = Prompts(features=features, epochs=1, lr=3.5e-4), Rows()
    train_prompts("prompts", Params(prompts=config, runtime=Runtime(device="cpu")), root, tmp_path / "prompts", rows)
    manifest, store = (reader(root / "data/prepared" / name) for reader, name in (
        (Manifest.read, "manifest.parquet"), (ImageStore.open, "images.arrow")))
    chosen = manifest.rows("train")
    labels = np.unique(manifest.pid[chosen], return_inverse=True)[1]
    learner, clip = learner_of(6), other_clip()
    with torch.no_grad():
        images = clip.image_encoder()(by_hand(store.images[chosen])).projected
        texts = learner.encode(learner.identities(), clip.text_encoder())
        want = instance_loss(images, labels, texts) if features == "instance" else average_loss(
            images, labels, texts, [*range(6)])
    assert [row["step"] for row in rows.rows] == [1]
    assert rows.rows[0]["loss"] == pytest.approx(want.item(), rel=1e-5)
    moved = load_file(tmp_path / "prompts/prompts.safetensors")["context"] - learner.context.detach()
    assert moved.abs().median().item() == pytest.approx(golden("B_lr")["stage1_vit"][0].item(), rel=0.01)


# Side information (Table 7).


def entering(model: ReidModel, run) -> Tensor:
    """The tokens [B, 1+T, D] that a pass of the encoder begins with."""
    seen = []
    hook = model.encoder.visual.ln_pre.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    run()
    hook.remove()
    (tokens,) = seen
    return tokens


def sided(ablation: str, **changes) -> tuple[FinetuneRecipe, TrainingImages, ReidModel]:
    """A preset's model, its embeddings large enough to be seen."""
    params, data = preset(ablation), street()
    recipe = replace(params.finetune.recipe, **changes)
    params = replace(params, finetune=replace(params.finetune, recipe=recipe))
    model = build_model(other_clip(), data, params, params.finetune.clip_reid)
    model.side.table.data.mul_(30)
    return recipe, data, model


def side_rows(kind: str, cameras: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Rows of the table for six cameras and two views; -1: none."""
    if kind == "camera":
        return cameras - 1
    return np.where(views > 0, (2 * (cameras - 1) if kind == "both" else 0) + views - 1, -1)


@pytest.mark.parametrize(("kind", "everywhere", "ablation", "changes"), [
    ("camera", False, "sie_cls", {}),
    ("camera", False, "sie_cls", {"sie_coefficient": 2.5}),
    ("camera", True, "sie_all", {}),
    ("camera", True, "sie_all", {"sie_coefficient": 3.0}),
    ("view", False, "sie_view", {}),
    ("both", True, "sie_all", {"sie": "both", "sie_coefficient": 0.5}),
])
def test_training_adds_the_rows_of_the_batch(kind, everywhere, ablation, changes):
    config, data, model = sided(ablation, **changes)
    job = finetune_job("x", config, NO_TEXT, model, data, None, spec(), None)
    batch, terms = job.batches(0)[0], {}
    tokens = entering(model, lambda: terms.update(job.losses(batch, seeded())))
    plain = entering(model, lambda: model.encoder(by_hand(data.images[data.rows[batch]])))
    rows = side_rows(kind, data.cameras[batch], data.views[batch])
    want, factor = torch.zeros_like(plain), changes.get("sie_coefficient", 1.0)
    for number, row in enumerate(rows):
        if row >= 0:
            want[number, slice(None) if everywhere else slice(1)] = factor * model.side.table.detach()[row]
    assert_close(tokens - plain, want, atol=1e-4, rtol=1e-4)
    terms["loss"].backward()
    learned = model.side.table.grad.abs().sum(1).nonzero().flatten().tolist()
    assert learned == sorted(set(rows.tolist()) - {-1}) and 1 < len(learned) < 7


def test_validation_adds_the_rows_of_its_images():
    _, data, model = sided("sie_all", sie_coefficient=2.0)
    images, model = data.images[:4], model.eval()
    got = embed_with(model, spec(), "cpu", batch=3)(images, Labels(np.arange(4), np.array([2, 5, 5, 1]), np.zeros(4)))
    with torch.no_grad():
        tokens = (2 * model.side.table[[1, 4, 4, 0]]).unsqueeze(1)
        want = F.normalize(retrieval_feature(model.encoder(by_hand(images), tokens).features), dim=1)
    assert_close(torch.from_numpy(got), want, atol=1e-5, rtol=1e-4)


# One stage (Table 5).


def test_one_stage_opens_prompts_to_be_learned_on_and_two_stages_their_features(root, tmp_path):
    config, clip = Prompts(epochs=0), other_clip()
    train_prompts("prompts", Params(prompts=config, runtime=Runtime(device="cpu")), root, tmp_path / "prompts", Rows())
    learned, fixed = (open_texts(tmp_path / "prompts", clip, flag, "cpu") for flag in (True, False))
    assert_close(learned.learner.context.detach(), learner_of(6).context.detach(), atol=0, rtol=0)
    labels = torch.tensor([4, 0, 4])
    assert_close(learned.of(labels), fixed.of(labels), atol=1e-5, rtol=1e-4)
    assert learned.of(labels).requires_grad and not fixed.of(labels).requires_grad


def test_one_stage_moves_the_prompts_of_the_batch_with_the_encoder():
    params, data = preset("one_stage"), street()
    config = replace(params.finetune.recipe, prompt_lr=0.01)
    learner, clip, weights = learner_of(3), other_clip(), params.finetune.clip_reid
    texts, model = LearnedTexts(learner, clip.text_encoder()), build_model(clip, data, params, weights)
    job = finetune_job("x", config, weights, model, data, texts, spec(), None)
    batch, before = job.batches(0)[0], learner.context.detach().clone()
    got, labels = job.losses(batch, seeded()), data.labels[batch]
    projected = model(by_hand(data.images[data.rows[batch]])).features[2]
    assert_close(got["i2t"] + got["t2i"], instance_loss(projected, labels, texts.all()), atol=1e-4, rtol=1e-4)
    got["loss"].backward()
    job.optimizer.step()
    gradients = learner.context.grad.abs().sum((1, 2))
    assert gradients.nonzero().flatten().tolist() == np.unique(labels).tolist() and len(np.unique(labels)) == 2
    moved = (learner.context.detach() - before).abs()[np.unique(labels)]
    assert moved.median().item() == pytest.approx(0.01, rel=0.01)
    step = (model.encoder.visual.proj - clip.image_encoder().visual.proj).abs().median()
    assert step.item() == pytest.approx(5e-6, rel=0.1)
