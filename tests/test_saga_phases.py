"""SAGA's two phases: which epoch is kept, and how its figures are counted."""

import numpy as np
import pytest
import torch

from reanchor.config.sections import Params
from reanchor.saga import run
from reanchor.training.loop import Outcome


class Head(torch.nn.Linear):
    def __init__(self):
        super().__init__(1, 1)

    def reset_classifiers(self, generator):
        torch.nn.init.constant_(self.weight, 0.0)


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
