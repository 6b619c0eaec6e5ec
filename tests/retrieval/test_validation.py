"""What models are chosen by: validation scores, fusion weights, the camera rule, marks of checkpoints."""

import numpy as np
import pytest
import torch
from torch import nn

from reanchor.formats.labels import Labels
from reanchor.methods.saga.features import fuse
from reanchor.methods.saga.fusion import choose_weights, equal_spreads, spread
from reanchor.methods.saga.watch import Watch
from reanchor.retrieval.study import Study
from reanchor.retrieval.validation import Validation
from reanchor.training import checkpoint


def view(rule: str) -> Validation:
    """Four gallery images of two people, each also a query; the feature of an image is its pixel."""
    pixels = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.1, 0.9]], dtype=np.float32)
    labels = Labels(np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2]))
    study = Study(pixels, labels, np.arange(4), np.arange(4), [], card_rule=rule)
    return Validation(study, [study.whole])


def test_a_query_never_finds_itself():
    # nearest but itself is the other person; its own comes third for people in the open, second for the others
    figures = view("none").score(lambda images, camids: images / np.linalg.norm(images, axis=1, keepdims=True))
    assert figures["val_mAP_whole"] == pytest.approx(100 * np.mean([1 / 3, 1 / 3, 1 / 2, 1 / 2]))
    assert figures["score"] == figures["val_mAP_whole"]


def test_fusion_weights_are_divided_by_each_parts_spread():
    generator = torch.Generator().manual_seed(0)
    wide, narrow = torch.randn(4, 6, generator=generator), 5 + 0.1 * torch.randn(4, 6, generator=generator)
    parts = [wide, narrow, narrow]
    weights, _ = choose_weights(view("none"), {"whole": parts}, parts, [1.0])
    spreads = spread(parts, parts)
    want = np.array([1 / s for s in spreads])
    assert weights == pytest.approx(tuple(want / want.sum()))
    assert spreads[0] > 10 * spreads[1]


def test_given_weights_count_as_they_are_or_for_equal_spreads():
    assert equal_spreads([2.0, 1.0, 1.0], [0.5, 0.25, 1.0]) == pytest.approx((4 / 9, 4 / 9, 1 / 9))
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(4, 6, generator=generator), 5 + 0.1 * torch.randn(4, 6, generator=generator),
             torch.randn(4, 3, generator=generator)]
    watch = Watch(nn.Identity(), None, None, (), view("none"))
    watch.parts = lambda images, labels: parts
    given = [2.0, 0.2, 0.05]
    raw, _ = watch.fusion([1.0], given)
    assert raw == pytest.approx(tuple(np.array(given) / 2.25))
    spreads, (equal, figures) = np.array(spread(parts, parts)), watch.fusion([1.0], given, equal=True)
    want = np.array(given) / spreads
    assert equal == pytest.approx(tuple(want / want.sum())) and equal != pytest.approx(raw)
    fused = fuse(parts, list(want)).numpy()
    scaled = watch.validation.score_features(fused, {"whole": fused})
    assert figures == {f"fused_{name}": value for name, value in scaled.items()}


@pytest.mark.parametrize(("cameras", "wanted", "rule"), [
    ([1, 2], "auto", "market"), ([1, 1], "auto", "none"), ([1, 1], "market", "market"), ([1, 2], "none", "none"),
])
def test_the_camera_rule_follows_the_cameras(cameras, wanted, rule):
    study = Study(np.zeros((2, 1, 1, 3), np.uint8), Labels(np.array([1, 1]), np.array(cameras)), np.array([0]),
                  np.array([1]), [])
    assert study.camera_rule(wanted) == rule


def test_a_mark_depends_on_settings_and_code(monkeypatch):
    module, other = "reanchor.methods.saga.run", "reanchor.methods.mgcc.train"
    before = checkpoint.fingerprint(module, {"lr": 1}, "data")
    assert before == checkpoint.fingerprint(module, {"lr": 1}, "data")
    assert before != checkpoint.fingerprint(module, {"lr": 2}, "data")
    assert before != checkpoint.fingerprint(other, {"lr": 1}, "data")
    monkeypatch.setattr(checkpoint, "code_sha256", lambda module: "other code")
    assert checkpoint.fingerprint(module, {"lr": 1}, "data") != before
