"""The schema is the one place for defaults, bounds and meanings; conf/ and the settings page follow from it."""

import ast
import dataclasses
import json
import re
import subprocess
import sys
from functools import cache

import pytest
from omegaconf import OmegaConf
from places import ROOT

from reanchor.config.load import flatten, from_mapping
from reanchor.config.methods import sections
from reanchor.config.params import Params
from reanchor.config.setting import Setting, settings_of
from reanchor.errors import ReanchorError
from reanchor.methods.clip_reid.settings import FinetuneRecipe, LossWeights
from reanchor.methods.method import IMAGE
from reanchor.methods.registry import judged, methods
from stages import compose, settings

OPTIONS = sorted(path.relative_to(ROOT / "conf").as_posix() for path in (ROOT / "conf").glob("*/*.yaml"))


@pytest.mark.parametrize("name", settings.files())
def test_a_written_file_is_what_the_schema_says(name):
    assert (ROOT / name).read_text() == settings.files()[name], "run `python -m stages.settings`"


def test_the_default_study_is_the_schema():
    assert flatten(OmegaConf.to_container(OmegaConf.load(ROOT / "params.yaml"))) == flatten(Params())
    assert from_mapping({}) == Params()


@cache
def _option(name: str) -> dict:
    """What an option sets, by dotted name, those it builds on included."""
    own = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / name))
    leaves: dict = {}
    for other in own.pop("defaults", ["_self_"]):
        leaves |= flatten(own) if other == "_self_" else _option(f"{name.partition('/')[0]}/{other}.yaml")
    return leaves


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_repeats_a_default_only_to_undo_another_option(name):
    own = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / name))
    own.pop("defaults", None)
    lines, defaults = (ROOT / "conf" / name).read_text().splitlines(), flatten(Params())
    for key in (key for key, value in flatten(own).items() if own and value == defaults[key]):
        said = [found for line in lines if f"{key.rpartition('.')[2]}:" in line
                for found in re.findall(r"undoes (\w+)'s", line)]
        assert said, f"conf/{name}: {key} repeats the schema"
        others = [_option(other) for other in OPTIONS if other.endswith(f"/{said[0]}.yaml")]
        assert any(other.get(key, defaults[key]) != defaults[key] for other in others), (name, key)


def _leaves(kind: type, prefix: str = "") -> dict[str, Setting]:
    found = {}
    for name, each in settings_of(kind).items():
        found |= _leaves(each.kind, f"{prefix}{name}.") if settings_of(each.kind) else {f"{prefix}{name}": each}
    return found


def test_every_setting_says_what_it_means():
    assert set(_leaves(Params)) == set(flatten(Params()))
    for key, each in _leaves(Params).items():
        assert each.meaning or each.choices, key
        assert "|" not in each.meaning and "\n" not in each.meaning, key


def test_the_reference_has_default_bounds_and_choices_of_every_setting():
    text = settings.files()[settings.REFERENCE]
    assert "| `validation_share` | number | `0.112` | 0.0 … 0.9 | of the training identities" in text
    assert "| `milestones` | list of whole number | `[30, 50]` | 1 …  | epochs of multistep's x 0.1 |" in text
    assert "| `splits` | list of text | `[\"train\", \"val\", \"test\"]` | train, val, test |" in text
    assert text.count("\n| `") == len(flatten(Params()))


def test_settings_and_rules_of_methods_come_from_their_folders():
    records = {method.schema for method in methods().values() if method.schema}
    assert {kind.__module__ for kind in sections().values()} == records
    assert set(sections()) < set(settings_of(Params))


