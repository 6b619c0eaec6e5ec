"""Cut-outs from photographs by Mask R-CNN: what is kept, by hand; torchvision's network with weights of a file."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import detection

from reanchor.cli.main import main
from reanchor.errors import ReanchorError
from reanchor.occlusion import harvest
from reanchor.occlusion.build import write_cutouts
from reanchor.occlusion.harvest import CLASSES, Harvest, cut_objects, harvest_library, load_detector
from reanchor.occlusion.library import PLACEMENT, load_library

H, W = 100, 90
CAR, BENCH, DOG = 3, 15, 18


def found(*objects):
    """What the network says of (label, score, box x0 y0 x1 y1): the mask is sure in the box, half-sure around it."""
    masks = torch.zeros(len(objects), 1, H, W)
    for mask, (_, _, (x0, y0, x1, y1)) in zip(masks[:, 0], objects, strict=True):
        mask[max(0, y0 - 1):y1 + 1, max(0, x0 - 1):x1 + 1] = 0.49
        mask[y0:y1, x0:x1] = 0.5
    return {"labels": torch.tensor([one[0] for one in objects]), "scores": torch.tensor([one[1] for one in objects]),
            "masks": masks}


class Detector(nn.Module):
    """Says of each photograph what is listed under its brightness."""

    def __init__(self, known):
        super().__init__()
        self.known = known

    def forward(self, images):
        assert images[0].shape == (3, H, W) and images[0].max() <= 1
        return [self.known[round(255 * images[0][0, 0, 0].item())]]


def photograph(path, value):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((H, W, 3), value, np.uint8)).save(path)


def test_an_object_is_cut_along_its_mask():
    pixels = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
    said = found((CAR, 0.9, (10, 20, 50, 60)))
    said["masks"][0, 0, 20:30, 10:20] = 0.2
    ((score, car),) = cut_objects("street.jpg", pixels, said, 0.8)
    assert (round(score, 3), car.name, car.kind, car.placement) == (0.9, "street.jpg#0", "car", "bottom")
    np.testing.assert_array_equal(car.pixels[..., :3], pixels[20:60, 10:50])
    expected = np.full((40, 40), 255)
    expected[:10, :10] = 0
    np.testing.assert_array_equal(car.pixels[..., 3], expected)


@pytest.mark.parametrize("thing", [
    (DOG, 0.99, (10, 10, 60, 60)), (CAR, 0.79, (10, 10, 60, 60)), (CAR, 0.99, (10, 10, 41, 60)),  # 31 wide
    (CAR, 0.99, (0, 10, 60, 60)), (CAR, 0.99, (10, 0, 60, 60)), (CAR, 0.99, (40, 10, W, 60)),
    (CAR, 0.99, (10, 40, 60, H)), (CAR, 0.99, (10, 10, 10, 10))])
def test_what_is_strange_unsure_small_or_cut_off_is_left(thing):
    assert list(cut_objects("a", np.zeros((H, W, 3), np.uint8), found(thing), 0.8)) == []


def test_the_surest_of_all_photographs_become_a_library(tmp_path):
    box = (10, 10, 60, 50)
    known = {40: found((CAR, 0.85, box), (BENCH, 0.9, box)), 80: found((CAR, 0.95, box)), 120: found((CAR, 0.9, box))}
    for value, name in ((40, "a.png"), (80, "b.png"), (120, "c.png")):
        photograph(tmp_path / "photos" / name, value)
    (tmp_path / "photos/d.jpg").write_text("no picture")
    with pytest.warns(UserWarning, match=r"d\.jpg: skipped"):
        index = harvest_library(tmp_path / "photos", tmp_path / "out", Detector(known), Harvest(per_class=2))
    assert [(one["file"], one["source"]) for one in index] == [
        ("bench1.png", "a.png#1"), ("car1.png", "b.png#0"), ("car2.png", "c.png#0")]
    assert json.loads((tmp_path / "out/index.json").read_text()) == index
    assert [(one.kind, one.pixels.shape, one.pixels[0, 0].tolist()) for one in load_library(tmp_path / "out")] == [
        ("bench", (40, 50, 4), [40, 40, 40, 255]), ("car", (40, 50, 4), [80, 80, 80, 255]),
        ("car", (40, 50, 4), [120, 120, 120, 255])]


def test_crops_are_shrunk_when_they_are_found_not_when_they_are_written(tmp_path, monkeypatch):
    rng, said, kept = np.random.default_rng(0), found((CAR, 0.9, (10, 10, 60, 90)), (BENCH, 0.9, (5, 5, 50, 95))), []
    pixels = rng.integers(0, 256, (H, W, 3), np.uint8)
    pixels[0, 0] = 40
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels).save(tmp_path / "photos/a.png")
    monkeypatch.setattr(harvest, "write_cutouts",
                        lambda out, cutouts, size: kept.extend(cutouts) or write_cutouts(out, cutouts, size))
    index = harvest_library(tmp_path / "photos", tmp_path / "out", Detector({40: said}), Harvest(), 32)
    assert [one.pixels.shape for one in kept] == [(32, 16, 4), (32, 20, 4)]
    whole = sorted((one for _, one in cut_objects("a.png", pixels, said, 0.8)), key=lambda one: one.kind)
    assert index == write_cutouts(tmp_path / "other", whole, 32)


def test_nothing_found_leaves_nothing(tmp_path):
    photograph(tmp_path / "photos/a.png", 40)
    with pytest.raises(ReanchorError, match="no object of the paper's classes in 1 photographs"):
        harvest_library(tmp_path / "photos", tmp_path / "out", Detector({40: found()}), Harvest())
    assert not (tmp_path / "out").exists()
    with pytest.raises(ReanchorError, match="no photograph in"):
        harvest_library(tmp_path / "nowhere", tmp_path / "out", Detector({}), Harvest())


def test_classes_are_the_papers_and_cocos():
    names = detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    coco = {names[label]: kind for label, kind in CLASSES.items()}
    assert coco == {"person": "pedestrian", "bicycle": "bike", "car": "car", "motorcycle": "motorbike",
                    "fire hydrant": "firehydrant", "stop sign": "roadsign", "bench": "bench", "backpack": "bag",
                    "umbrella": "umbrella", "handbag": "bag", "suitcase": "suitcase", "kite": "kite",
                    "chair": "chair"}
    assert set(CLASSES.values()) == set(PLACEMENT) - {"card", "post", "stone"}


@pytest.mark.parametrize("build", [detection.maskrcnn_resnet50_fpn, detection.maskrcnn_resnet50_fpn_v2])
def test_torchvisions_network_is_read_from_a_file(tmp_path, build):
    state = build(weights=None, weights_backbone=None).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    network = load_detector(tmp_path / "weights.pth", side=64)
    assert not network.training
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    photograph(tmp_path / "photos/a.png", 40)
    with pytest.raises(ReanchorError, match="no object"):  # random weights are never so sure
        harvest_library(tmp_path / "photos", tmp_path / "out", network, Harvest(score=0.99))


@pytest.mark.parametrize(("more", "message"), [
    (["--detector", "none.pth"], "--detector: no file at"), (["--detector", "other.pth"], "of another network"),
    (["--detector", "other.pth", "--score", "0"], "--score: got 0.0; allowed"),
    (["--detector", "other.pth", "--per-class", "0"], "--per-class: got 0; allowed")])
def test_bad_requests_are_one_line(tmp_path, monkeypatch, capsys, more, message):
    monkeypatch.chdir(tmp_path)
    torch.save({"layer.weight": torch.zeros(2)}, "other.pth")
    photograph(tmp_path / "photos/a.png", 40)
    assert main(["cutouts", "photos", "out", *more]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
