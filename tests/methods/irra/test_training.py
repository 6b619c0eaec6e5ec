"""IRRA trained on a miniature street: it learns, resumes bit for bit, is chosen on held-out identities."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from recorders import Rows
from safetensors.torch import load_file
from text_factory import described, make_street, settings, small_clip

from reanchor.config.params import Params
from reanchor.data.prepare import prepare
from reanchor.errors import ReanchorError, Skipped
from reanchor.formats.manifest import Manifest
from reanchor.methods.irra import job
from reanchor.methods.irra.train import train_irra
from reanchor.methods.searchers import load_searcher
from reanchor.occlusion.suites import make_occluded
from reanchor.retrieval.sentence_validation import RULE, SentenceValidation
from reanchor.retrieval.validation import LAST_EPOCH
from reanchor.text.pairs import SentencePairs
from reanchor.training.loop import Trainer

pytestmark = pytest.mark.slow

SMALL = {"epochs": 2, "batch": 24, "new_lr_factor": 5.0, "bias_lr_factor": 2.0, "pad": 2, "blocks": 2, "occluded": 0.0}


def with_irra(**changes) -> Params:
    """The smoke study with settings of IRRA for a few seconds' work."""
    params = settings("method=irra")
    params.irra = dataclasses.replace(params.irra, **{**SMALL, **changes})
    return params


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    return with_backbone(make_street(tmp_path_factory.mktemp("street")))


@pytest.fixture(scope="module")
def nobody_held_out(tmp_path_factory) -> Path:
    """The same street, every identity trained on."""
    root = make_street(tmp_path_factory.mktemp("street"))
    params = settings("method=irra", "prepare.validation_share=0")
    for folder in ("prepared", "occluded"):
        (root / "data" / folder).rename(root / f"{folder}-before")
    prepare(params.prepare, root / "data/prepared", processes=1, workspace=root)
    make_occluded(params.occlude, root / "data/prepared", root / "data/occluded", processes=1)
    return with_backbone(root)


def with_backbone(root: Path) -> Path:
    (root / "models/backbone").mkdir(parents=True)
    small_clip().save(root / "models/backbone")
    return root


def trained(params, root: Path, out: Path) -> tuple[dict, list[dict]]:
    """The figures and the curve; no checkpoint is left."""
    recorder = Rows()
    figures = train_irra("irra", params, root, out, recorder)
    forget(root)
    return figures, recorder.rows


def forget(root: Path) -> None:
    for checkpoint in (root / ".checkpoints").glob("irra-*"):
        checkpoint.unlink()


