"""SAGA's end-to-end stage: its loss, what it trains at which rate, and which weights are kept."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_files import tiny_clip
from recorders import Rows
from saga_fakes import AUGMENTED, pixels, reid_model, training_images
from torch import Generator

from reanchor.clip.tokenizer import BytePairTokenizer
from reanchor.config.params import Params
from reanchor.methods.saga import run
from reanchor.methods.saga.batch import TokenBatch
from reanchor.methods.saga.build import build_head
from reanchor.methods.saga.end_to_end import stage4_job, stage4_losses
from reanchor.methods.saga.losses import stage3_losses
from reanchor.methods.saga.settings import Saga
from reanchor.training.loop import Outcome, Trainer
from reanchor.training.losses import batch_hard_triplet

TEXTS = torch.randn(3, 32, generator=Generator().manual_seed(3))
LABELS, SIDES, CAMERAS = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0, 1] * 3), torch.tensor([1, 2] * 3)
CONFIG = Saga(token_blocks=[2], text_anchors=4, refine_layers=1, identities=2, images=2, epochs_4=2, warmup_epochs_4=0,
              classifier_lr_factor=3.0)


def models():
    text, reid = tiny_clip().text_encoder(), reid_model()
    return build_head(CONFIG, reid, 3, text, BytePairTokenizer()), reid, text


def job_of(head, reid, text, config=CONFIG):
    return stage4_job(config, AUGMENTED, head, reid, text, training_images(), TEXTS, tiny_clip().spec, None)


def test_the_loss_is_stage_3s_and_a_tenth_of_stage_2s():
    head, reid, text = models()
    head.eval()  # no dropout; the reference below is a second pass
    got = stage4_losses(head, reid, text, pixels(), LABELS, SIDES, CAMERAS, TEXTS, CONFIG)
    encoded = reid.encode(pixels(), SIDES, (2,))
    third = stage3_losses(head(TokenBatch(encoded.taps[2][:, 1:]), head.anchors(text)), LABELS, head, CONFIG)
    scores = reid.classifier(reid.neck(encoded.cls))
    second = (0.25 * F.cross_entropy(scores, LABELS, label_smoothing=0.1) + batch_hard_triplet(encoded.cls, LABELS, 0.3)
              + F.cross_entropy(encoded.projected @ TEXTS.T, LABELS, label_smoothing=0.1))
    assert got["loss"].item() == pytest.approx((third["loss"] + 0.1 * second).item(), rel=1e-5)
    assert got["id"].item() == pytest.approx(third["id"].item(), rel=1e-5)


def test_backbone_and_head_learn_at_their_own_rates():
    head, reid, text = models()
    job = job_of(head, reid, text)
    rates = {id(p): group["lr"] for group in job.optimizer.param_groups for p in group["params"]}
    assert rates[id(reid.encoder.visual.conv1.weight)] == rates[id(reid.side.table)] == 5e-6
    assert rates[id(head.anchors.learnable)] == rates[id(head.refine[0][0].attn.in_proj_weight)] == 2e-5
    assert rates[id(head.classifiers[0].weight)] == pytest.approx(6e-5)
    assert {id(p) for p in job.module.parameters() if p.requires_grad} == set(rates)
    assert id(reid.neck.bias) not in rates and not any(p.requires_grad for p in text.parameters())
    assert [job.lr_factor(epoch, 0, 1) for epoch in (0, 1)] == [1.0, 0.75]  # cosine down to half


def test_two_epochs_move_the_backbone_and_repeat_bit_for_bit(tmp_path):
    ends = []
    for number in (1, 2):
        head, reid, text = models()
        before = reid.encoder.visual.conv1.weight.clone()
        rows = Rows()
        Trainer(job_of(head, reid, text), tmp_path / f"{number}.pt", "m", 0, rows).run()
        assert np.isfinite(rows.rows[-1]["loss"]) and {"cls_i2tce", "triplet"} <= set(rows.rows[-1])
        assert not torch.equal(before, reid.encoder.visual.conv1.weight)
        ends.append([*reid.state_dict().values(), *head.state_dict().values()])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


@pytest.mark.parametrize(("score", "kept", "epoch"), [(60.0, "earlier", 5), (70.0, "later", 7), (65.0, "later", 7)])
def test_the_earlier_weights_come_back_where_stage_4_is_worse(tmp_path, monkeypatch, score, kept, epoch):
    head, reid, text = models()
    before = {name: value.clone() for name, value in reid.state_dict().items()}

    class Spoiling:
        def __init__(self, job, path, mark, every, recorder):
            self.recorder = recorder

        def run(self):
            torch.nn.init.zeros_(reid.encoder.visual.conv1.weight)
            torch.nn.init.zeros_(head.classifiers[0].weight)
            self.recorder.log(4, {"epoch": 1})
            return Outcome([], 1, score, 100.0, 20)

    monkeypatch.setattr(run, "Trainer", Spoiling)
    monkeypatch.setattr(run, "read_text_features", lambda folder: TEXTS)
    params, rows = Params(saga=CONFIG), Rows()
    watch = type("Watch", (), {"score": None, "reid": type("Reid", (), {"model": reid, "device": "cpu"})})
    earlier = Outcome([], 5, 65.0, 90.0, 10)
    data, spec = training_images(), tiny_clip().spec
    outcome = run._stage4(params, earlier, head, text, data, spec, "mark", tmp_path, watch, rows)
    assert (outcome.best_epoch, outcome.steps, rows.rows) == (epoch, 30, [{"step": 14, "epoch": 7}])
    same = all(torch.equal(before[name], value) for name, value in reid.state_dict().items())
    assert same == (kept == "earlier") == bool(head.classifiers[0].weight.any())
    assert not any(p.requires_grad for p in reid.parameters()) and not reid.training
