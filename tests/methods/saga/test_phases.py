"""SAGA's two phases: which epoch is kept, and how its figures are counted."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from golden_files import tiny_clip
from recorders import Rows
from saga_fakes import PLAIN, reid_model, training_images

from reanchor.clip.tokenizer import BytePairTokenizer
from reanchor.config.params import Params
from reanchor.methods.saga import run
from reanchor.methods.saga.build import build_head
from reanchor.methods.saga.settings import Saga
from reanchor.methods.saga.tokens import open_tokens
from reanchor.methods.saga.train import saga_job
from reanchor.training.loop import Outcome, Trainer


class Head(torch.nn.Linear):
    def __init__(self):
        super().__init__(1, 1)

    def reset_classifiers(self, generator):
        torch.nn.init.constant_(self.weight, 0.0)


@pytest.mark.parametrize(("phase", "rates", "factors"), [
    ("3a", [0.004, 0.032], [0.1, 0.55, 1.0, 1.0, 1.0]),  # constant behind the warm-up
    ("3b", [0.003, 0.024], [0.1, 0.55, 1.0, 0.8828427, 0.6, 0.3171573])])  # half a cosine towards .2
def test_each_phase_has_its_own_rate_and_schedule(phase, rates, factors):
    config = Saga(token_blocks=[2], text_anchors=4, refine_layers=1, identities=2, images=2, lr_a=0.004, lr_b=0.003,
                  epochs_a=5, epochs_b=6, warmup_epochs=2, min_lr_ratio=0.2, classifier_lr_factor=8.0)
    head = build_head(config, reid_model(), 3, tiny_clip().text_encoder(), BytePairTokenizer())
    job = saga_job(phase, config, head, None, None, np.array([0, 0, 1, 1, 2, 2]), None)
    assert [group["lr"] for group in job.optimizer.param_groups] == pytest.approx(rates)
    assert job.epochs == len(factors)
    assert [job.lr_factor(epoch, 0, 1) for epoch in range(job.epochs)] == pytest.approx(factors)


@pytest.mark.parametrize(("first", "second", "weight", "epoch", "score"), [
    (70.0, 60.0, 1.0, 2, 70.0),  # 3a's best epoch is the better one: its weights come back
    (60.0, 70.0, 2.0, 5, 70.0),
    (60.0, 60.0, 2.0, 5, 60.0),
])
def test_the_better_epoch_of_both_phases_is_kept(tmp_path, monkeypatch, first, second, weight, epoch, score):
    head, scores, logged = Head(), iter([first, second]), []

    class Trainer:
        def __init__(self, job, path, mark, every, recorder):
            self.job, self.recorder = job, recorder

        def run(self):
            torch.nn.init.constant_(head.weight, 1.0 if self.job == "3a" else 2.0)
            self.recorder.log(4, {"step": 4, "epoch": 1})
            return Outcome([], 2 if self.job == "3a" else 3, next(scores), 100.0, 10 if self.job == "3a" else 20)

    class Recorder:
        def log(self, step, values):
            logged.append((step, values["step"], values["epoch"]))

    monkeypatch.setattr(run, "Trainer", Trainer)
    monkeypatch.setattr(run, "saga_job", lambda phase, *rest: phase)
    params = Params()
    data = type("Data", (), {"labels": np.zeros(1)})
    watch = type("Watch", (), {"score": None})
    outcome = run._phases(params, head, None, None, data, "mark", tmp_path, watch, Recorder())
    assert head.weight.item() == weight
    assert (outcome.best_epoch, outcome.best_score, outcome.steps) == (epoch, score, 30)
    assert logged == [(4, 4, 1), (14, 14, 1 + params.saga.epochs_a)]


@pytest.mark.parametrize("classifiers", [1, 2])
def test_one_classifier_begins_3b_anew_and_two_go_on(tmp_path, monkeypatch, classifiers):
    config = Saga(cache="none", token_blocks=[2], text_anchors=4, identities=2, images=2, epochs_a=2, epochs_b=1,
                  views=1, draw_block=4, refine_layers=1, warmup_epochs=0, classifiers=classifiers, seed=3)
    text, scores, states = tiny_clip().text_encoder(), itertools.count(1.0), {}
    head = build_head(config, reid_model(), 3, text, BytePairTokenizer())

    class Watched(Trainer):
        """The trainer, and the head as each phase finds and leaves it."""

        def __init__(self, job, *more):
            self.name = job.name
            states[f"{self.name} before"] = {name: value.clone() for name, value in head.state_dict().items()}
            super().__init__(job, *more)

        def run(self):
            outcome = super().run()
            states[f"{self.name} after"] = {name: value.clone() for name, value in head.state_dict().items()}
            return outcome

    monkeypatch.setattr(run, "Trainer", Watched)
    tokens = open_tokens(tmp_path / "c.npy", reid_model(), training_images(), PLAIN, config, tiny_clip().spec)
    watch = SimpleNamespace(score=lambda: {"score": next(scores)})
    params = Params(saga=config)
    run._phases(params, head, text, tokens, training_images(), "mark", tmp_path, watch, Rows())
    left, found = states["saga 3a after"], states["saga 3b before"]
    anew = {name for name, value in found.items() if not torch.equal(value, left[name])}
    statistics = {"neck.running_mean", "neck.running_var", "neck.num_batches_tracked"}
    assert left["neck.num_batches_tracked"] > 0 and left["neck.running_mean"].abs().sum() > 0
    assert anew == ({"classifiers.0.weight", *statistics} if classifiers == 1 else set())
    if classifiers == 1:
        drawn = torch.empty(left["classifiers.0.weight"].shape).normal_(
            0, 0.001, generator=torch.Generator().manual_seed(4))  # saga.seed + 1
        assert torch.equal(found["classifiers.0.weight"], drawn)
        assert [found[name].unique().tolist() for name in sorted(statistics)] == [[0], [0.0], [1.0]]
