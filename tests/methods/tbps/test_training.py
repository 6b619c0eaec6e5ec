"""Training of text-based search: every preset, exact resume, few shots, back translations, what is written."""

import dataclasses
import json
import re
import shutil
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from composed import ROOT
from recorders import Rows
from safetensors.torch import load_file
from text_factory import described, make_street, settings, small_clip

from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.methods.searchers import load_searcher
from reanchor.methods.tbps.back_translation import read_back_translations
from reanchor.methods.tbps.batch import Draws
from reanchor.methods.tbps.job import TbpsRun
from reanchor.methods.tbps.model import TbpsModel
from reanchor.methods.tbps.train import build_model, few_shot, train_tbps
from reanchor.text.pairs import SentencePairs
from reanchor.text.towers import DualEncoder
from reanchor.text.words import clean_sentence
from stages import train as stage

pytestmark = pytest.mark.slow

TWO_STEPS = ["tbps.recipe.epochs=1", "tbps.recipe.warmup_epochs=0", "tbps.recipe.batch=40", "tbps.recipe.few_shot=0.6"]
OPTIONS = ["tbps.tbps_clip.mlm=1.0", "tbps.tbps_clip.id=1.0", "tbps.tbps_clip.mixgen=0.25"]
# (model, further settings, terms it trains with)
PRESETS = [
    ("clip_tuned", [], {"itc"}), ("sdm", [], {"sdm"}), ("tbps_clip", [], {"nitc", "ritc"}),
    ("tbps_clip", ["ablation=tbps_full"], {"nitc", "ritc", "citc", "ss"}),
    ("tbps_clip", ["ablation=tbps_simplified"], {"nitc", "ritc"}),
    ("tbps_clip", ["ablation=tbps_few_shot", "tbps.recipe.few_shot_of=identities"], {"nitc", "ritc"}),
    ("tbps_clip", ["train=tbps_clip_vit", "tbps.recipe.chunk=30", "finetune.recipe.warmup_epochs=0",
                   "prompts.warmup_epochs=0"],
     {"nitc", "ritc", "citc", "ss"}),
    ("tbps_clip", ["ablation=tbps_full", *OPTIONS], {"nitc", "ritc", "citc", "ss", "mlm", "id"}),
    ("sdm", ["tbps.recipe.context=20", "tbps.recipe.precision=bf16"], {"sdm"}),
]


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    root = make_street(tmp_path_factory.mktemp("street"))
    (root / "models/backbone").mkdir(parents=True)
    small_clip().save(root / "models/backbone")
    (root / "conf").mkdir()
    shutil.copy(ROOT / "conf/captions_bt.json", root / "conf")
    return root


@pytest.fixture(scope="module")
def pairs(street) -> SentencePairs:
    return SentencePairs.open(street / "data/prepared", street / "data/occluded", small_clip().spec)


