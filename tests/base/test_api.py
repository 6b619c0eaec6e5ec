"""`reanchor.load`: files, opened images and arrays give what the model gives of prepared pixels."""

import json

import numpy as np
import pytest
from golden_files import tiny_clip
from model_folders import EMBEDDERS, SIZE, write_model
from PIL import Image
from torch import Generator

import reanchor
from reanchor.data.decode import decode_image
from reanchor.errors import ReanchorError
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.side import SideSettings
from reanchor.methods.clip_reid.store import save_reid
from reanchor.methods.embedders import load_embedder

HEIGHT, WIDTH = SIZE
RNG = np.random.default_rng(0)
PHOTOS = [Image.fromarray(RNG.integers(0, 256, (90 + 10 * n, 40 + n, 3), dtype=np.uint8)) for n in range(5)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return {kind: write_model(kind, place / kind) for kind in (*EMBEDDERS, "mgcc")}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    place = tmp_path_factory.mktemp("photos")
    for number, photo in enumerate(PHOTOS):
        photo.save(place / f"{number}.png")
    return [place / f"{number}.png" for number in range(len(PHOTOS))]


@pytest.fixture(scope="module")
def by_camera(tmp_path_factory):
    """A model whose camera embeddings are far apart."""
    clip = tiny_clip()
    model = ReidModel(clip.image_encoder(), 3, SideSettings("camera", 3, 1, coefficient=20.0)).eval()
    model.initialise(Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("sie")
    save_reid(model, clip.spec, "clip_reid", folder)
    return folder


def prepared(paths, interpolation: str) -> np.ndarray:
    """As the stage `prepare` stores them."""
    return np.stack([decode_image(path, HEIGHT, WIDTH, 10**6, interpolation).pixels for path in paths])


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_files_give_the_bits_of_prepared_pixels(folders, files, kind):
    model, embedder = reanchor.load(folders[kind]), load_embedder(folders[kind])
    want = embedder.embed(prepared(files, embedder.preprocessing.interpolation or "bicubic"), np.zeros(5, int)).features
    got = model.embed(files)
    assert (got.dtype, got.shape) == (np.float32, want.shape) and np.array_equal(got, want)
    assert np.linalg.norm(got, axis=1) == pytest.approx([1] * 5, abs=1e-5)


@pytest.mark.parametrize(("said", "used"), [("bilinear", "bilinear"), ("bicubic", "bicubic"), ("", "bicubic")])
def test_the_model_s_own_resize_is_used(folders, files, tmp_path, said, used):
    for name in ("model.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((folders["clip_reid"] / name).read_bytes())
    values = json.loads((tmp_path / "model.json").read_text())
    values["spec"]["interpolation"] = said
    (tmp_path / "model.json").write_text(json.dumps(values))
    want = load_embedder(tmp_path).embed(prepared(files, used), np.zeros(5, int)).features
    assert np.array_equal(reanchor.load(tmp_path).embed(files), want)


def test_paths_images_and_arrays_are_one(folders, files):
    model = reanchor.load(str(folders["gate"]))
    want = model.embed(files)
    for pictures in ([str(file) for file in files], PHOTOS, [np.asarray(photo) for photo in PHOTOS], iter(PHOTOS),
                     [files[0], PHOTOS[1], np.asarray(PHOTOS[2]), str(files[3]), PHOTOS[4]]):
        assert np.array_equal(model.embed(pictures), want)
    fitting = prepared(files, model.reads.interpolation or "bicubic")
    assert np.array_equal(model.embed(fitting), want)  # an array [N, H, W, 3]
    for one in (str(files[2]), files[2], PHOTOS[2], np.asarray(PHOTOS[2])):
        assert np.array_equal(model.embed(one), model.embed([one])) and model.embed(one).shape == (1, want.shape[1])


def test_batches_change_no_row_and_no_order(folders, files):
    model, embedder = reanchor.load(folders["clip_reid"]), load_embedder(folders["clip_reid"])
    want = [embedder.embed(prepared(part, "bicubic"), np.zeros(len(part), int)).features
            for part in (files[:2], files[2:4], files[4:])]
    assert np.array_equal(model.embed(files, batch=2), np.concatenate(want))
    assert model.embed([]).shape == (0, want[0].shape[1]) and model.embed([]).dtype == np.float32


def test_a_photograph_is_turned_upright(folders, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    PHOTOS[0].rotate(90, expand=True).save(tmp_path / "lying.png", exif=exif)
    model = reanchor.load(folders["clip"])
    with Image.open(tmp_path / "lying.png") as opened:
        assert np.array_equal(model.embed([opened, tmp_path / "lying.png"]), model.embed([PHOTOS[0]] * 2))


def test_variant_and_flip_reach_the_model(folders, files):
    pixels = prepared(files, "bicubic")
    for given in ({"variant": "refined"}, {"flip": True}):
        want = load_embedder(folders["saga"], **given).embed(pixels, np.zeros(5, int)).features
        assert np.array_equal(reanchor.load(folders["saga"], **given).embed(files), want)


def test_an_unknown_camera_gets_the_mean_of_the_camera_embeddings(by_camera, files):
    model = reanchor.load(by_camera)
    told = [model.embed(files, camids=[camera] * 5) for camera in (1, 2, 3)]
    untold = model.embed(files)
    assert all(np.abs(untold - one).max() > 1e-3 for one in told)
    side = model.embedder.model.side
    side.table.copy_(side.table.mean(0).expand_as(side.table))  # every camera is the mean one
    assert np.abs(model.embed(files, camids=[1, 2, 3, 1, 2]) - untold).max() < 1e-5
    assert np.array_equal(model.embed(files, camids=[0] * 5), model.embed(files))


def test_wrong_input_is_one_line(folders, files, by_camera, tmp_path):
    model = reanchor.load(folders["clip_reid"])
    (tmp_path / "note.jpg").write_text("no picture")
    for pictures, said in (
            ([*files, tmp_path / "note.jpg"], r"note.jpg: unreadable: no JPEG, .*leave out this one"),
            (tmp_path / "none.jpg", "none.jpg: unreadable: No such file"),
            ([PHOTOS[0], PHOTOS[1].convert("I;16")], r"picture 1: unreadable: mode I;16"),
            ([np.asarray(PHOTOS[0]) / 255], r"floats from 0 to 1"), ([np.asarray(PHOTOS[0])[..., 0]], "grey"),
            ([None], r"pictures: got NoneType; allowed are paths"), (7, "pictures: got int; allowed are paths")):
        with pytest.raises(ReanchorError, match=said) as caught:
            model.embed(pictures)
        assert "\n" not in str(caught.value)
    with pytest.raises(ReanchorError, match="picture 4: oversized"):
        model.embed(PHOTOS, batch=2, max_pixels=130 * 44 - 1)
    with pytest.raises(ReanchorError, match="camids: got 2 for 5 images"):
        model.embed(files, camids=[1, 2])
    with pytest.raises(ReanchorError, match="camera 4 has no embedding"):
        reanchor.load(by_camera).embed(files, camids=[1, 2, 3, 4, 1])
    with pytest.raises(ReanchorError, match="batch: got 0"):
        model.embed(files, batch=0)
    for folder, device, said in ((tmp_path, "cpu", "no model here"), (folders["mgcc"], "cpu", "no single feature"),
                                 (folders["clip_reid"], "tpu", "allowed are auto, cpu, cuda")):
        with pytest.raises(ReanchorError, match=said):
            reanchor.load(folder, device)