NEW_METHOD = """
import sys, types
from reanchor.config.setting import section, setting
from reanchor.methods.method import Method
from reanchor.methods.registry import methods

@section
class Kaleido:
    train: bool = setting(True, "false: no method needs it")
    mirrors: int = setting(3, "around the image", low=2)

def odd(params):
    if params.kaleido.mirrors % 2 == 0:
        yield f"kaleido.mirrors: got {params.kaleido.mirrors}; allowed: an odd number"

schema = types.ModuleType("kaleido_settings")
schema.SECTIONS, schema.RULES = {"kaleido": Kaleido}, (odd,)
sys.modules["kaleido_settings"] = schema
methods()["kaleido"] = Method("kaleido", "Kaleido", place=99, queries=("image",), stage="kaleido", held_out=True,
                              schema="kaleido_settings", train="x:y", switch="kaleido.train", features=("rays",))

from reanchor.config.load import from_mapping
from reanchor.errors import ReanchorError

print(from_mapping({"kaleido": {"mirrors": 5}, "evaluate": {"features": {"kaleido": ["rays"]}}}).evaluate.methods)
plain = {"evaluate": {"methods": ["kaleido"]}}
for wrong in ({"kaleido": {"mirror": 1}}, {"kaleido": {"mirrors": 1}}, {"kaleido": {"mirrors": 4}},
              {**plain, "kaleido": {"train": False}}):
    try:
        print(from_mapping(wrong))
    except ReanchorError as error:
        print(error)
"""


