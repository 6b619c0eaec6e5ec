"""ViT-B/16 and RN50 at full size with random weights: from OpenAI's file form through both stages, out and in."""

import gc
import shutil

import numpy as np
import open_clip
import pytest
import torch
from archives import Archive
from torch import Generator

from reanchor.backbone.load import architecture_of, local_file
from reanchor.config.sections.backbone import Backbone
from reanchor.config.sections.judging import Evaluate
from reanchor.formats.labels import Labels
from reanchor.methods.clip_reid.finetune import finetune_job
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.prompts import PromptLearner, prompts_job, text_features
from reanchor.methods.clip_reid.settings import FinetuneRecipe, LossWeights, Prompts
from reanchor.methods.clip_reid.store import save_reid
from reanchor.methods.clip_reid.texts import FixedTexts
from reanchor.methods.embedders import load_embedder
from reanchor.methods.imported.exporting import export_model
from reanchor.methods.imported.importing import import_model
from reanchor.methods.imported.settings import Imported
from reanchor.retrieval.measure import measure_method
from reanchor.retrieval.study import Study
from reanchor.training.images import TrainingImages, plain_features

pytestmark = pytest.mark.slow

SIZE = (256, 128)
PIDS = np.array([0, 0, 1, 1])
CAMIDS = np.array([1, 2, 1, 2])


def openai_file(model: str, path, form: str) -> None:
    """A CLIP of this size in OpenAI's naming and half precision, drawn from a seed."""
    arch = architecture_of(model)
    with torch.device("meta"):
        shapes = open_clip.model.CLIP(arch["embed_dim"], open_clip.model.CLIPVisionCfg(**arch["vision_cfg"]),
                                      open_clip.model.CLIPTextCfg(**arch["text_cfg"]), quick_gelu=True).state_dict()
    draws = Generator().manual_seed(0)
    state = {name: torch.zeros(value.shape, dtype=torch.int64) if name.endswith("num_batches_tracked") else
             start(name, value.shape, draws).half() for name, value in shapes.items()}
    state |= {"input_resolution": torch.tensor(224), "context_length": torch.tensor(77),
              "vocab_size": torch.tensor(49408)}
    if form == "torchscript":
        torch.jit.save(torch.jit.script(Archive(state)), path)
    else:
        torch.save(state, path)


def start(name: str, shape: torch.Size, draws: Generator) -> torch.Tensor:
    """Matrices and kernels keep the scale of what passes; norms start as nothing."""
    if len(shape) > 1:
        return torch.randn(shape, generator=draws) * shape[1:].numel() ** -0.5
    return torch.ones(shape) if name.endswith(("weight", "running_var")) else torch.zeros(shape)


def photos() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3), dtype=np.uint8)


def stage1(clip, data: TrainingImages) -> torch.Tensor:
    """One step of stage 1; every identity's text feature."""
    text = clip.text_encoder()
    learner = PromptLearner(2, 4, "A photo of a", "person.", text, clip.spec.tokenizer())
    learner.initialise(Generator().manual_seed(0))
    before = learner.context.detach().clone()
    images = plain_features(clip.image_encoder().eval(), data, clip.spec, "cpu")
    step(prompts_job(Prompts(epochs=1, warmup_epochs=0, batch=4), learner, text, images, torch.from_numpy(PIDS)))
    assert not torch.equal(learner.context, before)
    return torch.tensor(text_features(learner, text).numpy())  # as if read from stage 1's file


def step(job) -> None:
    """The first optimiser step of a job."""
    (batch,) = job.batches(0)
    terms = job.losses(batch, Generator().manual_seed(0))
    assert all(torch.isfinite(value) for value in terms.values())
    terms["loss"].backward()
    job.optimizer.step()


def stage2(clip, data: TrainingImages, texts: torch.Tensor) -> ReidModel:
    """One step of stage 2."""
    model = ReidModel(clip.image_encoder(), identities=2).train()
    model.initialise(Generator().manual_seed(0))
    before = model.encoder.visual.conv1.weight.detach().clone()
    config = FinetuneRecipe(identities=2, images=2, epochs=1, optimizer="adam", lr=5e-6)
    step(finetune_job("full", config, LossWeights(), model, data, FixedTexts(texts), clip.spec, dict))
    assert not torch.equal(model.encoder.visual.conv1.weight, before)
    return model


def judged(folder) -> np.ndarray:
    """Features of the photos, after an evaluation with two queries and two gallery images."""
    embedder = load_embedder(folder)
    study = Study(photos(), Labels(PIDS + 1, CAMIDS), np.array([0, 2]), np.array([1, 3]), [])
    measured = measure_method("full", embedder, study, Evaluate(batch=4, camera_rule="market"))["full"]
    ranking = measured.rankings["whole"]
    assert ranking.ap_Q.shape == (2,) and (ranking.ap_Q >= 0.5).all()  # one of two is right
    features = embedder.embed(photos(), CAMIDS).features
    assert np.linalg.norm(features, axis=1) == pytest.approx(1, abs=1e-5)
    return features


@pytest.fixture
def folder(tmp_path):
    """Removed at once: it holds a gigabyte and a half."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(("model", "form", "normalisation", "width"), [
    ("ViT-B-16-quickgelu", "state_dict", "half", 768 + 512), ("RN50-quickgelu", "torchscript", "imagenet", 2048 + 1024),
])
def test_a_full_size_clip_goes_through_training_and_comes_back(folder, model, form, normalisation, width):
    openai_file(model, folder / "clip.pt", form)
    clip = local_file(Backbone(source="file", path=str(folder / "clip.pt"), normalisation=normalisation), SIZE)
    data = TrainingImages(photos(), np.arange(4), PIDS, CAMIDS, np.zeros(4, np.int64))
    tuned = stage2(clip, data, stage1(clip, data))
    (folder / "model").mkdir()
    save_reid(tuned, clip.spec, "clip_reid", folder / "model")
    del tuned, clip
    gc.collect()
    features = judged(folder / "model")
    assert features.shape == (4, width)
    export_model(folder / "model", "clip-reid", folder / "model.pth")
    import_model(Imported(path=str(folder / "model.pth")), folder / "again")
    assert (folder / "again/weights.safetensors").read_bytes() == (
        folder / "model/weights.safetensors").read_bytes()
    np.testing.assert_array_equal(judged(folder / "again"), features)
