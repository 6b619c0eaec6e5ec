"""Checkpoints of CLIP-ReID's authors in: exact features, and one plain line for each that does not fit."""

import json

import numpy as np
import pytest
import torch
from authors_files import TINY, golden_checkpoint, resnet_checkpoint, vit_checkpoint, write
from golden_files import FORWARD, golden, tiny_clip, tiny_resnet_clip
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from reanchor.clip.vision import resize_positions
from reanchor.errors import ReanchorError
from reanchor.methods.clip_reid.model import ReidModel, retrieval_feature
from reanchor.methods.clip_reid.store import read_reid, save_reid
from reanchor.methods.embedders import load_embedder
from reanchor.methods.imported.importing import import_model
from reanchor.methods.imported.outcome import figures, table
from reanchor.methods.imported.settings import Imported
from reanchor.printing import plain


def brought_in(state: object, folder, **settings):
    """(model, spec, outcomes by group) of a checkpoint that holds `state`."""
    path = write(state, folder / "checkpoint.pth")
    outcomes = import_model(Imported(path=str(path), **settings), folder / "out")
    model, spec, name = read_reid(folder / "out")
    assert name == "imported"
    return model.eval(), spec, {each.group: each for each in outcomes}


def refused(state: object, folder, message: str, **settings) -> None:
    path = write(state, folder / "checkpoint.pth")
    with pytest.raises(ReanchorError, match=message) as caught:
        import_model(Imported(path=str(path), **settings), folder / "out")
    assert "\n" not in str(caught.value) and not (folder / "out").exists()


def eval_features(model, cams=None) -> tuple[torch.Tensor, torch.Tensor]:
    """Test features of the golden images before and behind the necks."""
    features = model.encode(golden("B_model_stage2")["image"], cams).features
    return retrieval_feature(features), retrieval_feature(model.after_neck(features))


@torch.inference_mode()
def test_an_authors_model_gives_their_features(tmp_path):
    want = golden("B_model_stage2")
    model, spec, parts = brought_in(golden_checkpoint(), tmp_path, sie_coefficient=3.0, **TINY)
    before, after = eval_features(model, want["cam"].long())
    assert_close(before, want["eval_before"], **FORWARD)
    assert_close(after, want["eval_after"], **FORWARD)
    assert_close(eval_features(model)[0], want["eval_before_nocam"], **FORWARD)
    assert (spec.image_size, spec.mean, spec.interpolation) == ((64, 32), (0.5, 0.5, 0.5), "bilinear")
    assert model.side.index([1, 4]).tolist() == [0, 3]
    assert {name: each.outcome for name, each in parts.items()} == {
        "image_encoder": "used", "classifier": "used", "classifier_proj": "used", "bottleneck": "used",
        "bottleneck_proj": "used", "cv_embed": "used", "prompt_learner": "used", "text_encoder": "dropped"}
    assert parts["classifier"].note == "7 identities" and "3 blocks of width 64" in parts["image_encoder"].note


def test_the_record_in_model_json_says_where_it_came_from(tmp_path):
    path = write(golden_checkpoint(), tmp_path / "checkpoint.pth")
    outcomes = import_model(Imported(path=str(path), **TINY), tmp_path / "out")
    record = json.loads((tmp_path / "out/model.json").read_text())["imported"]
    assert record["source"] == "checkpoint.pth" and len(record["sha256"]) == 64
    assert record["settings"]["height"] == 64 and "path" not in record["settings"]
    assert [part["group"] for part in record["parts"]] == [each.group for each in outcomes]
    counts = figures(outcomes)
    assert counts["tensors_used"] + counts["tensors_dropped"] == len(golden_checkpoint())
    assert plain(table(outcomes)).splitlines()[0].split() == ["group", "outcome", "tensors", "note"]
    context = load_file(tmp_path / "out/prompts.safetensors")["context"]
    assert torch.equal(context, golden("B_model_stage2")["cls_ctx"])


