"""CLIP-ReID's training transform: windows, mirror images and erased rectangles, by hand and by their shares."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_files import tiny_clip
from small_street import NO_TEXT, UNCHANGED, by_hand, noise, seeded, spec, street
from torch import Tensor
from torch.testing import assert_close

from reanchor.methods.clip_reid.finetune import finetune_job, stage2_losses
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.settings import FinetuneRecipe
from reanchor.training.images import augment


def offset(image: Tensor, original: np.ndarray, pad: int) -> tuple[int, int]:
    """The one window of the padded original that `image` is."""
    padded = by_hand(np.pad(original, ((pad, pad), (pad, pad), (0, 0))))
    height, width = image.shape[1:]
    found = [(top, left) for top in range(2 * pad + 1) for left in range(2 * pad + 1)
             if torch.allclose(image, padded[:, top:top + height, left:left + width], atol=1e-5)]
    assert len(found) == 1
    return found[0]


def test_augmented_images_are_windows_of_their_padded_originals():
    images = noise(120, 12, 6)
    got = augment(images, replace(UNCHANGED, pad=2), spec(), seeded())
    tops, lefts = zip(*(offset(one, original, 2) for one, original in zip(got, images, strict=True)), strict=True)
    assert set(tops) == set(lefts) == set(range(5))
    assert max(np.bincount(tops).max(), np.bincount(lefts).max()) < 60  # of 120; each of the five comes alike


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_augmented_images_are_mirrored_and_else_left_as_they_are(flip):
    images = noise(8, 12, 6)
    want = by_hand(images[:, :, ::-1] if flip else images)
    assert_close(augment(images, replace(UNCHANGED, flip=flip), spec(), seeded()), want, atol=1e-5, rtol=1e-5)


def test_augmented_images_have_a_rectangle_of_unit_noise():
    images = np.full((300, 24, 12, 3), 255, np.uint8)
    whole = by_hand(images)
    changed = augment(images, replace(UNCHANGED, erase=1.0), spec(), seeded()) - whole
    hit = (changed.abs() > 1e-5).any(1)  # [B, H, W]
    assert hit.flatten(1).any(1).all()
    for one in hit:
        rows, columns = one.any(1).nonzero(), one.any(0).nonzero()
        assert one[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1].all() and 0 < one.float().mean() < 0.4
    drawn = (changed + whole).permute(0, 2, 3, 1)[hit]  # on normalised values: neither scaled nor moved
    assert abs(drawn.mean()) < 0.02 and abs(drawn.std() - 1) < 0.02
    some = (augment(images, replace(UNCHANGED, erase=0.5), spec(), seeded()) - whole).abs().flatten(1).amax(1) > 1e-5
    assert 0.4 < some.float().mean() < 0.6


def test_stage_2_trains_on_augmented_images():
    data, model, config = street(), ReidModel(tiny_clip().image_encoder(), 3), FinetuneRecipe(identities=2, images=2)
    job = finetune_job("x", config, NO_TEXT, model, data, None, spec(), None)
    batch = job.batches(0)[0]
    got = job.losses(batch, seeded(5))["loss"]
    images, labels = data.images[data.rows[batch]], torch.from_numpy(data.labels[batch])
    want, whole = (stage2_losses(model, pixels, labels, None, NO_TEXT, None, 0.1, 0.3)["loss"]
                   for pixels in (augment(images, config, spec(), seeded(5)), by_hand(images)))
    assert_close(got, want)
    assert abs(got - whole) > 1e-3
