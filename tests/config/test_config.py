"""Settings: every mistake is one line that names key, value and what is allowed."""

import dataclasses
import re

import pytest
from composed import composed
from omegaconf import OmegaConf

from reanchor.config.load import flatten, from_mapping, load
from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from stages.check import check_inputs
from stages.compose import composition, main


def message(settings: dict) -> str:
    with pytest.raises(ReanchorError) as caught:
        from_mapping(settings, source="params.yaml")
    text = str(caught.value)
    assert "\n" not in text and text.startswith("params.yaml: ")
    return text.removeprefix("params.yaml: ")


@pytest.mark.parametrize(
    ("settings", "key", "value", "allowed"),
    [
        ({"finetune": {"recipe": {"epoch": 3}}}, "finetune.recipe.epoch", "3", "did you mean 'epochs'?"),
        ({"finetunes": {}}, "finetunes", "{}", "did you mean 'finetune'?"),
        ({"backbone": {"pretrain": {"step": 1}}}, "backbone.pretrain.step", "1", "'steps'"),
        ({"finetune": {"recipe": {"epochs": "many"}}}, "finetune.recipe.epochs", "'many'", "a whole number"),
        ({"finetune": {"recipe": {"epochs": 1.5}}}, "finetune.recipe.epochs", "1.5", "a whole number"),
        ({"finetune": {"recipe": {"epochs": None}}}, "finetune.recipe.epochs", "None", "a whole number"),
        ({"finetune": {"recipe": {"lr": "fast"}}}, "finetune.recipe.lr", "'fast'", "a number"),
        ({"finetune": {"recipe": {"milestones": 30}}}, "finetune.recipe.milestones", "30",
         "a list, each a whole number"),
        ({"render": {"enabled": 7.5}}, "render.enabled", "7.5", "true or false"),
        ({"finetune": 3}, "finetune", "3", "a mapping of"),
        ([], "the whole file", "[]", "a mapping of"),
        ({"finetune": {"recipe": {"images": 1}}}, "finetune.recipe.images", "1", "at least 2"),
        (
            {"prepare": {"validation_share": 0.95}},
            "prepare.validation_share",
            "0.95",
            "at least 0.0 and at most 0.9",
        ),
        ({"finetune": {"recipe": {"lr": float("nan")}}}, "finetune.recipe.lr", "nan", "a finite number"),
        (
            {"saga": {"anchors": "texts"}},
            "saga.anchors",
            "'texts'",
            "text, free, random_frozen, generic_frozen (did you mean 'text'?)",
        ),
        ({"evaluate": {"methods": ["sagga"]}}, "evaluate.methods", "'sagga'", "did you mean 'saga'?"),
        ({"occlude": {"masking_ratios": [0.1, 1.5]}}, "occlude.masking_ratios", "1.5", "at most 0.9"),
        ({"tbps": {"recipe": {"lr": 0.0}}}, "tbps.recipe.lr", "0", "above 0"),
        ({"tbps": {"recipe": {"lr": 1e-5, "min_lr": 1e-4}}}, "tbps.recipe.min_lr", "0.0001",
         "at most tbps.recipe.lr, which is "
                                                                                 "1e-05"),
        ({"tbps": {"recipe": {"context": 2}}}, "tbps.recipe.context", "2", "at least 3"),
        ({"mgcc": {"model": {"context": 1}}}, "mgcc.model.context", "1", "at least 3"),
        ({"mgcc": {"epochs": 1, "warmup_epochs": 2}}, "mgcc.warmup_epochs", "2", "at most mgcc.epochs, which is 1"),
        ({"gate": {"train": True}, "occlude": {"masks": "m"}}, "occlude.masks", "'m'", "choose method=saga"),
        ({"gate": {"train": True, "source": "shared"}, "finetune": {"recipe": {"sie": "camera"}}},
         "finetune.recipe.sie",
         "'camera'",
         "gate.source=network"),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_remedy(settings, key, value, allowed):
    text = message(settings)
    assert text.startswith(f"{key}: ") and value in text and allowed in text


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"occlude": {"ratio_low": 0.6, "ratio_high": 0.3}}, ["occlude.ratio_low", "0.6", "0.3"]),
        ({"occlude": {"masking_ratios": [0.101, 0.102]}}, ["occlude.masking_ratios"]),
        ({"render": {"enabled": False}}, ["prepare.root", "data/streetfolk", "render.enabled"]),
        (
            {"backbone": {"pretrain": {"vision_width": 130}}},
            ["backbone.pretrain.vision_width", "130", "heads", "4"],
        ),
        ({"backbone": {"pretrain": {"token_block": 7}}}, ["backbone.pretrain.token_block", "7", "6"]),
        ({"saga": {"token_blocks": [3, 7]}}, ["saga.token_blocks", "7", "1 to 6"]),
        ({"saga": {"token_blocks": [5, 3]}}, ["saga.token_blocks", "[5, 3]", "ascending"]),
        ({"saga": {"token_blocks": [1, 2, 3], "text_anchors": 2}}, ["saga.token_blocks", "3 blocks", "is 2"]),
        ({"saga": {"fusion_weights": [1.0, 2.0]}}, ["saga.fusion_weights", "[1.0, 2.0]", "three weights"]),
        (
            {"backbone": {"source": "open_clip"}, "saga": {"token_blocks": [13]}},
            ["saga.token_blocks", "13", "1 to 12"],
        ),
        ({"backbone": {"source": "file", "path": " "}}, ["backbone.path", "file"]),
        ({"finetune": {"recipe": {"milestones": [50, 30]}}}, ["finetune.recipe.milestones", "[50, 30]", "ascending"]),
        ({"finetune": {"recipe": {"epochs": 2, "warmup_epochs": 3}}}, ["finetune.recipe.warmup_epochs", "3", "2"]),
        ({"finetune": {"recipe": {"one_stage": True}}}, ["finetune.clip_reid.i2tce", "1.0", "i2t above 0"]),
        ({"finetune": {"baseline": {"i2tce": 0, "t2i": 0.5}}}, ["finetune.baseline.t2i", "0.5", "no text"]),
        ({"backbone": {"source": "open_clip", "model": "RN50"}}, ["saga.train", "RN50", "method=clip_reid"]),
        (
            {"backbone": {"source": "file", "model": "RN50"}, "saga": {"train": False},
             "finetune": {"recipe": {"sie": "camera"}},
             "evaluate": {"methods": ["baseline"]}},
            ["finetune.recipe.sie", "camera", "RN50", "none"],
        ),
        ({"prompts": {"epochs": 0, "warmup_epochs": 0}}, ["prompts.epochs", "0", "random prompts"]),
        ({"saga": {"frozen_slots": 17}}, ["saga.frozen_slots", "17", "16"]),
        ({"evaluate": {"methods": ["saga", "saga"]}}, ["evaluate.methods", "each once"]),
        ({"evaluate": {"methods": []}}, ["evaluate.methods", "at least one"]),
        ({"imported": {"path": "x.pth"}}, ["imported.path", "'x.pth'", "method=imported"]),
        ({"imported": {"path": " "}}, ["imported.path", "' '", "a checkpoint"]),
    ],
)
def test_settings_that_exclude_one_another_are_both_named(settings, parts):
    text = message(settings)
    assert all(part in text for part in parts), text