@pytest.mark.parametrize("form", ["module", "state_dict", "model", "safetensors"])
def test_every_wrapping_is_taken_off(tmp_path, form):
    state = golden_checkpoint()
    plain, _, _ = brought_in(state, tmp_path, **TINY)
    if form == "safetensors":
        save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "c.safetensors")
        import_model(Imported(path=str(tmp_path / "c.safetensors"), **TINY), tmp_path / "out")
        model = read_reid(tmp_path / "out")[0]
    else:
        wrapped = {f"module.{k}": v for k, v in state.items()}
        model, _, _ = brought_in(wrapped if form == "module" else {form: wrapped, "epoch": 60}, tmp_path, **TINY)
    for name, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_half_precision_becomes_fp32(tmp_path):
    half = {k: v.half() if v.is_floating_point() else v for k, v in golden_checkpoint().items()}
    model, _, parts = brought_in(half, tmp_path, **TINY)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.equal(model.classifier.weight.half(), half["classifier.weight"])
    assert "float16" in parts["image_encoder"].note


@pytest.mark.parametrize(("size", "stride", "grid"), [
    ((256, 128), 0, (16, 8)), ((256, 128), 12, (21, 10)), ((256, 256), 0, (16, 16)), ((256, 256), 12, (21, 21)),
])
def test_published_sizes_and_strides_are_read_off_the_positions(tmp_path, size, stride, grid):
    model, spec, _ = brought_in(vit_checkpoint(size, stride), tmp_path)
    assert (spec.image_size, spec.stride, model.encoder.grid) == (size, stride, grid)
    assert model.encoder.visual.conv1.stride[0] == (stride or 16)


def test_another_size_resizes_the_positions(tmp_path):
    state = vit_checkpoint((256, 128))
    model, spec, parts = brought_in(state, tmp_path, height=384, width=128)
    want = resize_positions(state["image_encoder.positional_embedding"], (16, 8), (24, 8))
    assert torch.equal(model.encoder.visual.positional_embedding.data, want) and spec.image_size == (384, 128)
    note = parts["image_encoder.positional_embedding"]
    assert note.outcome == "resized" and "16x8" in note.note and "24x8" in note.note
    model, spec, _ = brought_in(state, tmp_path, stride=12)  # read with more overlap than it was trained with
    assert (spec.image_size, spec.stride, model.encoder.grid) == ((256, 128), 12, (21, 10))


@pytest.mark.parametrize(("settings", "message"), [
    ({}, r"positional_embedding: its 9 positions fit none of 256x128 stride 16 \(129\), 256x128 stride 12 \(211\), "
         r"256x256 stride 16 \(257\), 256x256 stride 12 \(442\); give the --height, --width and --stride"),
    ({"height": 64, "width": 64}, r"its 9 positions fit none of 64x64 stride 16 \(17\)"),
    ({"height": 64}, r"got --height 64 and --width 0 .*allowed: both, or neither"),
    ({"height": 64, "width": 32, "stride": 17}, r"got --stride 17 .*allowed: 1 to 16, its patch size"),
])
def test_a_grid_that_cannot_be_told_names_sizes_and_flags(tmp_path, settings, message):
    refused(golden_checkpoint(), tmp_path, message, **settings)


def test_an_ambiguous_grid_names_its_candidates(tmp_path):
    state = vit_checkpoint((32, 32))  # 2 x 2 patches, overlapping or not
    refused(state, tmp_path, r"its 5 positions fit 32x32 stride 16 and 32x32 stride 12 alike; give --stride",
            height=32, width=32)
    assert brought_in(state, tmp_path, height=32, width=32, stride=12)[1].stride == 12


@torch.inference_mode()
def test_a_resnet_is_read_with_imagenet_s_pixels(tmp_path):
    state = resnet_checkpoint()
    state["cv_embed"] = torch.zeros(6, 128)  # their code makes the table and never reads it
    model, spec, parts = brought_in(state, tmp_path)
    assert spec.image_size == (256, 128) and spec.mean == (0.485, 0.456, 0.406) and model.side is None
    assert parts["cv_embed"].outcome == "dropped" and "ResNet" in parts["cv_embed"].note
    images = torch.randn(2, 3, 256, 128, generator=torch.Generator().manual_seed(0))
    want = tiny_resnet_clip((256, 128)).image_encoder().eval()(images).projected
    assert torch.equal(model.encode(images, None).projected, want)
    assert torch.equal(model.neck.running_mean, state["bottleneck.running_mean"])
    (tmp_path / "x").mkdir()
    refused(resnet_checkpoint(), tmp_path / "x", "got --stride 12 .*a ResNet has no patches", stride=12)


