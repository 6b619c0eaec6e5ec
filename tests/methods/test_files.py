"""Picture files as a model reads them, and README's lines for it."""

import re

import numpy as np
import pytest
from model_folders import SIZE, write_model
from PIL import Image

from reanchor.data.photographs import read_images
from reanchor.errors import ReanchorError
from reanchor.formats.preprocessing import Preprocessing
from reanchor.methods.load import load_embedder
from reanchor.methods.load_searcher import load_searcher
from reanchor.retrieval.histogram import ColourHistogram

HEIGHT, WIDTH = SIZE
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 40, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_embedder(write_model("reid", tmp_path_factory.mktemp("reid")))


@pytest.mark.parametrize(("said", "used"), [("bilinear", Image.Resampling.BILINEAR),
                                            ("bicubic", Image.Resampling.BICUBIC), ("", Image.Resampling.BICUBIC)])
def test_files_are_resized_as_the_model_reads(model, tmp_path, monkeypatch, said, used):
    monkeypatch.setattr(model, "preprocessing", Preprocessing(*SIZE, said))
    PHOTO.save(tmp_path / "a.png")
    PHOTO.convert("L").save(tmp_path / "b.png")
    images = read_images([tmp_path / "a.png", str(tmp_path / "b.png")], model)
    assert (images.shape, images.dtype) == ((2, HEIGHT, WIDTH, 3), np.uint8)
    assert np.array_equal(images[0], np.asarray(PHOTO.resize((WIDTH, HEIGHT), used)))
    assert np.array_equal(images[1], np.asarray(PHOTO.convert("L").convert("RGB").resize((WIDTH, HEIGHT), used)))
    assert np.array_equal(read_images(tmp_path / "a.png", model), images[:1])
    assert model.embed(images, [1, 1]).features.shape[0] == 2


def test_a_photograph_is_turned_upright(model, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    PHOTO.rotate(90, expand=True).save(tmp_path / "lying.png", exif=exif)
    PHOTO.save(tmp_path / "upright.png")
    assert np.array_equal(*read_images([tmp_path / "lying.png", tmp_path / "upright.png"], model))


def test_no_file_gives_no_image(model):
    assert read_images([], model).shape == (0, HEIGHT, WIDTH, 3)


def test_a_searcher_is_asked_too(tmp_path):
    PHOTO.save(tmp_path / "a.png")
    searcher = load_searcher(write_model("mgcc", tmp_path / "model"))
    assert searcher.images(read_images([tmp_path / "a.png"], searcher))["whole"].shape[0] == 1


def test_files_that_are_no_pictures_are_named_in_one_line(model, tmp_path):
    PHOTO.save(tmp_path / "big.png")
    PHOTO.save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    (tmp_path / "note.txt").write_text("no picture")
    for name, said, limit in (("note.txt", "unreadable: no JPEG", 10**6), ("cut.jpg", "truncated", 10**6),
                              ("big.png", "oversized: 40 x 90 pixels", 3599), ("none.png", "unreadable: No", 10**6),
                              (".", "unreadable: Is a directory", 10**6)):
        with pytest.raises(ReanchorError, match=said) as caught:
            read_images([tmp_path / name], model, max_pixels=limit)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ReanchorError, match="histogram: reads images of any size"):
        read_images([tmp_path / "big.png"], ColourHistogram())


def test_readmes_lines_run_as_they_stand(root, tmp_path, monkeypatch):
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
               if "load_embedder" in block]
    write_model("saga", tmp_path / "models/saga")  # which reads 64 x 32
    PHOTO.resize((300, 500)).save(tmp_path / "person.jpg")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["features"].dtype == np.float32 and np.linalg.norm(names["features"], axis=1) == pytest.approx([1])
