"""MGCC's training: rates, options, exact resume, presets, the stage."""

import dataclasses
import functools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from composed import ROOT
from omegaconf import DictConfig, OmegaConf
from recorders import Rows
from text_factory import SIZE, SMALL, described, make_street, settings, small_clip

from benchmarks.text_tables import TABLES
from reanchor.clip.model import Clip
from reanchor.config.load import from_mapping
from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.methods.mgcc.losses import info_nce
from reanchor.methods.mgcc.model import Mgcc
from reanchor.methods.mgcc.settings import Mgcc as Config
from reanchor.methods.mgcc.settings import MgccModel
from reanchor.methods.mgcc.train import lr_factor, mgcc_job, optimizer_of, train_mgcc
from reanchor.methods.searchers import load_searcher
from reanchor.retrieval.sentence_validation import SentenceValidation
from reanchor.text.pairs import SentencePairs
from reanchor.training.loop import Trainer
from stages import train as stage
from stages.compose import composition
from stages.runner import StageRun

pytestmark = pytest.mark.slow

ABLATION = ROOT / "conf/ablation"
PRESETS = sorted(path.stem for path in ABLATION.glob("mgcc_*.yaml"))
PAPER = Config(epochs=60, lr=1e-5, lr_rest=1e-4, model=MgccModel(text_map="random"))
SHORT = ["mgcc.train=true", "mgcc.epochs=1", "mgcc.batch=48"]
NAMES = {"image_text", "patch_word", "patch_text", "image_word"}
GRANULARITIES = {  # Table 3
    "mgcc_image_text": {"image_text"}, "mgcc_patch_word": {"patch_word"}, "mgcc_patch_text": {"patch_text"},
    "mgcc_image_word": {"image_word"}, "mgcc_image_text_patch_word": {"image_text", "patch_word"},
    "mgcc_patch_text_image_word": {"patch_text", "image_word"}}


@functools.cache
def short_study() -> DictConfig:
    return OmegaConf.create(composition(ROOT, [*SMALL, *SHORT]))


def preset_settings(preset: str) -> Params:
    """The short study with one preset over it, as composing would lay it, but quicker."""
    changed = OmegaConf.merge(short_study(), OmegaConf.load(ABLATION / f"{preset}.yaml"))
    return from_mapping(OmegaConf.to_container(changed))


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    root = make_street(tmp_path_factory.mktemp("street"))
    (root / "models/backbone").mkdir(parents=True)
    small_clip().save(root / "models/backbone")
    return root


def open_job(street: Path, config: Config):
    clip = Clip.load(street / "models/backbone")
    torch.manual_seed(0)
    model = Mgcc(clip, config.model)
    pairs = SentencePairs.open(street / "data/prepared", street / "data/occluded", clip.spec)
    return model, pairs, mgcc_job(config, model, pairs, clip.spec, lambda: {"score": 0.0})


@pytest.mark.parametrize("preset", ["none", *PRESETS])
def test_a_preset_trains_two_steps_and_searches(street, preset):
    params, rows, out = preset_settings(preset), Rows(), street / f"models/{preset}"
    figures = train_mgcc("mgcc", params, street, out, rows)
    assert figures["train_steps"] >= 2 and np.isfinite(rows.rows[-1]["loss"]) and figures["cut_sentences"] == 0
    assert {"i2t", "t2i", "val_mAP_whole", "val_mAP_gallery-ogor"} <= set(rows.rows[-1])
    for left in (street / ".checkpoints").glob("mgcc-*"):
        left.unlink()
    searcher = load_searcher(out)
    assert set(searcher.model.similarity.granularities) == GRANULARITIES.get(preset, NAMES)
    assert searcher.model.similarity.fusion == ("attention" if f"mgcc_{params.mgcc.model.fusion}" != preset
                                                else preset.removeprefix("mgcc_"))
    assert (searcher.model.matrices is None) == (preset != "mgcc_released")
    kept = searcher.images(np.zeros((2, *SIZE, 3), np.uint8))["patch_index"].shape[1]
    patches = searcher.grid[0] * searcher.grid[1]
    assert kept == (patches if preset == "mgcc_all_tokens" else round(0.3 * patches))
    score = SentenceValidation.open(street / "data/prepared", street / "data/occluded").score(searcher)
    assert score["score"] == pytest.approx(figures["val_score"])