@pytest.mark.parametrize(("rows", "settings", "kind", "last"), [
    (4, {}, "camera", 3), (4, {"cameras": 4}, "camera", 3), (4, {"views": 4, "cameras": 1}, "view", 3),
    (24, {"cameras": 6}, "both", 23), (24, {"cameras": 6, "views": 4}, "both", 23),
])
def test_sie_rows_are_cameras_times_views(tmp_path, rows, settings, kind, last):
    state = golden_checkpoint() | {"cv_embed": torch.arange(rows * 64.0).view(rows, 64)}
    model, _, _ = brought_in(state, tmp_path, **TINY, **settings)
    side = model.side.settings
    assert (side.kind, side.cameras * side.views, side.tokens, side.coefficient) == (kind, rows, "cls", 1.0)
    assert model.side.index(np.array([side.cameras]), np.array([side.views])).tolist() == [last]
    assert torch.equal(model.side.table.data, state["cv_embed"])


@pytest.mark.parametrize(("rows", "settings", "message"), [
    (4, {"cameras": 6}, "cv_embed: has 4 rows, got --cameras 6 and --views 0 .*product is 4, or --sie-tokens none"),
    (4, {"cameras": 3, "views": 2}, "has 4 rows, got --cameras 3 and --views 2"),
    (160, {}, "has 160 rows, cameras times views; give both --cameras and --views .*20 and 8 for VeRi-776"),
])
def test_sie_of_other_cameras_is_named(tmp_path, rows, settings, message):
    refused(golden_checkpoint() | {"cv_embed": torch.zeros(rows, 64)}, tmp_path, message, **TINY, **settings)


def test_sie_can_be_left_out_and_settings_without_a_table_are_refused(tmp_path):
    model, _, parts = brought_in(golden_checkpoint(), tmp_path, sie_tokens="none", **TINY)
    assert model.side is None and parts["cv_embed"].outcome == "dropped"
    (tmp_path / "x").mkdir()
    refused(vit_checkpoint((256, 128)), tmp_path / "x", "has no cv_embed, .*leave out --cameras", cameras=6)
    refused(golden_checkpoint() | {"cv_embed": torch.zeros(4, 2, 64)}, tmp_path / "x",
            r"cv_embed is \(4, 2, 64\); allowed: \[rows, width\]", **TINY)
    refused(golden_checkpoint() | {"cv_embed": torch.zeros(4, 32)}, tmp_path / "x",
            r"cv_embed is \(4, 32\); allowed: \(4, 64\)", **TINY)


@torch.inference_mode()
def test_transreid_s_table_is_added_to_every_token(tmp_path):
    state = golden_checkpoint()
    state["sie_embed"] = state.pop("cv_embed").unsqueeze(1)
    model, _, _ = brought_in(state, tmp_path, **TINY)
    assert (model.side.settings.tokens, model.side.settings.coefficient) == ("all", 3.0)
    want = golden("B_model_stage2")
    side = 3.0 * want["cv_embed"][want["cam"].long()].unsqueeze(1)
    encoder = tiny_clip().image_encoder().eval()
    assert_close(model.encode(want["image"], want["cam"].long()).projected, encoder(want["image"], side).projected)


def test_what_else_a_checkpoint_holds_is_reported(tmp_path):
    state = golden_checkpoint() | {"classifier_1.weight": torch.zeros(7, 64), "b1.0.norm.weight": torch.zeros(64),
                                   "sie_embed": torch.zeros(4, 1, 64), "logit_scale": torch.tensor(4.6)}
    _, _, parts = brought_in(state, tmp_path, **TINY)
    for group in ("classifier_1", "b1", "logit_scale"):
        assert parts[group].outcome == "dropped" and parts[group].tensors == 1
    assert "a second table, cv_embed is read" in parts["sie_embed"].note