@pytest.mark.parametrize("sentence", ["whole", "masked"])
def test_the_loss_falls_and_the_best_epoch_is_kept(street, tmp_path, sentence):
    figures, rows = trained(with_irra(epochs=4, sentence=sentence), street, tmp_path / "irra")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    for name in ("sdm", "id", "mlm", "loss"):
        assert rows[-1][name] < 0.99 * rows[0][name], name
    for row in rows:
        assert row["loss"] == pytest.approx(row["sdm"] + row["id"] + row["mlm"], rel=1e-5)
    scores = [row["score"] for row in rows]
    assert figures["val_score"] == max(scores) and figures["best_epoch"] == 1 + scores.index(max(scores))
    pairs = SentencePairs.open(street / "data/prepared", None, small_clip().spec)
    assert figures["pairs"] == len(pairs) and figures["train_steps"] == 4 * -(-len(pairs) // 24)
    assert figures["selection"] == RULE and figures["cut_sentences"] == figures["cut_validation_sentences"] == 0


def test_what_is_written_is_the_towers_of_the_chosen_epoch(street, tmp_path):
    figures, _ = trained(with_irra(), street, tmp_path / "irra")
    searcher = load_searcher(tmp_path / "irra")
    assert searcher.name == "irra" and not searcher.model.clean and searcher.context == 40
    validation = SentenceValidation.open(street / "data/prepared", street / "data/occluded")
    assert validation.score(searcher)["score"] == pytest.approx(figures["val_score"], abs=1e-6)
    written, state = (json.loads((tmp_path / "irra/model.json").read_text()),
                      load_file(tmp_path / "irra/weights.safetensors"))
    assert written["config"]["irra"]["batch"] == 24 and written["config"]["prepare"]["height"] == 64
    assert written["spec"]["interpolation"] == "bicubic"
    assert {name.split(".")[0] for name in state} == {"image", "text", "log_scale"}  # no classifier, no reader
    assert torch.equal(state["log_scale"], small_clip().network.logit_scale)
    before = load_file(street / "models/backbone/weights.safetensors")
    assert not torch.equal(state["image.visual.conv1.weight"], before["visual.conv1.weight"])


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop_at", [2, 6])
def test_a_killed_training_ends_with_the_same_bytes(street, tmp_path, monkeypatch, stop_at):
    params, whole, torn = with_irra(occluded=0.5), tmp_path / "whole", tmp_path / "torn"
    trained(params, street, whole)
    params.runtime.checkpoint_steps = 1
    losses, calls = job.irra_losses, []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == stop_at:
            raise Stop
        return losses(*arguments)

    monkeypatch.setattr(job, "irra_losses", stopping)
    with pytest.raises(Stop):
        train_irra("irra", params, street, torn, Rows())
    assert not torn.exists()
    train_irra("irra", params, street, torn, Rows())
    forget(street)
    steps = 2 * -(-len(SentencePairs.open(street / "data/prepared", None, small_clip().spec)) // 24)
    assert len(calls) == steps + 1 and steps > 6  # nothing was done twice
    for file in ("weights.safetensors", "model.json"):
        assert (torn / file).read_bytes() == (whole / file).read_bytes()


def test_another_seed_gives_other_weights(street, tmp_path):
    for seed in (0, 1):
        trained(with_irra(epochs=1, seed=seed), street, tmp_path / str(seed))
    first, second = ((tmp_path / seed / "weights.safetensors").read_bytes() for seed in "01")
    assert first != second


def test_with_nobody_held_out_the_last_epoch_is_kept(nobody_held_out, tmp_path, monkeypatch):
    manifest, last = Manifest.read(nobody_held_out / "data/prepared/manifest.parquet"), {}
    assert len(np.unique(manifest.pid[manifest.rows("train")])) == 24 and not len(manifest.rows("val"))
    end = Trainer._end_epoch

    def remember(self, steps):
        end(self, steps)
        last.update({name: value.clone() for name, value in self.job.module.state_dict().items()})

    monkeypatch.setattr(Trainer, "_end_epoch", remember)
    figures, rows = trained(with_irra(), nobody_held_out, tmp_path / "irra")
    assert figures["selection"] == LAST_EPOCH and "val_score" not in figures
    assert len(rows) == 2 and "score" not in rows[-1]
    for name, value in load_file(tmp_path / "irra/weights.safetensors").items():
        assert torch.equal(value, last[f"towers.{name}"]), name


def test_occluded_copies_and_a_shorter_context_are_read(street, tmp_path):
    with pytest.warns(UserWarning, match="longer than the context"):
        figures, _ = trained(with_irra(epochs=1, occluded=1.0, context=12), street, tmp_path / "occluded")
    assert figures["cut_sentences"] > 0
    assert load_searcher(tmp_path / "occluded").context == 12
    with pytest.warns(UserWarning, match="longer than the context"):
        trained(with_irra(epochs=1, context=12), street, tmp_path / "whole")
    one, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("occluded", "whole"))
    assert one != other


@pytest.mark.parametrize(("splits", "reason"), [
    ([], "no image of the dataset"), (["val"], r"none of \d+ training images"),
    (["train"], r"none of \d+ held-out images")])
def test_too_few_captions_are_no_task(street, tmp_path, splits, reason):
    manifest = Manifest.read(street / "data/prepared/manifest.parquet")
    (tmp_path / "data/prepared").mkdir(parents=True)
    described(manifest, splits).write(tmp_path / "data/prepared/manifest.parquet")
    with pytest.raises(Skipped, match=f"^{reason} has a caption$"):
        train_irra("irra", with_irra(), tmp_path, tmp_path / "irra", Rows())


def test_a_rate_that_bursts_names_the_term(street, tmp_path):
    with pytest.raises(ReanchorError, match=r"^irra: loss term '\w+' is (nan|inf)"):
        trained(with_irra(lr=1e6), street, tmp_path / "irra")
    forget(street)