def test_a_run_that_stopped_ends_with_the_same_weights(street, tmp_path, monkeypatch):
    params = preset_settings("none")
    params.mgcc.epochs = params.mgcc.validate_epochs = 2
    train_mgcc("mgcc", params, street, tmp_path / "whole", Rows())
    for left in (street / ".checkpoints").glob("mgcc-*"):
        left.unlink()
    step, count = Trainer._step, []

    def stopping(self, *arguments):
        count.append(1)
        if len(count) == 4:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_mgcc("mgcc", params, street, tmp_path / "again", Rows())
    assert not (tmp_path / "again").exists() and list((street / ".checkpoints").glob("mgcc-*"))
    train_mgcc("mgcc", params, street, tmp_path / "again", Rows())
    for name in ("weights.safetensors", "model.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_rates_are_those_of_the_paper_and_of_the_authors_code():
    paper = PAPER
    assert [lr_factor(paper, epoch, 0, 10) for epoch in (0, 30)] == pytest.approx([1.0, 0.5])
    assert lr_factor(paper, 59, 9, 10) == pytest.approx(0.5 * (1 + np.cos(np.pi * 59.9 / 60)))
    released = dataclasses.replace(PAPER, schedule="multistep")
    assert [lr_factor(released, epoch, 5, 10) for epoch in (0, 19, 20, 39, 40, 59)] == pytest.approx(
        [1.0, 1.0, 0.1, 0.1, 0.01, 0.01])
    groups = optimizer_of(paper, Mgcc(small_clip(), paper.model)).param_groups
    assert [(group["lr"], group["weight_decay"], group["betas"]) for group in groups] == [
        (1e-5, 0, (0.9, 0.999)), (1e-4, 0, (0.9, 0.999))]


def test_a_step_contrasts_each_image_with_its_sentence(street):
    """The loss equals InfoNCE of the searcher's own similarities times CLIP's scale, both directions added."""
    config = dataclasses.replace(Config(), flip=0.0, occluded=0.0, batch=8)
    model, pairs, job = open_job(street, config)
    chosen = job.batches(0)[0]
    terms = job.losses(chosen, torch.Generator().manual_seed(0))
    searcher = load_like(model.eval(), street)
    images = searcher.images(pairs.images.images[pairs.images.rows[pairs.owner[chosen]]])
    logits = searcher.similarity(searcher.sentences([pairs.texts[i] for i in chosen]), images).T
    logits = logits.clone() * model.towers.log_scale.exp().detach()
    own = torch.arange(8)
    i2t, t2i = (-one.log_softmax(1)[own, own].mean().item() for one in (logits, logits.T))
    assert [terms[name].item() for name in ("i2t", "t2i", "loss")] == pytest.approx([i2t, t2i, i2t + t2i], abs=1e-3)


def load_like(model: Mgcc, street: Path):
    from reanchor.methods.mgcc.store import MgccSearcher

    return MgccSearcher(model, Clip.load(street / "models/backbone").spec)


def test_training_sees_the_occluded_copies_and_can_leave_out_pairs_of_one_person(street):
    plain = dataclasses.replace(Config(), flip=0.0, batch=16)
    model, pairs, job = open_job(street, plain)
    copied = np.flatnonzero(pairs.images.occluded_of[pairs.owner] >= 0)[:8]
    assert 0.2 < (pairs.images.occluded_of >= 0).mean() < 0.4  # 30 % of the images have one
    whole = open_job(street, dataclasses.replace(plain, occluded=0.0))[2]
    generator = torch.Generator()
    assert job.losses(copied, generator)["loss"] != whole.losses(copied, generator)["loss"]
    twice = np.flatnonzero(pairs.labels == pairs.labels[0])[:4]
    chosen = np.concatenate([twice, np.flatnonzero(pairs.labels != pairs.labels[0])[:2]])
    left_out = open_job(street, dataclasses.replace(plain, same_pid="left_out"))[2]
    pixels = torch.from_numpy(pairs.take(chosen, 1.0, generator))
    logits = model((pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5, pairs.tokens[torch.from_numpy(chosen)])
    same = torch.from_numpy(pairs.labels[chosen][:, None] == pairs.labels[chosen])
    want = info_nce(logits, same=same)["loss"].item()
    assert left_out.losses(chosen, generator)["loss"].item() == pytest.approx(want, abs=1e-3)
    assert want < job.losses(chosen, generator)["loss"].item()


@pytest.mark.parametrize(("train", "captions", "reason"), [
    (False, ["train", "val", "query", "gallery"], "mgcc.train is false"),
    (True, [], "no image of the dataset has a caption"),
    (True, ["query", "gallery"], "training images has a caption"),
    (True, ["val", "query"], "training images has a caption"), (True, ["train", "query"], "held-out images has a")])
def test_the_stage_is_skipped_with_a_reason(street, tmp_path, train, captions, reason):
    manifest = described(Manifest.read(street / "data/prepared/manifest.parquet"), captions)
    (tmp_path / "data/prepared").mkdir(parents=True)
    manifest.write(tmp_path / "data/prepared/manifest.parquet")
    params = preset_settings("none")
    params.mgcc.train = train
    run = StageRun("mgcc", params, tmp_path)
    assert stage.body(run) == {"skipped": 1}
    assert reason in (tmp_path / "models/mgcc/skipped.json").read_text()


@pytest.mark.parametrize(("model", "message"), [
    ({"granularities": []}, r"mgcc.model.granularities: got \[\]; allowed: at least one of"),
    ({"granularities": ["image_text", "image_text"]}, r"mgcc.model.granularities: got .*each once"),
    ({"matrices": True, "fusion": "max_max"}, r"mgcc.model.matrices: got true with mgcc.model.fusion 'max_max'"),
    ({"temperature": 0.1, "fusion": "max_max"}, r"mgcc.model.temperature: got 0.1 with .*'max_max'; allowed: 0.01")])
def test_settings_that_do_not_fit_are_refused(model, message):
    with pytest.raises(ReanchorError, match=message):
        from_mapping({"mgcc": {"model": model}})
    with pytest.raises(ReanchorError, match=r"mgcc.milestones: got \[40, 20\]; allowed: ascending"):
        from_mapping({"mgcc": {"milestones": [40, 20]}})


def test_the_paper_recipe_and_every_documented_command_compose():
    text = "".join((ROOT / "docs" / kind / "mgcc.md").read_text() for kind in ("how-to/reproduce", "explanation"))
    commands = set(re.findall(r"`((?:[a-z]+(?:\.\w+)*=[\w./\[\],]+ ?)+)`", text))
    named = {one.partition("=")[2] for one in commands if one.startswith("ablation=")}
    assert named == set(PRESETS)
    assert all(f"`mgcc.model.patch_share={patches} mgcc.model.word_share={words}`" in text  # of Tables 3 to 6
               for patches, words in ((0.4, 0.5), (0.5, 0.5), (0.2, 0.4)))
    example = re.search(r'"dataset=rstpreid (.*?)"', (ROOT / "docs/reference/datasets.md").read_text())[1].split()
    rstp = settings(*[part for part in example if part.startswith("mgcc")]).mgcc.model
    assert (rstp.patch_share, rstp.word_share) == (0.5, 0.5)
    assert len(commands) >= len(named) + 8
    for command in commands:
        composition(ROOT, command.split())
    recipe = settings("train=mgcc_vit_b32", "profile=full").mgcc
    assert dataclasses.replace(recipe, train=True, precision="fp32") == PAPER
    paper = (recipe.lr, recipe.lr_rest, recipe.batch, recipe.epochs, recipe.schedule, recipe.reduction)
    assert paper == (1e-5, 1e-4, 128, 60, "cosine", "sum")


@pytest.mark.parametrize("occlusion", ["text_paper", "text_released"])
def test_baselines_train_on_the_images_that_mgcc_trains_on(occlusion):
    params = settings("method=text", "train=mgcc_vit_b32", f"occlusion={occlusion}", "profile=full")
    assert params.tbps.recipe.occluded == params.mgcc.occluded == 1.0


def test_the_benchmark_has_every_pair_of_ratios_of_table_4():
    arms = [settings(*overrides).mgcc.model for _, overrides in TABLES["selection"][1].values()]
    pairs = {(model.patch_share, model.word_share) for model in arms}
    assert pairs >= {(1.0, 1.0), (0.3, 0.4), (0.2, 0.4), (0.4, 0.5), (0.5, 0.5)} and len(pairs) == len(arms)