def test_heads_that_are_missing_are_reported_and_the_features_stay(tmp_path):
    state = {k: v for k, v in golden_checkpoint().items() if not k.startswith(("classifier", "bottleneck"))}
    model, _, parts = brought_in(state, tmp_path, sie_coefficient=3.0, **TINY)
    assert {parts[n].outcome for n in ("classifier", "classifier_proj", "bottleneck", "bottleneck_proj")} == {"missing"}
    want = golden("B_model_stage2")
    with torch.inference_mode():
        assert_close(eval_features(model, want["cam"].long())[0], want["eval_before"], **FORWARD)


@pytest.mark.parametrize(("change", "message"), [
    ({"image_encoder.ln_pre.weight": torch.zeros(32)}, r"image_encoder.ln_pre.weight is \(32,\); allowed: \(64,\)"),
    ({"image_encoder.ln_post.bias": None}, "image_encoder.ln_post.bias is missing"),
    ({"image_encoder.transformer.resblocks.1.ln_1.weight": None}, "is unknown to CLIP-ReID's network|is missing"),
    ({"image_encoder.adapter.weight": torch.zeros(2)}, "image_encoder.adapter.weight is unknown"),
    ({"image_encoder.proj": None}, "image_encoder.proj is missing; allowed: a tensor of 2 dimensions"),
    ({"image_encoder.positional_embedding": torch.zeros(9)}, r"positional_embedding is \(9,\); allowed"),
    ({"bottleneck.running_mean": None}, "bottleneck.running_mean is missing"),
    ({"classifier_proj.weight": torch.zeros(9, 32)}, r"classifier_proj.weight is \(9, 32\); allowed: \(7, 32\)"),
    ({"image_encoder.ln_pre.bias": torch.full((64,), torch.nan)}, "ln_pre.bias holds numbers that are not finite"),
    ({"image_encoder.positional_embedding": torch.zeros(0, 64)}, r"positional_embedding holds \(0, 64\) numbers"),
    ({"cv_embed": torch.zeros(0, 64)}, r"cv_embed holds \(0, 64\) numbers .*allowed: real numbers, at least one"),
    ({"image_encoder.ln_pre.bias": torch.zeros(64, dtype=torch.complex64)}, r"ln_pre.bias holds .* torch.complex64"),
    ({"image_encoder.ln_pre.bias": torch.zeros(64).to_sparse()}, "more than plain tensors: image_encoder.ln_pre.bias"),
    ({"prompt_learner.cls_ctx": torch.zeros(7, 64)}, r"cls_ctx \(7, 64\), .*allowed: \[identities, M, width\]"),
    ({"prompt_learner.cls_ctx": torch.zeros(7, 4, 32)}, r"cls_ctx \(7, 4, 32\), .* of one width"),
    ({"prompt_learner.token_prefix": torch.zeros(2, 5, 64)}, r"token_prefix \(2, 5, 64\), .* twice \[1, words, width"),
    ({"prompt_learner.token_suffix": torch.zeros(2, 9, 64)}, r"token_suffix \(2, 9, 64\); allowed: .*twice \[1, words"),
])
def test_tensors_that_do_not_fit_are_named_as_the_authors_name_them(tmp_path, change, message):
    state = golden_checkpoint() | change
    refused({k: v for k, v in state.items() if v is not None}, tmp_path, message, **TINY)


def test_heads_that_do_not_divide_the_width_are_named(tmp_path):
    refused(golden_checkpoint(), tmp_path, "its width 64 is no multiple of --head-width 48", head_width=48, **TINY)


@pytest.mark.parametrize(("state", "message"), [
    ({"base.cls_token": torch.zeros(1), "classifier.weight": torch.zeros(1)},
     "has no image_encoder.*, it holds base, classifier; allowed: CLIP-ReID's checkpoints"),
    ({}, "it holds nothing"),
    ([1, 2], "no readable checkpoint .*it holds a list and no names"),
    ({"model": Imported()}, "no readable checkpoint .it holds code or objects beside tensors, or is damaged; nothing"),
])
def test_files_of_something_else_are_refused(tmp_path, state, message):
    refused(state, tmp_path, message)


