"""Weights in: every file form, and one plain line for each that does not fit."""

import dataclasses

import open_clip
import pytest
import torch
from archives import Archive
from golden_files import golden, tiny_clip, tiny_resnet_clip
from safetensors.torch import save_file

from reanchor.backbone.load import architecture_of, departures, local_file, open_clip_model, shipped
from reanchor.backbone.pretrain import blank_clip
from reanchor.backbone.ship import ship
from reanchor.clip.model import Clip
from reanchor.config.sections.backbone import Backbone, Pretrain
from reanchor.errors import ReanchorError

SIZE = (64, 32)
SCALARS = {"input_resolution": torch.tensor(112), "context_length": torch.tensor(77), "vocab_size": torch.tensor(49408)}
SMALL = Pretrain(vision_width=32, vision_layers=2, heads=2, patch=16, text_width=32, text_layers=1, embed=16)


def feature(clip: Clip) -> torch.Tensor:
    return clip.image_encoder().eval()(golden("A_vit_outputs")["image"]).projected


def file_config(path, **more) -> Backbone:
    return Backbone(source="file", path=str(path), **more)


@pytest.mark.parametrize("form", ["state_dict", "torchscript", "module_prefix"])
def test_openai_files_load_exactly(tmp_path, form):
    state, path = {**golden("A_tinyclip_state"), **SCALARS}, tmp_path / "tiny.pt"
    if form == "torchscript":
        torch.jit.save(torch.jit.script(Archive(state)), path)
    elif form == "state_dict":
        torch.save(state, path)
    else:
        torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    clip = local_file(file_config(path, stride=12), SIZE)
    assert clip.spec.architecture["quick_gelu"] and clip.image_encoder().grid == (5, 2)
    want = golden("A_vit_outputs")["s12_proj"][:, 0]
    torch.testing.assert_close(feature(clip), want, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_open_clip_files_load_by_model_name(tmp_path, suffix, monkeypatch):
    source = tiny_clip()
    monkeypatch.setattr("reanchor.backbone.load.architecture_of", lambda model: source.spec.architecture)
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(dict(source.network.state_dict()), path)
    torch.testing.assert_close(feature(local_file(file_config(path), SIZE)), feature(source), atol=0, rtol=0)


def test_fp16_weights_become_fp32(tmp_path):
    torch.save({**{k: v.half() for k, v in golden("A_tinyclip_state").items()}, **SCALARS}, tmp_path / "half.pt")
    clip = local_file(file_config(tmp_path / "half.pt"), SIZE)
    assert {p.dtype for p in clip.network.parameters()} == {torch.float32}


def test_folder_round_trip_is_bit_exact(tmp_path):
    clip = tiny_clip()
    clip.save(tmp_path)
    again = Clip.load(tmp_path)
    assert again.spec == clip.spec
    assert all(torch.equal(a, b) for a, b in zip(clip.network.state_dict().values(),
                                                 again.network.state_dict().values(), strict=True))


def test_shipped_file_carries_spec_recipe_and_figures(tmp_path):
    clip = blank_clip(SMALL, SIZE, ["a", "person", "."])
    clip.recipe, clip.figures = dataclasses.asdict(SMALL), {"text_R1": 12.5}
    (tmp_path / "b").mkdir()
    clip.save(tmp_path / "b")
    target = tmp_path / "shipped.safetensors"
    assert ship(tmp_path / "b", target) == target.stat().st_size
    again = shipped(Backbone(path=str(target), stride=8), SIZE)
    assert (again.recipe, again.figures) == (clip.recipe, clip.figures)
    assert again.spec.vocabulary == ["a", "person", "."] and again.image_encoder().grid == (7, 3)


def test_only_weights_made_here_are_shipped(tmp_path):
    tiny_clip().save(tmp_path)
    with pytest.raises(ReanchorError, match="carry no recipe"):
        ship(tmp_path, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(("content", "message"), [
    (b"", "no readable checkpoint"), (b"not a checkpoint", "no readable checkpoint"),
])
def test_unreadable_files_are_named(tmp_path, content, message):
    for name in ("x.pt", "x.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReanchorError, match=message):
            local_file(file_config(tmp_path / name), SIZE)


def test_a_pickle_with_code_is_refused(tmp_path):
    torch.save({"state_dict": Backbone()}, tmp_path / "evil.pt")
    with pytest.raises(ReanchorError, match="no readable checkpoint"):
        local_file(file_config(tmp_path / "evil.pt"), SIZE)


@pytest.mark.parametrize(("content", "message"), [
    ([torch.zeros(2)], "it holds a list and no names"), (torch.zeros(2), "it holds a Tensor and no names"),
    ({"model": {3: torch.zeros(2)}}, "it holds a dict and no names"),
    ({"a": torch.zeros(2), "b": "text"}, "it holds more than plain tensors: b"),
])
def test_a_file_of_something_else_is_named(tmp_path, content, message):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ReanchorError, match=message):
        local_file(file_config(tmp_path / "other.pt"), SIZE)


def test_missing_file_unknown_model_and_tag_are_named(tmp_path):
    with pytest.raises(ReanchorError, match="no file at"):
        local_file(file_config(tmp_path / "absent.pt"), SIZE)
    with pytest.raises(ReanchorError, match=r"knows no model 'ViT-B-17'; did you mean"):
        architecture_of("ViT-B-17")
    with pytest.raises(ReanchorError, match="'nonsense' is no tag of ViT-B-16"):
        open_clip_model(Backbone(source="open_clip", model="ViT-B-16", tag="nonsense"), SIZE)


@pytest.mark.parametrize(("model", "named"), [
    ("ViT-L-14-CLIPA", ["text_cfg.hf_tokenizer_name bert-base-uncased", "text_cfg.vocab_size 32000",
                        "text_cfg.no_causal_mask True", "text_cfg.pool_type last", "vision_cfg.pool_type avg"]),
    ("ViT-H-14-worldwide", ["text_cfg.hf_tokenizer_name facebook/xlm-v-base", "text_cfg.vocab_size 901629",
                            "text_cfg.pool_type eos"]),
    ("ViT-B-16-SigLIP", ["custom_text True", "vision_cfg.timm_model_name vit_base_patch16_siglip_224"]),
    ("coca_ViT-B-32", ["multimodal_cfg", "vision_cfg.attentional_pool True", "text_cfg.embed_cls True"]),
    ("roberta-ViT-B-32", ["text_cfg.hf_model_name roberta-base"]),
])
def test_a_model_that_is_no_plain_clip_is_refused_before_it_is_fetched(model, named):
    for call in (lambda: architecture_of(model), lambda: open_clip_model(Backbone(model=model, tag="any"), SIZE)):
        with pytest.raises(ReanchorError, match=f"backbone.model: {model} is no plain CLIP") as refused:
            call()
        assert all(text in str(refused.value) for text in named) and "\n" not in str(refused.value)


def test_of_all_of_open_clips_models_the_plain_ones_pass():
    """Known by open_clip's defaults: such a configuration says nothing of its towers but sizes."""
    sizes = {"context_length", "vocab_size", "width", "heads", "layers", "image_size", "patch_size", "head_width",
             "mlp_ratio", "ls_init_value"}
    passing = set()
    for model in open_clip.list_models():
        config = open_clip.get_model_config(model)
        plain = not config.keys() - {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"} and not (
            config["vision_cfg"].keys() | config["text_cfg"].keys()) - sizes
        assert plain == (not departures(config)), model
        passing |= {model} if plain else set()
    names = {"ViT-B-16", "ViT-B-32", "ViT-L-14", "ViT-L-14-336", "ViT-H-14", "ViT-g-14", "ViT-bigG-14", "RN50", "RN101"}
    assert names | {f"{name}-quickgelu" for name in ("ViT-B-16", "ViT-B-32", "ViT-L-14", "RN50")} <= passing


def test_weights_that_do_not_fit_are_named(tmp_path):
    state = {**golden("A_tinyclip_state")}
    torch.save(state, tmp_path / "tiny.bin")
    with pytest.raises(ReanchorError, match=r"weights do not fit: .*another shape.*backbone.model"):
        local_file(file_config(tmp_path / "tiny.bin", model="ViT-B-32"), SIZE)


def test_a_tower_that_is_neither_vit_nor_resnet_is_refused():
    clip = tiny_clip()
    clip.network.visual = torch.nn.Linear(2, 2)
    with pytest.raises(ReanchorError, match=r"a Linear image tower is not supported.*ViT-B-16.*RN50"):
        clip.image_encoder()


def test_an_openai_resnet_is_recognised(tmp_path):
    clip = tiny_resnet_clip()
    torch.save({**clip.network.state_dict(), **SCALARS}, tmp_path / "RN.pt")
    again = local_file(file_config(tmp_path / "RN.pt", normalisation="imagenet"), SIZE)
    assert again.spec.architecture["vision_cfg"] == clip.spec.architecture["vision_cfg"]
    assert again.spec.mean == (0.485, 0.456, 0.406) and again.image_encoder().grid is None
    torch.testing.assert_close(feature(again), feature(clip), atol=0, rtol=0)


def test_a_stride_that_skips_pixels_is_refused():
    with pytest.raises(ReanchorError, match=r"backbone.stride: got 17; allowed: 1 to the patch size, which is 16"):
        tiny_clip(stride=17).image_encoder()
    with pytest.raises(ReanchorError, match=r"backbone.stride: got 12, but a ResNet has no patches"):
        tiny_resnet_clip(stride=12).image_encoder()
