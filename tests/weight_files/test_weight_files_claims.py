"""Sizes that a file merely claims cost no memory: they are held against its tensors first."""

import json
import resource
from types import SimpleNamespace

import pytest
import torch
from archives import Archive
from authors_files import TINY, golden_checkpoint, write
from golden_files import golden, tiny_clip
from safetensors.torch import save_file
from torch import nn

from benchmarks.faults.hostile_weights import make
from reanchor.backbone.load import local_file, shipped
from reanchor.clip import fit
from reanchor.clip.fit import fitted, sketch
from reanchor.clip.model import Clip, spec_from
from reanchor.config.sections.backbone import Backbone
from reanchor.errors import ReanchorError
from reanchor.formats.model_folder import read_weights
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.store import read_reid, save_reid
from reanchor.methods.imported.importing import import_model
from reanchor.methods.imported.settings import Imported
from reanchor.occlusion.harvest import load_detector

pytestmark = pytest.mark.slow

SIZE = (64, 32)
SCALARS = {"input_resolution": torch.tensor(112), "context_length": torch.tensor(77), "vocab_size": torch.tensor(49408)}
TOO_LARGE = "the sizes that it claims ask for more than"
NO_NETWORK = "the sizes that it claims make no network"


@pytest.fixture(autouse=True)
def _no_memory():
    """No test here may take half a gigabyte more than there was."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024


def one_line(caught) -> None:
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "message"), [
    ("claimed_width.safetensors", TOO_LARGE), ("claimed_layers.safetensors", TOO_LARGE),
    ("claimed_download.safetensors", "carries no specification .spec.architecture: got vision_cfg.timm_model_name"),
    ("safetensors_empty_shape.safetensors", "carries no specification"),
    ("pickle_with_code.pt", "nothing of it was run"), ("stride_0.pt", "repeat the 4 bytes"),
])
def test_a_shipped_file_is_held_to_its_tensors(tmp_path, name, message):
    with pytest.raises(ReanchorError, match=message) as caught:
        shipped(Backbone(path=str(make(name, tmp_path))), SIZE)
    one_line(caught)


@pytest.mark.parametrize("content", [{}, {"spec": "{"}, {"spec": "[" * 100_000}, {"spec": "{}"}, {"spec": "3"},
                                     {"spec": '{"architecture": {"vision_cfg": 3, "text_cfg": {}}}'}])
def test_a_shipped_file_of_other_metadata_is_one_line(tmp_path, content):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(1)}, path, {"recipe": "{}", "figures": "{}", **content})
    with pytest.raises(ReanchorError, match=r"carries no specification .*use backbone=file") as caught:
        shipped(Backbone(path=str(path)), SIZE)
    one_line(caught)


def test_a_checkpoint_of_another_format_is_not_shipped(tmp_path):
    path = write({"a": torch.ones(1)}, tmp_path / "x.pt")
    with pytest.raises(ReanchorError, match="carries no specification") as caught:
        shipped(Backbone(path=str(path)), SIZE)
    one_line(caught)


def openai(change: dict) -> dict:
    state = {**golden("A_tinyclip_state"), **SCALARS, **change}
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(("change", "message"), [
    ({"ln_final.weight": None}, "not a CLIP: tensors that tell its sizes are missing .*'ln_final.weight'"),
    ({"ln_final.weight": torch.tensor(1.0)}, "not a CLIP: tensors that tell its sizes"),
    ({"visual.positional_embedding": torch.empty(0, 8)}, "not a CLIP: tensors that tell its sizes"),  # a grid of i x i
    ({"visual.conv1.weight": torch.empty(2**20, 3, 0, 0)}, "not a CLIP|" + NO_NETWORK),
    ({"ln_final.weight": torch.empty(10**9, 0)}, TOO_LARGE), ({"text_projection": torch.empty(0, 10**9)}, TOO_LARGE),
    ({"positional_embedding": torch.empty(10**7, 0)}, TOO_LARGE),  # the causal mask is its square
    ({"positional_embedding": torch.zeros(10**6, 1)}, TOO_LARGE),
    ({"token_embedding.weight": torch.empty(10**9, 0)}, TOO_LARGE),
    ({"visual.conv1.weight": torch.empty(10**12, 3, 16, 0)}, "not a CLIP|" + TOO_LARGE + "|" + NO_NETWORK),
    ({f"transformer.resblocks.{layer}.ln_1.weight": torch.ones(1) for layer in range(3000)}, TOO_LARGE),
])
def test_an_openai_file_is_held_to_its_tensors(tmp_path, change, message):
    path = write(openai(change), tmp_path / "x.pt")
    with pytest.raises(ReanchorError, match=message) as caught:
        local_file(Backbone(source="file", path=str(path)), SIZE)
    one_line(caught)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_an_openai_archive_in_half_precision_gives_what_its_state_dict_gives(tmp_path):
    state = {name: value.half() if value.is_floating_point() else value for name, value in openai({}).items()}
    torch.jit.save(torch.jit.script(Archive(state)), tmp_path / "archive.pt")
    write(state, tmp_path / "state.pt")
    one, other = (local_file(Backbone(source="file", path=str(tmp_path / name)), SIZE).network.state_dict()
                  for name in ("archive.pt", "state.pt"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_an_openai_mask_that_is_a_plain_attribute_is_passed_over(tmp_path):
    path = write(openai({"transformer.resblocks.0.attn_mask": torch.zeros(4, 4)}), tmp_path / "x.pt")
    assert local_file(Backbone(source="file", path=str(path)), SIZE).network is not None


def test_damaged_weights_of_a_model_folder_are_one_line(tmp_path):
    save_file({"a": torch.ones(9)}, tmp_path / "weights.safetensors")
    assert read_weights(tmp_path)["a"].sum() == 9
    whole = (tmp_path / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(whole[:-1])
    with pytest.raises(ReanchorError, match=r"weights\.safetensors: damaged \(.*\); allowed: the file as") as caught:
        read_weights(tmp_path)
    one_line(caught)


@pytest.mark.parametrize("change", [
    {"text_encoder.ln_final.weight": torch.ones(10**6)}, {"classifier.weight": torch.zeros(1, 1).expand(10**6, 1)},
    {"image_encoder.conv1.weight": torch.zeros(10**6, 1, 1, 1)}, {"text_encoder.ln_final.weight": torch.tensor(1.0)},
    {"text_encoder.positional_embedding": torch.ones(10**6, 1)}, {"image_encoder.proj": torch.ones(1, 10**6)},
])
def test_a_checkpoint_is_held_to_its_tensors(tmp_path, change):
    path = write(golden_checkpoint() | change, tmp_path / "x.pth")
    try:
        import_model(Imported(path=str(path), **TINY), tmp_path / "out")
    except ReanchorError as error:
        assert "\n" not in str(error) and not (tmp_path / "out").exists()
    else:  # a text tower that does not tell its sizes is dropped all the same
        assert change.keys() == {"text_encoder.ln_final.weight"} and change["text_encoder.ln_final.weight"].ndim == 0


def model_folder(folder, kind: str):
    folder.mkdir()
    clip = tiny_clip()
    if kind == "clip":
        clip.save(folder)
    else:
        model = ReidModel(clip.image_encoder(), identities=3)
        model.initialise(torch.Generator().manual_seed(0))
        save_reid(model, clip.spec, "clip_reid", folder)
    return folder


def changed(folder, *keys, value) -> None:
    values = json.loads((folder / "model.json").read_text())
    inner = values
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    (folder / "model.json").write_text(json.dumps(values))


ARCHITECTURE = ("spec", "architecture")
CLAIMS = [
    ((*ARCHITECTURE, "vision_cfg", "width"), 10**9), ((*ARCHITECTURE, "vision_cfg", "layers"), 10**7),
    ((*ARCHITECTURE, "vision_cfg", "image_size"), 10**7), ((*ARCHITECTURE, "vision_cfg", "layers"), [10**7] * 4),
    ((*ARCHITECTURE, "text_cfg", "context_length"), 10**6), ((*ARCHITECTURE, "text_cfg", "layers"), 10**7),
    ((*ARCHITECTURE, "text_cfg", "vocab_size"), 10**10), ((*ARCHITECTURE, "text_cfg", "width"), 10**6),
    ((*ARCHITECTURE, "vision_cfg", "head_width"), 0), ((*ARCHITECTURE, "vision_cfg", "patch_size"), 0),
    ((*ARCHITECTURE, "vision_cfg", "width"), "wide"), ((*ARCHITECTURE, "embed_dim"), 10**12),
    ((*ARCHITECTURE, "vision_cfg", "timm_model_name"), "vit_base_patch16_224"),
    ((*ARCHITECTURE, "text_cfg", "hf_model_name"), "someone/something"),
    ((*ARCHITECTURE, "vision_cfg", "pos_embed_type"), "sin_cos_2d"), ((*ARCHITECTURE, "custom_text"), True),
    (("spec", "image_size"), [10**7, 10**7]), (("spec", "image_size"), [0, 0]), (("spec", "image_size"), "large"),
    (("spec", "stride"), -1),
]


@pytest.mark.parametrize("kind", ["clip", "clip_reid"])
@pytest.mark.parametrize(("keys", "value"), CLAIMS)
def test_a_model_folder_is_held_to_its_tensors(tmp_path, kind, keys, value):
    changed(model_folder(tmp_path / "model", kind), *keys, value=value)
    with pytest.raises(ReanchorError) as caught:
        import_model(Imported(path=str(tmp_path / "model")), tmp_path / "out")
    one_line(caught)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("key", "value"), [("identities", 10**9), ("identities", -1), ("identities", "all")])
def test_a_fine_tuned_model_is_held_to_its_classes(tmp_path, key, value):
    changed(model_folder(tmp_path / "model", "clip_reid"), "settings", key, value=value)
    with pytest.raises(ReanchorError) as caught:
        read_reid(tmp_path / "model")
    one_line(caught)


def test_a_model_json_without_end_is_refused(tmp_path, monkeypatch):
    folder = model_folder(tmp_path / "model", "clip")
    (folder / "model.json").write_text("[" * 100_000)
    with pytest.raises(ReanchorError, match=r"model.json: got what is no JSON \(maximum recursion"):
        import_model(Imported(path=str(folder)), tmp_path / "out")
    monkeypatch.setattr("reanchor.formats.model_folder.LARGEST_JSON", 1000)
    with pytest.raises(ReanchorError, match=r"model.json: 100000 bytes; allowed: 1000"):
        Clip.load(folder)


def test_a_detector_s_file_runs_nothing(tmp_path):
    for name in ("script_that_writes.pt", "pickle_with_code.pt", "stride_0.pt"):
        with pytest.raises(ReanchorError, match=r"--detector: .* is no readable checkpoint") as caught:
            load_detector(make(name, tmp_path))
        one_line(caught)
    assert not (tmp_path / "ran").exists()


def test_a_sketch_draws_no_random_numbers_and_what_is_built_is_the_build_s_own(tmp_path):
    """So trainings that draw after a model was read see the numbers they saw before."""
    clip = tiny_clip()
    state = clip.network.state_dict()
    torch.manual_seed(5)
    clip.spec.network()
    want = torch.get_rng_state()
    torch.manual_seed(5)
    network = fitted(clip.spec.network, state, "x")
    assert torch.equal(torch.get_rng_state(), want)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in state.items())
    assert not network.attn_mask.is_meta and torch.equal(network.attn_mask, clip.network.attn_mask)


def test_the_budget_is_of_tensors_and_of_numbers_and_ends_with_the_sketch(monkeypatch):
    monkeypatch.setattr(fit, "FREE_TENSORS", 0)
    monkeypatch.setattr(fit, "FREE_NUMBERS", 0)
    state = {"weight": torch.ones(4, 4)}

    def of(rows: int, layers: int):
        return lambda: nn.ModuleList(nn.Linear(4, rows, bias=False) for _ in range(layers))

    assert sketch(of(8, 1), state, "x")[0].weight.is_meta and len(sketch(of(2, 4), state, "x")) == 4
    for build in (of(9, 1), of(1, 5)):
        with pytest.raises(ReanchorError, match="ask for more than 4 tensors or 32 numbers, and it holds 1 tensors"):
            sketch(build, state, "x")
    assert len(of(9, 9)()) == 9


def test_specs_of_this_project_s_making_pass(tmp_path):
    for kind in ("clip", "clip_reid"):
        values = json.loads((model_folder(tmp_path / kind, kind) / "model.json").read_text())
        assert spec_from(values["spec"]) == tiny_clip().spec


@pytest.mark.parametrize("name", ["holes.safetensors", "holes.pt"])
def test_a_file_larger_than_the_memory_is_not_begun(tmp_path, monkeypatch, name):
    monkeypatch.setattr("reanchor.weight_files.read.psutil.virtual_memory", lambda: SimpleNamespace(available=4096000))
    save_file({"weight": torch.zeros(2_000_000)}, tmp_path / name)
    with pytest.raises(ReanchorError, match=r"it has 80000\d\d bytes, and this machine 4096000 of free") as caught:
        load_detector(tmp_path / name)
    one_line(caught)