def test_bytes_that_are_no_checkpoint_and_absent_files_are_named(tmp_path):
    (tmp_path / "x.pth").write_bytes(b"not a checkpoint")
    for name, message in (("x.pth", "no readable checkpoint"), ("absent.pth", "import: no file at .*absent.pth")):
        with pytest.raises(ReanchorError, match=message):
            import_model(Imported(path=name), tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_damaged_tensor_is_refused_though_torch_would_read_it(tmp_path):
    path = write(golden_checkpoint(), tmp_path / "x.pth")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle:middle + 64] = bytes(byte ^ 255 for byte in content[middle:middle + 64])
    path.write_bytes(content)
    torch.load(path, weights_only=True)
    with pytest.raises(ReanchorError, match=r"no readable checkpoint .its part .*data/\d+ is damaged"):
        import_model(Imported(path=str(path)), tmp_path / "out")


def small_model(folder):
    folder.mkdir()
    clip = tiny_clip()
    model = ReidModel(clip.image_encoder(), identities=3)
    model.initialise(torch.Generator().manual_seed(0))
    save_reid(model, clip.spec, "clip_reid", folder)
    return folder


def test_a_model_folder_is_verified_and_copied(tmp_path):
    source = small_model(tmp_path / "model")
    (outcome,) = import_model(Imported(path="model"), tmp_path / "out", tmp_path)
    assert outcome.note == "kind clip_reid, copied as it is"
    assert (tmp_path / "out/weights.safetensors").read_bytes() == (source / "weights.safetensors").read_bytes()
    assert json.loads((tmp_path / "out/model.json").read_text())["imported"]["source"] == "model"
    assert load_embedder(tmp_path / "out").grid == (4, 2)
    (tmp_path / "out/prompts.safetensors").write_bytes(b"kept")
    import_model(Imported(path="out"), tmp_path / "again", tmp_path)  # on to a third study
    record = json.loads((tmp_path / "again/model.json").read_text())["imported"]
    assert (record["source"], record["earlier"]["source"]) == ("out", "model")
    assert (tmp_path / "again/prompts.safetensors").read_bytes() == b"kept"


def test_features_behind_necks_that_a_checkpoint_lacks_are_refused(tmp_path):
    state = {k: v for k, v in golden_checkpoint().items() if not k.startswith("bottleneck_proj")}
    brought_in(state, tmp_path, sie_coefficient=3.0, **TINY)
    folder = next(path.parent for path in tmp_path.rglob("model.json"))
    load_embedder(folder, features=["last"])
    with pytest.raises(ReanchorError, match=r"got after_neck, but .* was imported without bottleneck_proj; allowed"):
        load_embedder(folder, features=["after_neck"])


@pytest.mark.parametrize(("break_it", "settings", "message"), [
    (lambda f: (f / "model.json").unlink(), {}, "no model here"),
    (lambda f: (f / "model.json").write_text("{"), {}, "model.json: got what is no JSON"),
    (lambda f: (f / "model.json").write_text('{"kind": "other"}'), {}, "got kind 'other'"),
    (lambda f: (f / "model.json").write_text('{"kind": "clip_reid"}'), {}, "not a whole model .KeyError"),
    (lambda f: (f / "weights.safetensors").unlink(), {}, "not a whole model .FileNotFoundError"),
    (lambda f: (f / "weights.safetensors").write_bytes(b"1234"), {}, "weights.safetensors: damaged"),
    (lambda f: None, {"height": 128, "width": 64}, "got imported.height 128 for a model folder"),
])
def test_folders_that_hold_no_whole_model_are_refused(tmp_path, break_it, settings, message):
    break_it(small_model(tmp_path / "model"))
    with pytest.raises(ReanchorError, match=message) as caught:
        import_model(Imported(path=str(tmp_path / "model"), **settings), tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
