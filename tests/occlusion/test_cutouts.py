"""The occluder library this project draws."""

import json

import numpy as np
import pytest
from PIL import Image

from reanchor.errors import ReanchorError
from reanchor.occlusion.cutouts import CLASSES, VARIANTS, draw_cutout, write_library

PAPER = ("bench bike car card chair firehydrant motorbike pedestrian post roadsign stone "
         "bag kite suitcase umbrella")


def test_the_papers_classes():
    assert set(CLASSES) == set(PAPER.split()) and len(CLASSES) == 15 and VARIANTS == 4


@pytest.mark.parametrize("name", CLASSES)
def test_a_cutout_is_cropped_solid_and_unlike_its_siblings(name):
    pictures = [draw_cutout(name, variant, 64) for variant in range(1, 5)]
    for picture in pictures:
        alpha = np.asarray(picture)[..., 3]
        assert picture.mode == "RGBA" and max(picture.size) == 64
        assert alpha[0].any() and alpha[-1].any() and alpha[:, 0].any() and alpha[:, -1].any()
        assert (alpha > 127).mean() > 0.1
        assert ((alpha > 0) & (alpha < 255)).mean() < 0.4  # soft along the edge only
    assert len({np.asarray(picture.resize((32, 32))).tobytes() for picture in pictures}) == 4
    colours = [np.asarray(p)[np.asarray(p)[..., 3] > 127][:, :3].mean(0) for p in pictures]
    apart = [np.abs(a - b).max() for k, a in enumerate(colours) for b in colours[:k]]
    assert max(apart) > 25
    assert np.array_equal(np.asarray(draw_cutout(name, 2, 64)), np.asarray(pictures[1]))


def test_library_on_disk(tmp_path):
    write_library(tmp_path / "library", size=24)
    names = sorted(path.name for path in (tmp_path / "library").iterdir())
    assert names == sorted([f"{name}{k}.png" for name in CLASSES for k in range(1, 5)] + ["index.json"])
    index = json.loads((tmp_path / "library/index.json").read_text())
    assert len(index) == 60
    for entry in index:
        with Image.open(tmp_path / "library" / entry["file"]) as picture:
            assert picture.mode == "RGBA" and picture.size == (entry["width"], entry["height"])
        assert entry["file"].startswith(entry["class"])


@pytest.mark.parametrize("arguments, message", [
    (("tank", 1, 64), "occluder class: 'tank'; allowed: bag, bench"),
    (("car", 5, 64), "car variant: 5; allowed: 1 to 4"),
    (("car", 1, 4), "car size: 4 pixels; allowed: 8 or more"),
])
def test_bad_requests(arguments, message):
    with pytest.raises(ReanchorError, match=message):
        draw_cutout(*arguments)
