"""Where a pasted stranger stands, and how its edge fades: against numbers worked out by hand."""

import math

import numpy as np
import pytest

from reanchor.formats.occlusion import bounding_box
from reanchor.occlusion.people import Frame, Stranger, Walk, paste_person

H, W = 96, 48
GROUND, OWN_GROUND, PERSON = 10, 90, 200  # of the frame, of the stranger's photograph, and the stranger


def stranger(shape: np.ndarray) -> Stranger:
    """Someone of one colour before their own background."""
    pixels = np.where(shape[..., None], np.uint8(PERSON), np.uint8(OWN_GROUND)).repeat(3, axis=2)
    return Stranger("other", np.dstack([pixels, shape * np.uint8(255)]), bounding_box(shape))


def upright(top: int, bottom: int, left: int = 10, right: int = 30) -> np.ndarray:
    shape = np.zeros((H, W), bool)
    shape[top:bottom, left:right] = True
    return shape


def paste(shape: np.ndarray, edge: str = "soft", scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The frame and the pasted alpha of someone who has walked in to a quarter of the width, and grown by nothing."""
    frame = np.full((H, W, 3), GROUND, np.uint8)
    return paste_person(frame, stranger(shape), Walk(False, 0.25, scale), 0.5, Frame(), edge)


@pytest.mark.parametrize(("top", "bottom"), [(0, 40), (30, 70), (56, 96), (8, 88)])
def test_a_stranger_keeps_its_height_and_vertical_place(top, bottom):
    image, alpha = paste(upright(top, bottom))
    rows = slice(top, bottom)
    assert bounding_box(alpha > 0) == (2, top, 22, bottom)  # 20 wide, its middle at a quarter of 48
    assert (image[rows, 2:22] == PERSON).all()
    changed = (image != GROUND).any(-1)
    assert changed.sum() == changed[rows, 2:22].sum()


@pytest.mark.parametrize(("top", "bottom", "rows"), [
    (0, 40, (0, 20)), (28, 68, (38, 58)), (56, 96, (76, 96))])  # the same share of the free height lies above
def test_a_smaller_stranger_stands_as_low_in_the_free_height(top, bottom, rows):
    _, alpha = paste(upright(top, bottom), scale=0.5)
    covered = np.flatnonzero((alpha >= 128).any(1))
    assert (covered[0], covered[-1] + 1) == rows


def test_a_feathered_edge_fades_inward_over_two_hundredths_of_the_height():
    _, alpha = paste(upright(8, 88))
    _, faded = paste(upright(8, 88), "feathered")
    assert (alpha == 255).sum() == 80 * 20 and (faded[alpha == 0] == 0).all()
    inward = faded[48, 2:12] / 255  # from the left edge to the middle
    want = [math.erf((depth + 0.5) / (0.02 * H) / math.sqrt(2)) for depth in range(10)]
    np.testing.assert_allclose(inward, want, atol=0.05)
    assert (np.diff(faded[48, 2:12].astype(int)) >= 0).all()


def test_nothing_outside_a_feathered_outline_changes():
    shape = upright(8, 88)
    shape[20:80, 19:21] = False  # between the legs a blur is more than half the person
    shape[40:44, :14] = False
    _, outline = paste(shape)
    image, faded = paste(shape, "feathered")
    assert (outline == 0).sum() > 0 and (faded[outline == 0] == 0).all() and (faded <= outline).all()
    assert (image[outline == 0] == GROUND).all()
    assert image.min() >= GROUND and image[faded > 250].min() > PERSON - 5
