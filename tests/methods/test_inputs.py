"""Pictures and cameras that a model cannot read are refused in one line; what it can read gives the same features."""

import numpy as np
import pytest
import torch
from model_folders import EMBEDDERS, KINDS, SIZE, write_model

from reanchor.errors import ReanchorError
from reanchor.formats.incoming import checked_images
from reanchor.methods.embedders import load_embedder
from reanchor.methods.flip import FlipBeside
from reanchor.methods.histogram.embedder import ColourHistogram
from reanchor.methods.searchers import load_searcher

IMAGES = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)
FLOATS = IMAGES / 255
CAMERAS = np.array([1, 2, 1])
REFUSED = {  # what is given, and what the line says of it
    "swapped": (IMAGES.transpose(0, 2, 1, 3), r"uint8 \[3, 32, 64, 3\] \(height and width are swapped\).*"
                r"resize\(\(32, 64\)\), width first.*images.transpose\(0, 2, 1, 3\)"),
    "another size": (np.zeros((3, 64, 48, 3), np.uint8), r"\(64 x 48, height x width\).*resize\(\(32, 64\)\)"),
    "as many patches": (np.zeros((3, 128, 16, 3), np.uint8), r"\(128 x 16, height x width\)"),
    "floats to 1": (FLOATS, r"float64 .*floats from 0 to 1.*np.round\(images \* 255\).astype\(np.uint8\)"),
    "floats to 255": (IMAGES.astype(np.float32), r"float32 .*values from 0 to 255.*np.round\(images\).astype"),
    "normalised": ((FLOATS - 0.5) / 0.5, "values from -1 to 1.*the model normalises them itself"),
    "big-endian": (IMAGES.astype(">u2"), r"values from 0 to 255.*astype\(np.uint8\)"),
    "16 bits": (IMAGES.astype(np.uint16) * 257, "values from 0 to 6.*give pixels from 0 to 255"),
    "true and false": (IMAGES > 127, r"bool .*astype\(np.uint8\) \* 255"),
    "text": (IMAGES.astype(str), "no pixels of one byte"),
    "no number": (np.full(IMAGES.shape, np.nan), "no pixels of one byte"),
    "channels first": (IMAGES.transpose(0, 3, 1, 2), r"channels come first.*transpose\(0, 2, 3, 1\)"),
    "one picture": (IMAGES[0], r"a single picture.*images\[None\]"),
    "one, channels first": (IMAGES[0].transpose(2, 0, 1), r"channels first.*transpose\(1, 2, 0\)\[None\]"),
    "grey": (IMAGES[:2, ..., 0], r"grey pictures.*np.repeat\(images\[..., None\], 3, axis=3\)"),
    "grey with an axis": (IMAGES[..., :1], r"grey.*np.repeat\(images, 3, axis=3\)"),
    "transparent": (np.zeros((3, *SIZE, 4), np.uint8), r"a fourth channel.*images\[..., :3\]"),
    "one grey picture": (IMAGES[0, ..., 0], "no batch of RGB pictures"),
    "a list of sizes": ([IMAGES[0], IMAGES[1, :40]], "what makes no array.*one array"),
    "nothing": ([], "no batch of RGB pictures"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {kind: write_model(kind, folder / kind) for kind in KINDS}


def refusal(call) -> str:
    with pytest.raises(ReanchorError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", [*KINDS, "flip", "flip beside", "zero-shot search"])
def test_every_model_refuses_swapped_sides_and_floats(models, kind):
    name = kind if kind in models else "clip_reid" if "flip" in kind else "clip"
    if kind in ("mgcc", "zero-shot search"):
        read = load_searcher(models[name]).images
    else:
        model = load_embedder(models[name], flip=kind == "flip")
        model = FlipBeside(model) if kind == "flip beside" else model

        def read(images):
            return model.embed(images, np.ones(len(images), int))
    read(IMAGES)
    for case in ("swapped", "floats to 1"):
        images, said = REFUSED[case]
        with pytest.raises(ReanchorError, match=said):
            read(images)


@pytest.mark.parametrize("case", REFUSED)
def test_the_line_names_what_came_what_is_allowed_and_the_remedy(models, case):
    images, said = REFUSED[case]
    with pytest.raises(ReanchorError, match=said) as caught:
        load_embedder(models["clip_reid"]).embed(images, CAMERAS[:len(images)])
    line = str(caught.value)
    assert line.startswith("clip_reid: images: got ") and "allowed is uint8 [N, 64, 32, 3], RGB: " in line
    assert "\n" not in line


@pytest.mark.parametrize("case", ["floats to 1", "channels first", "grey", "transparent", "one picture"])
def test_the_histogram_reads_any_size_but_no_other_layout(case):
    images, said = REFUSED[case]
    with pytest.raises(ReanchorError, match="^histogram: images: .*" + said):
        ColourHistogram().embed(images, CAMERAS)
    assert ColourHistogram().embed(REFUSED["swapped"][0], CAMERAS).features.shape == (3, 768)
    assert "height of 5" in refusal(lambda: ColourHistogram().embed(IMAGES[:, :5], CAMERAS))
    assert "without pixels" in refusal(lambda: ColourHistogram().embed(IMAGES[:, :, :0], CAMERAS))


def test_layouts_in_memory_do_not_matter(models):
    model = load_embedder(models["clip_reid"])
    want = model.embed(IMAGES, CAMERAS).features
    twice, frozen = np.repeat(IMAGES, 2, axis=2)[:, :, ::2], IMAGES.copy()
    frozen.flags.writeable = False
    for images in (twice, np.asfortranarray(IMAGES), frozen, IMAGES[:, :, ::-1][:, :, ::-1], list(IMAGES),
                   torch.from_numpy(IMAGES)):
        assert np.array_equal(model.embed(images, CAMERAS).features, want)
    flipped = load_embedder(models["clip_reid"], flip=True)
    assert np.array_equal(flipped.embed(list(IMAGES), CAMERAS).features, flipped.embed(IMAGES, CAMERAS).features)
    for cameras in (CAMERAS.tolist(), CAMERAS.astype(">i4"), CAMERAS.astype(np.uint8), tuple(CAMERAS)):
        assert np.array_equal(model.embed(IMAGES, cameras).features, want)


def test_good_pixels_are_handed_on_without_a_copy():
    assert checked_images(IMAGES, SIZE, "x") is IMAGES


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_cameras_and_views_are_one_integer_for_each_image(models, kind):
    model = load_embedder(models[kind])
    for cameras, said in ((CAMERAS[:2], "camids: got 2 for 3 images"), (CAMERAS[:, None], r"got int64 \[3, 1\]"),
                          (CAMERAS + 0.5, r"camids: got float64 \[3\]; allowed are integers"), (1, r"got int64 \[\]"),
                          (["1", "2", "1"], "allowed are integers"), (CAMERAS > 1, "camids: got bool"),
                          (None, "camids: got object"), ([[1], [2, 3], [4]], "camids: got what makes no array")):
        with pytest.raises(ReanchorError, match=said):
            model.embed(IMAGES, cameras)
    if kind != "dual":
        assert "viewids: got 2 for 3" in refusal(lambda: model.embed(IMAGES, CAMERAS, CAMERAS[:2]))


@pytest.mark.parametrize("kind", EMBEDDERS)
@pytest.mark.parametrize("flip", [False, True])
def test_no_image_gives_no_feature_of_the_same_width(models, kind, flip):
    model = load_embedder(models[kind], flip=flip)
    some, none = model.embed(IMAGES, CAMERAS), model.embed(IMAGES[:0], CAMERAS[:0])
    for name, features in some.rows("m").items():
        got = none.rows("m")[name]
        assert (got.shape, got.dtype) == ((0, features.shape[1]), np.float32)
    if some.token_weights is not None:
        assert none.token_weights.shape == (0, some.token_weights.shape[1])
    assert model.embed(IMAGES[:0], []).features.shape == none.features.shape


def test_searchers_and_the_histogram_take_no_image(models):
    for kind in ("clip", "dual", "mgcc"):
        searcher = load_searcher(models[kind])
        some, none = searcher.images(IMAGES), searcher.images(IMAGES[:0])
        assert {name: (0, *value.shape[1:]) for name, value in some.items()} == {
            name: tuple(value.shape) for name, value in none.items()}
    assert ColourHistogram().embed(IMAGES[:0], CAMERAS[:0]).features.shape == (0, 768)


def test_the_image_side_of_two_towers_is_an_embedder(models):
    model = load_embedder(models["dual"])
    found = model.embed(IMAGES, CAMERAS)
    want = load_searcher(models["dual"]).images(IMAGES)["feature"].numpy()
    assert np.array_equal(found.features, want) and not found.variants and found.token_weights is None
    assert (model.name, model.grid, model.preprocessing.height, model.preprocessing.width) == (
        "tbps_clip", (4, 2), 64, 32)
    assert np.linalg.norm(found.features, axis=1) == pytest.approx(1, abs=1e-6)


def test_folders_without_an_embedder_are_one_line(models, tmp_path):
    line = refusal(lambda: load_embedder(models["mgcc"]))
    assert "kind 'mgcc' has no single feature of an image; allowed are clip, clip_reid" in line
    assert "load_searcher" in line
    for kind in ("clip_reid", "saga", "gate"):
        assert f"kind '{kind}' reads no sentences" in refusal(lambda kind=kind: load_searcher(models[kind]))
    for load in (load_embedder, load_searcher):
        assert "no model here; run the stage" in refusal(lambda load=load: load(tmp_path))
        (tmp_path / "skipped.json").write_text('{"reason": "finetune.baseline.train is false"}')
        assert "its stage was skipped (finetune.baseline.train is false)" in refusal(lambda load=load: load(tmp_path))
        for text, said in (('{"kind": "other"}', "kind 'other'"), ('{"spec": {}}', "tells no kind"),
                           ("[]", "tells no kind"), ("{", "no JSON")):
            (tmp_path / "model.json").write_text(text)
            assert said in refusal(lambda load=load: load(tmp_path))
        (tmp_path / "model.json").unlink()
        (tmp_path / "skipped.json").unlink()