@pytest.mark.filterwarnings("ignore:.*longer than the context")
@pytest.mark.parametrize(("model", "further", "terms"), PRESETS)
def test_a_preset_trains_two_steps(street, tmp_path, model, further, terms):
    params, steps = settings(*TWO_STEPS, *further), Rows()
    figures = train_tbps(model, params, street, tmp_path / model, steps)
    row = steps.rows[-1]
    assert figures["train_steps"] == 2 and set(row) >= terms | {"loss", "val_mAP_whole", "score"}
    assert not set(row) & ({"itc", "nitc", "ritc", "citc", "ss", "sdm", "id", "mlm"} - terms)
    assert np.isfinite(row["loss"]) and figures["val_score"] == row["score"]
    recipe = getattr(params.tbps, model)
    assert row["loss"] == pytest.approx(sum(getattr(recipe, name) * row[name] for name in terms), rel=1e-4)
    searcher = load_searcher(tmp_path / model)
    assert searcher.name == model and searcher.model.clean == recipe.clean
    before = load_file(street / "models/backbone/weights.safetensors")["visual.conv1.weight"]
    after = load_file(tmp_path / model / "weights.safetensors")["image.visual.conv1.weight"]
    assert torch.equal(before, after) == recipe.lock
    written = json.loads((tmp_path / model / "model.json").read_text())
    others = {"clip_tuned", "sdm", "tbps_clip"} - {model}
    assert model in written["config"]["tbps"] and not others & set(written["config"]["tbps"])
    assert written["spec"]["interpolation"] == "bicubic"


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop_at", [2, 4])
def test_a_killed_training_ends_with_the_same_weights(street, tmp_path, monkeypatch, stop_at):
    params = settings("tbps.recipe.epochs=2", "tbps.recipe.batch=24", "tbps.recipe.few_shot=0.35",
                      "ablation=tbps_full", "tbps.recipe.chunk=16")
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    train_tbps("tbps_clip", params, street, whole, Rows())
    for checkpoint in (street / ".checkpoints").glob("*"):
        checkpoint.unlink()
    params.runtime.checkpoint_steps = 1
    losses, calls = TbpsRun.losses, []

    def stopping(self, *arguments):
        calls.append(1)
        if len(calls) == stop_at:
            raise Stop
        return losses(self, *arguments)

    monkeypatch.setattr(TbpsRun, "losses", stopping)
    with pytest.raises(Stop):
        train_tbps("tbps_clip", params, street, torn, Rows())
    assert not torn.exists()
    train_tbps("tbps_clip", params, street, torn, Rows())
    for checkpoint in (street / ".checkpoints").glob("*"):
        checkpoint.unlink()
    assert (torn / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(("share", "of"), [(1.0, "pairs"), (0.25, "pairs"), (0.25, "identities"), (0.0001, "pairs")])
def test_few_shots_are_a_seeded_share(pairs, share, of):
    few, again = few_shot(pairs, share, of, 3), few_shot(pairs, share, of, 3)
    assert few.texts == again.texts and torch.equal(few.tokens, again.tokens)
    names = pairs.labels if of == "identities" else np.arange(len(pairs))
    kept = few.labels if of == "identities" else np.arange(len(few))
    assert len(np.unique(kept)) == max(2, round(share * len(np.unique(names))))
    if of == "identities":
        assert all((few.labels == pid).sum() == (pairs.labels == pid).sum() for pid in np.unique(few.labels))
    generator = torch.Generator()
    row = pairs.texts.index(few.texts[0])
    assert np.array_equal(few.take(np.array([0]), 0, generator), pairs.take(np.array([row]), 0, generator))
    if share < 1:
        assert few_shot(pairs, share, of, 4).texts != few.texts


def draws(pairs, **changes) -> Draws:
    recipe = settings().tbps.clip_tuned
    for name, value in changes.items():
        setattr(recipe, name, value)
    return Draws(pairs, small_clip().spec, recipe, 0.0, [f"back {n}" if n % 2 else "" for n in range(len(pairs))])


def test_sentences_are_back_translated_where_they_can_be(pairs):
    chosen = np.arange(len(pairs))
    generator = torch.Generator().manual_seed(0)
    assert draws(pairs).texts(chosen, generator) == pairs.texts
    texts = draws(pairs, back_translation=1.0).texts(chosen, generator)
    assert texts == [f"back {n}" if n % 2 else text for n, text in enumerate(pairs.texts)]
    some = draws(pairs, back_translation=0.4).texts(chosen, generator)
    assert sum(text.startswith("back") for text in some) == pytest.approx(0.2 * len(pairs), abs=0.06 * len(pairs))


def test_words_are_deleted_by_chance(pairs):
    chosen = np.arange(len(pairs))
    texts = draws(pairs, deletion=0.3).texts(chosen, torch.Generator().manual_seed(0))
    again = draws(pairs, deletion=0.3).texts(chosen, torch.Generator().manual_seed(0))
    assert texts == again
    before, after = (sum(len(text.split()) for text in each) for each in (pairs.texts, texts))
    assert after / before == pytest.approx(0.7, abs=0.02)


def test_masked_words_are_berts(pairs):
    batch = draws(pairs, mlm=1.0).batch(np.arange(len(pairs)), torch.Generator().manual_seed(0), torch.device("cpu"))
    tokens, masked, targets = batch["tokens"], batch["masked"], batch["targets"]
    tokenizer = pairs.tokenizer
    words = (tokens > 0) & (tokens < tokenizer.sos)
    chosen = targets != -100
    assert not (chosen & ~words).any() and torch.equal(targets[chosen], tokens[chosen])
    assert torch.equal(masked[~chosen], tokens[~chosen])
    assert (chosen.sum() / words.sum()).item() == pytest.approx(0.15, abs=0.02)
    assert (masked[chosen] == 1).float().mean().item() == pytest.approx(0.8, abs=0.05)  # the unknown word
    assert (masked[chosen] == tokens[chosen]).float().mean().item() == pytest.approx(0.1, abs=0.05)
    assert masked.max() <= tokenizer.eos


def test_views_are_those_of_the_recipe(pairs):
    recipe = settings("ablation=tbps_full").tbps.tbps_clip
    made = Draws(pairs, small_clip().spec, recipe, 0.0).batch(np.arange(6), torch.Generator().manual_seed(0),
                                                              torch.device("cpu"))
    assert set(made) == {"image", "second", "simclr_1", "simclr_2", "tokens"}
    images = [made[name] for name in ("image", "second", "simclr_1", "simclr_2")]
    assert all(image.shape == (6, 3, 64, 32) for image in images)
    assert not any(torch.equal(images[0], other) for other in images[1:]) and not torch.equal(images[2], images[3])


def test_alpha_and_rate_follow_the_position(pairs):
    params = settings("tbps.recipe.epochs=3", "tbps.recipe.batch=50")
    model = build_model(small_clip(), 99, params.tbps.recipe, params.tbps.tbps_clip)
    run = TbpsRun(params.tbps.recipe, params.tbps.tbps_clip, model, draws(pairs))
    job = run.job("x", None)
    steps = len(job.batches(0))
    rates = [job.lr_factor(0, step, steps) * params.tbps.recipe.lr for step in range(steps)]
    assert rates[0] == pytest.approx(params.tbps.recipe.warmup_lr) and rates[-1] == pytest.approx(params.tbps.recipe.lr)
    assert (run.epoch, run.step, run.steps) == (0, steps - 1, steps)
    assert job.lr_factor(2, steps - 1, steps) < 0.2


def test_the_optimiser_is_the_authors(pairs):
    tbps = settings().tbps
    config = dataclasses.replace(tbps.recipe, weight_decay=0.02)
    model = build_model(small_clip(), 99, config, tbps.tbps_clip)
    optimizer = TbpsRun(config, tbps.tbps_clip, model, draws(pairs)).job("x", None).optimizer
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [(group["lr"], group["betas"], group["eps"], group["weight_decay"]) for group in optimizer.param_groups] == [
        (config.lr, (0.9, 0.98), 1e-8, 0.02), (config.lr, (0.9, 0.98), 1e-8, 0.0)]


def test_dropout_asks_for_attention_that_has_some():
    clip = small_clip()
    clip.network.transformer.resblocks[0].attn = torch.nn.Identity()
    towers, recipe = DualEncoder(clip), settings().tbps.clip_tuned
    TbpsModel(towers, recipe, 5)
    with pytest.raises(ReanchorError, match=r"dropout: got 0.05, but .* is a Identity, which has none; allowed: 0"):
        TbpsModel(towers, dataclasses.replace(recipe, dropout=0.05), 5)


def back_file(path: Path, records: object) -> Path:
    path.write_text(json.dumps(records))
    return path


def test_back_translations_are_found_by_path_and_number(street, pairs, tmp_path):
    manifest = Manifest.read(street / "data/prepared/manifest.parquet")
    row = pairs.images.rows[pairs.owner[4]]
    path = back_file(tmp_path / "bt.json", [{"file_path": manifest.path[row], "captions_bt": ["one", " two "]}])
    with pytest.warns(UserWarning, match=rf"{len(pairs) - 2} of {len(pairs)} training sentences have no back"):
        found = read_back_translations(path, street / "data/prepared", pairs)
    places = np.flatnonzero(pairs.owner == pairs.owner[4])
    assert [found[place] for place in places] == ["one", "two"] and found.count("") == len(pairs) - 2


def test_back_translations_of_lists_that_leave_imgs_out_and_repeat_images(street, pairs, tmp_path, monkeypatch):
    manifest = Manifest.read(street / "data/prepared/manifest.parquet")
    row = pairs.images.rows[pairs.owner[4]]
    path = back_file(tmp_path / "bt.json", [{"img_path": manifest.path[row], "captions_bt": ["One; two."]},
                                            {"file_path": manifest.path[row], "captions_bt": ["three"]}])
    renamed = dataclasses.replace(manifest, path=[f"imgs/{name}" for name in manifest.path])
    monkeypatch.setattr("reanchor.methods.tbps.back_translation.Manifest.read", lambda _: renamed)
    places = np.flatnonzero(pairs.owner == pairs.owner[4])
    with pytest.warns(UserWarning):
        found = read_back_translations(path, street / "data/prepared", pairs, clean=True)
    assert [found[place] for place in places] == [clean_sentence("One; two."), "three"]
    back_file(path, [{"file_path": manifest.path[row], "captions_bt": ["one", "two", "three"]},
                     {"file_path": manifest.path[pairs.images.rows[pairs.owner[0]]], "captions_bt": ["a", "b"]}])
    with pytest.warns(UserWarning):  # three translations of two captions: which is whose?
        found = read_back_translations(path, street / "data/prepared", pairs)
    assert [found[place] for place in places] == ["", ""] and found.count("") == len(pairs) - 2


@pytest.mark.parametrize(("content", "message"), [
    ("[]", "has a back translation for none of"), ("{", "not valid JSON"), ("{}", "holds a dict"),
    ('[{"file_path": 3, "captions_bt": []}]', "record 0 is"), ('[{"file_path": "a", "captions_bt": "b"}]', "record 0"),
    ("[1]", "record 0 is '1'"), (None, "no file at"),
])
def test_a_wrong_file_of_back_translations_is_one_line(street, pairs, tmp_path, content, message):
    path = tmp_path / "bt.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ReanchorError, match=message) as caught:
        read_back_translations(path, street / "data/prepared", pairs)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(("tbps.recipe.captions_bt: ", str(path)))


def stage_run(root: Path, params, model: str = "tbps_clip"):
    """What a stage's body sees, and what it was told to skip."""
    return types.SimpleNamespace(root=root, params=params, name=model, skip=lambda out, reason: {"skipped": reason},
                                 recorder=Rows, log_model=lambda folder: None)


def test_the_stage_skips_what_is_not_asked_for_or_has_no_captions(street, tmp_path):
    assert stage.body(stage_run(street, settings(), "sdm")) == {"skipped": "tbps.sdm.train is false"}
    manifest = Manifest.read(street / "data/prepared/manifest.parquet")
    (tmp_path / "data/prepared").mkdir(parents=True)
    dataclasses.replace(manifest, captions=[[] for _ in manifest.captions]).write(
        tmp_path / "data/prepared/manifest.parquet")
    skipped = stage.body(stage_run(tmp_path, settings()))
    assert skipped == {"skipped": "no image of the dataset has a caption"}
    for splits, images in ((["query"], "training"), (["train"], "held-out")):
        described(manifest, splits).write(tmp_path / "data/prepared/manifest.parquet")
        reason = stage.body(stage_run(tmp_path, settings()))["skipped"]
        assert re.fullmatch(rf"none of \d+ {images} images has a caption", reason)
    figures = stage.body(stage_run(street, settings(*TWO_STEPS)))
    assert figures["pairs"] == 86 and figures["cut_sentences"] == 0
    assert (street / "models/tbps_clip/weights.safetensors").is_file()
