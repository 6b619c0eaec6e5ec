"""Stage 2 with the gate: its images are occluded as often as the gate's own setting says."""

from types import SimpleNamespace

import numpy as np
import pytest
from golden_files import tiny_clip
from saga_fakes import PLAIN, reid_model, training_images
from torch import Generator

from reanchor.config.params import Params
from reanchor.methods.clip_reid.settings import Finetune, FinetuneRecipe, LossWeights
from reanchor.methods.gate import train
from reanchor.methods.gate.settings import Gate
from reanchor.methods.gate.train import GateTraining


class Stream:
    """Keeps the chance that images are asked for with; nothing is drawn."""

    chance = None

    def batch(self, rows, chance, generator):
        self.chance = chance
        raise InterruptedError


@pytest.mark.parametrize("source", ["network", "shared"])
@pytest.mark.parametrize("chance", [0.0, 0.25])
def test_images_of_stage_2_are_occluded_with_the_gates_own_chance(monkeypatch, tmp_path, source, chance):
    monkeypatch.setattr(train.Validation, "open", lambda *folders: None)
    stream, jobs = Stream(), []
    finetune = FinetuneRecipe(identities=2, images=2, occluded=0.75, flip=PLAIN.flip)
    training = SimpleNamespace(
        params=Params(gate=Gate(source=source, occluded=0.9, occluded_stage2=chance),
                      finetune=Finetune(recipe=finetune)),
        weights=LossWeights(i2tce=0.0), data=training_images(), stream=lambda split: stream, prepared=tmp_path,
        occluded=tmp_path, root=tmp_path, device="cpu",
        run=lambda job, name: jobs.append(job) or SimpleNamespace(figures=dict))
    GateTraining._stage2(training, reid_model().requires_grad_(True), tiny_clip().spec)
    with pytest.raises(InterruptedError):
        jobs[0].losses(np.array([0, 1, 2, 3]), Generator())
    assert stream.chance == chance