def test_small_numbers_are_numbers(tmp_path):
    (tmp_path / "params.yaml").write_text(
        "finetune:\n  recipe:\n    lr: 1e-4\n    epochs: 3\n"
    )  # PyYAML alone: the text "1e-4"
    params = load(tmp_path / "params.yaml")
    assert params.finetune.recipe.lr == 1e-4 and isinstance(params.finetune.recipe.lr, float)
    assert params.finetune.recipe.epochs == 3 and params.saga == Params().saga


def test_whole_numbers_serve_as_numbers_and_lists_stay_lists():
    params = from_mapping({"finetune": {"recipe": {"margin": 1, "milestones": [5, 9]}}})
    assert params.finetune.recipe.margin == 1.0 and isinstance(params.finetune.recipe.margin, float)
    assert params.finetune.recipe.milestones == [5, 9] and type(params.finetune.recipe.milestones) is list


def test_missing_and_broken_files_say_what_to_do(tmp_path):
    with pytest.raises(ReanchorError, match=r"not found; write it with `python -m stages\.compose`"):
        load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("finetune: [1,\n")
    with pytest.raises(ReanchorError, match="not readable as YAML") as caught:
        load(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_flatten_gives_dotted_leaves():
    leaves = flatten(Params())
    assert leaves["finetune.baseline.i2tce"] == 0.0 and leaves["finetune.recipe.milestones"] == [30, 50]
    assert flatten(Params().report, "report")["report.gallery_ranks"] == 8


def _options(root) -> list[str]:
    groups = sorted(path for path in (root / "conf").iterdir() if path.is_dir())
    return [f"{group.name}={option.stem}" for group in groups for option in sorted(group.glob("*.yaml"))]


def test_every_option_composes_to_all_settings_and_no_more(root):
    options = _options(root)
    assert {option.partition("=")[0] for option in options} == {
        "dataset",
        "backbone",
        "method",
        "occlusion",
        "train",
        "evaluate",
        "profile",
        "ablation",
    }
    for option in options:
        resnet = option in ("backbone=openai_rn50", "backbone=rn50_file")  # SAGA needs a ViT
        further = ["method=clip_reid"] if resnet else []
        composed = OmegaConf.to_container(OmegaConf.create(composition(root, [option, *further])))
        assert set(flatten(composed)) == set(flatten(Params())), option


def test_groups_reach_the_settings_they_are_for(root):
    overrides = [
        "dataset=market1501",
        "prepare.root=/data/m",
        "train=clip_reid_vit",
        "backbone=openai_vit_b16",
        "method=saga_free",
    ]
    params = composed(*overrides)
    assert (params.prepare.root, params.prepare.height, params.prepare.width) == ("/data/m", 256, 128)
    assert not params.render.enabled
    assert (params.finetune.recipe.optimizer, params.finetune.recipe.lr, params.finetune.recipe.epochs) == (
        "adam", 5e-6, 60)
    assert (params.prompts.lr, params.prompts.epochs, params.prompts.batch) == (3.5e-4, 120, 64)
    assert (params.saga.token_blocks, params.saga.anchors, params.saga.epochs_b) == ([9], "free", 80)


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("method=sagaa", ["method=sagaa", "saga_free"]),
        ("finetune.epoch=3", ["finetune.epoch", "did you mean finetune.recipe.epochs?"]),
        ("finetune.recipe.images=1", ["finetune.recipe.images", "1", "at least 2"]),
        ("nothing=3", ["nothing=3", "params.yaml"]),
    ],
)
def test_a_wrong_override_writes_nothing(root, tmp_path, monkeypatch, capsys, override, parts):
    (tmp_path / "conf").symlink_to(root / "conf")
    monkeypatch.chdir(tmp_path)
    assert main([override]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and all(part in said for part in parts), said
    assert not (tmp_path / "params.yaml").exists()


def test_compose_writes_what_dvc_would(root, tmp_path, monkeypatch):
    from dvc.utils.hydra import compose_and_dump

    (tmp_path / "conf").symlink_to(root / "conf")
    monkeypatch.chdir(tmp_path)
    assert main(["method=baseline"]) == 0
    compose_and_dump(
        tmp_path / "dvc.yaml", str(root / "conf"), None, "config", str(root), ["method=baseline"]
    )
    assert (tmp_path / "params.yaml").read_text() == (tmp_path / "dvc.yaml").read_text()


IMPORT = {"evaluate": {"methods": ["imported"]}, "backbone": {"source": "pretrain"}}


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"render": {"enabled": False}, "prepare": {"root": "/nowhere"}}, ["prepare.root", "'/nowhere'"]),
        (
            {"backbone": {"source": "file", "path": "none.pt"}},
            ["backbone.path", "'none.pt'", "streetfolk_pretrain"],
        ),
        ({**IMPORT, "imported": {"path": "none.pth"}}, ["imported.path", "'none.pth'", "a model folder"]),
        (IMPORT, ["imported.path", "conf/method/imported.yaml", "method=imported"]),
        ({"backbone": {"source": "pretrain"}, "occlude": {"library": "cuts"}}, ["occlude.library", "'cuts'"]),
        ({"backbone": {"source": "pretrain"}, "tbps": {"recipe": {"captions_bt": "bt.json"}}},
         ["tbps.recipe.captions_bt", "'bt.json'", "conf/captions_bt.json"]),
    ],
)
def test_missing_inputs_are_named_with_their_setting(tmp_path, settings, parts):
    with pytest.raises(ReanchorError) as caught:
        check_inputs(from_mapping(settings), tmp_path)
    assert all(part in str(caught.value) for part in parts) and "\n" not in str(caught.value)


def test_bounds_admit_the_defaults():
    assert from_mapping(dataclasses.asdict(Params())) == Params()


def test_every_occlusion_and_text_recipe_is_listed_where_one_looks(root):
    listed = (root / "conf/config.yaml").read_text()
    described = (root / "docs/reference/occlusion.md").read_text()
    for option in (path.stem for path in (root / "conf/occlusion").glob("*.yaml")):
        assert re.search(rf"\b{option}\b", listed) and f"`{option}`" in described, option
    assert all(option in listed for option in ("tbps_clip_vit", "mgcc_vit_b32"))
