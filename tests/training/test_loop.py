"""The training loop: exact resume, best epoch, and losses that stop being finite."""

import pytest
import torch
from toy_training import Curve, Stop, make_job, stop_at, train

from reanchor.errors import ReanchorError
from reanchor.training.device import uses_bf16
from reanchor.training.loop import Trainer


@pytest.mark.parametrize("step", range(2, 13))
def test_an_interrupted_run_ends_with_the_same_weights(tmp_path, step):
    whole, outcome, curve = train(tmp_path / "a.pt", every=0)
    with pytest.raises(Stop):
        train(tmp_path / "b.pt", at_step=stop_at(step))
    again, resumed, curve_again = train(tmp_path / "b.pt")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert resumed.history == outcome.history and curve_again.rows == curve.rows
    assert resumed.steps == outcome.steps == 12


def test_a_checkpoint_of_other_settings_is_not_continued(tmp_path):
    train(tmp_path / "a.pt")
    job = make_job()
    Trainer(job, tmp_path / "a.pt", "another mark", 0, Curve()).run()
    whole, _, _ = train(tmp_path / "c.pt")
    assert all(torch.equal(whole[name], value) for name, value in job.module.state_dict().items())


def test_the_epoch_with_the_best_score_is_kept(tmp_path):
    kept, outcome, _ = train(tmp_path / "a.pt", scores=[1.0, 7.0, 7.0, 2.0])
    assert (outcome.best_epoch, outcome.best_score) == (2, 7.0)
    snapshots = []
    job = make_job()

    def validate():
        snapshots.append({name: value.clone() for name, value in job.module.state_dict().items()})
        return {"score": 0.0}

    job.validate = validate
    Trainer(job, tmp_path / "b.pt", "mark", 0, Curve()).run()
    assert all(torch.equal(kept[name], snapshots[1][name]) for name in kept)


def test_a_loss_that_is_not_finite_stops_with_its_term(tmp_path):
    with pytest.raises(ReanchorError, match=r"toy: loss term 'extra' is nan at epoch 2, step 2"):
        train(tmp_path / "a.pt", bad=5)


def test_rates_follow_the_factor(tmp_path):
    _, outcome, _ = train(tmp_path / "a.pt")
    assert [row["lr"] for row in outcome.history] == pytest.approx([0.05, 0.025, 0.05 / 3, 0.0125])


def test_auto_precision_follows_the_processor(tmp_path, monkeypatch):
    facts = tmp_path / "cpuinfo"
    monkeypatch.setattr("reanchor.training.device.Path", lambda name: facts)
    for text, expected in (("flags : avx512f avx512_bf16", True), ("flags : avx512f avx512_vnni", False)):
        facts.write_text(text)
        assert uses_bf16("auto", "cpu") is expected
        assert uses_bf16("bf16", "cpu") and not uses_bf16("fp32", "cpu")
    facts.unlink()
    assert not uses_bf16("auto", "cpu")