def test_a_new_method_brings_its_section_rules_and_rows():
    done = subprocess.run([sys.executable, "-c", NEW_METHOD], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == [
        "['histogram', 'zero_shot', 'baseline', 'clip_reid', 'saga', 'gate', 'kaleido']",
        "settings: kaleido.mirror: unknown key (value 1); did you mean 'mirrors'? allowed: train, mirrors",
        "settings: kaleido.mirrors: got 1; allowed: at least 2",
        "settings: kaleido.mirrors: got 4; allowed: an odd number",
        "settings: evaluate.methods: got 'kaleido' although its training is switched off; allowed: methods whose "
        "`train` is true (kaleido.train=true, or another option of the group method)"]


def test_records_are_listed_without_settings_and_without_what_computes():
    script = ("import sys; from reanchor.methods.registry import methods; methods()\n"
              "print(*(name for name in sys.modules if name in ('torch', 'numpy', 'pydantic', 'omegaconf')\n"
              "        or name.startswith('reanchor.config')))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_no_file_of_the_house_s_settings_names_a_method():
    known = {*sections(), *methods()}
    words = "|".join(name for name in known if "_" in name)
    dotted = re.compile(rf"\b(?:{'|'.join(sections())})\.\w|\b(?:{words})\b")
    for file in sorted((ROOT / "reanchor/config").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            word = getattr(node, "attr", getattr(node, "value", None) if isinstance(node, ast.Constant) else None)
            assert not isinstance(word, str) or (word not in known and not dotted.search(word)), f"{file.name}: {word}"


def test_further_features_are_chosen_from_what_the_method_has():
    assert settings_of(settings_of(Params)["evaluate"].kind)["methods"].choices == tuple(judged(IMAGE))
    for name, method in judged(IMAGE).items():
        if method.features:
            chosen = from_mapping({"evaluate": {"features": {name: [*method.features]}}}).evaluate.features
            assert getattr(chosen, name) == [*method.features]
    with pytest.raises(ReanchorError, match=r"evaluate.features.saga: got 'last'; allowed: cls, projected"):
        from_mapping({"evaluate": {"features": {"saga": ["last"]}}})


def test_a_key_that_is_left_out_keeps_the_default_of_its_own_section():
    finetune = from_mapping({"finetune": {"baseline": {"id": 0.5}, "clip_reid": {"id": 0.25}}}).finetune
    assert (finetune.baseline.id, finetune.baseline.i2tce) == (0.5, 0.0)
    assert (finetune.clip_reid.id, finetune.clip_reid.i2tce) == (0.25, 1.0)
    tbps = from_mapping({"tbps": {"sdm": {"train": True}}}).tbps
    assert (tbps.sdm.sdm, tbps.sdm.itc, tbps.clip_tuned.itc, tbps.tbps_clip.nitc) == (1.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(("key", "given", "read"), [
    ("epochs", "3", 3), ("lr", "1e-4", 1e-4), ("lr", 1, 1.0), ("soft_margin", 1, True), ("soft_margin", "false", False),
    ("milestones", (5, "9"), [5, 9]), ("sie", "camera", "camera")])
def test_a_value_is_converted_where_nothing_is_lost(key, given, read):
    value = getattr(from_mapping({"finetune": {"recipe": {key: given}}, "gate": {"train": False},
                                  "evaluate": {"methods": ["saga"]}}).finetune.recipe, key)
    assert value == read and type(value) is type(read)


@pytest.mark.parametrize(("key", "given", "allowed"), [
    ("epochs", True, "got True; allowed: a whole number"), ("epochs", 2.0, "got 2.0; allowed: a whole number"),
    ("epochs", "1.5", "got '1.5'; allowed: a whole number"), ("lr", "yes", "got 'yes'; allowed: a number"),
    ("lr", True, "got True; allowed: a number"), ("lr", [1.0], r"got \[1.0\]; allowed: a number"),
    ("lr", float("inf"), "got inf; allowed: a finite number"),
    ("soft_margin", None, "got None; allowed: true or false"),
    ("milestones", [30, 4.5], r"got \[30, 4.5\]; allowed: a list, each a whole number"),
    ("milestones", [30, 0], "got 0; allowed: at least 1"), ("milestones", "30", "got '30'; allowed: a list, each"),
    ("sie", 3, "got 3; allowed: none, camera, view, both"), (7, 3, r"unknown key \(value"),
])
def test_a_value_of_another_kind_is_refused(key, given, allowed):
    with pytest.raises(ReanchorError, match=rf"^settings: finetune\.recipe\.{key}: {allowed}") as caught:
        from_mapping({"finetune": {"recipe": {key: given}}})
    assert "\n" not in str(caught.value) and "pydantic" not in str(caught.value)


def test_an_unknown_key_is_said_before_a_wrong_value():
    with pytest.raises(ReanchorError, match=r"^settings: saga.epoch_a: unknown key .*; did you mean 'epochs_a'\?"):
        from_mapping({"render": {"seed": -1}, "saga": {"epoch_a": 2}})


def test_sections_are_dataclasses_of_their_own_values():
    first, second = FinetuneRecipe(), FinetuneRecipe()
    first.milestones.append(70)
    assert second.milestones == [30, 50] and first != second
    changed = dataclasses.replace(second, epochs=3)
    assert (changed.epochs, second.epochs, changed.lr) == (3, 10, 1e-3)
    assert list(dataclasses.asdict(LossWeights())) == ["train", "id", "triplet", "i2tce", "i2t", "t2i", "token"]
    assert Params().finetune is not Params().finetune


def test_a_composition_needs_the_defaults_of_this_code(tmp_path):
    (tmp_path / "conf").mkdir()
    for path in (ROOT / "conf").iterdir():
        if path.name != "schema.yaml":
            (tmp_path / "conf" / path.name).symlink_to(path)
    text = settings.defaults_text().replace("seed: 7", "seed: 8", 1)
    (tmp_path / "conf/schema.yaml").write_text(text)
    with pytest.raises(ReanchorError, match=r"^conf/schema.yaml: not what the schema .*`python -m stages.settings`$"):
        compose.composition(tmp_path, [])


def test_the_command_writes_checks_and_prints(tmp_path, monkeypatch, capsys):
    (tmp_path / "conf").mkdir()
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert settings.main(["--check"]) == 1 and not (tmp_path / settings.DEFAULTS).exists()
    assert settings.main([]) == 0 and settings.main(["--check"]) == 0
    assert (tmp_path / settings.REFERENCE).read_text() == settings.files()[settings.REFERENCE]
    capsys.readouterr()
    assert settings.main(["--json"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) == set(settings_of(Params))
    recipe = schema["$defs"]["FinetuneRecipe"]["properties"]
    assert recipe["epochs"] == {"default": 10, "description": "passes over the identities", "minimum": 1,
                                "title": "Epochs", "type": "integer"}
    assert recipe["sie"]["enum"] == ["none", "camera", "view", "both"]
