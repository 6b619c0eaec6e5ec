"""Occluded sets of which a file is torn or edited are refused in one line that says what to do."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from occlusion_factory import draw_library, entries, write_prepared

from reanchor.cli.main import main
from reanchor.config.sections.data import Occlude
from reanchor.config.setting import settings_of
from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore, write_store
from reanchor.formats.occluded_set import AGAIN
from reanchor.formats.suites import SIDES, open_set, open_sets, read_suites
from reanchor.methods.gate.generator import OcclusionGenerator
from reanchor.methods.gate.settings import Gate
from reanchor.occlusion.suites import make_occluded
from reanchor.retrieval.validation import Validation


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A prepared dataset and its occluded sets."""
    root = tmp_path_factory.mktemp("damaged")
    write_prepared(root / "prepared", entries())
    config = Occlude(library=str(draw_library(root / "library")), masking_ratios=[0.2], people_ratios=[])
    make_occluded(config, root / "prepared", root / "out", 1)
    return root


@pytest.fixture
def out(made, tmp_path):
    """A copy of the sets, to damage."""
    return shutil.copytree(made / "out", tmp_path / "out")


def refusal(reader) -> str:
    with pytest.raises(ReanchorError) as caught:
        reader()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(out, change) -> None:
    """Change the list of suites in place."""
    suites = json.loads((out / "suites.json").read_text())
    change(suites)
    (out / "suites.json").write_text(json.dumps(suites))


@pytest.mark.parametrize(("content", "problem"), [
    ('{"test": [{"na', "no readable JSON (Unterminated string starting at: line 1 column 12 (char 11))"),
    ("", "no readable JSON (Expecting value: line 1 column 1 (char 0))"),
    ("[]", "its content: got []; allowed: an object"),
    ('{"train": []}', "train: got []; allowed: an object"),
    ('{"val": {"ogor": 1}}', 'val: got {"ogor": 1}; allowed: a list of suites'),
    ('{"library": {}}', "library: got {}; allowed: an object with 'source'"),
    ('{"sides": "left"}', "sides: got 'left'; allowed: query, gallery, both"),
    ('{"sides": ["both"]}', "sides: got \"['both']\"; allowed: query, gallery, both")])
def test_a_list_of_suites_that_is_torn_or_of_another_shape_is_refused(tmp_path, content, problem):
    index = tmp_path / "suites.json"
    index.write_text(content)
    assert refusal(lambda: read_suites(tmp_path)) == f"{index}: {problem}; {AGAIN}"


@pytest.mark.parametrize("entry", ['"ogor"', '{"kind": "ogor"}', '{"kind": "ogor", "name": 1}',
                                   '{"name": "ogor", "kind": "ogor"}'])
def test_an_entry_without_its_name_is_refused(tmp_path, entry):
    whole = '{"name": "ogor", "kind": "ogor", "series": "ogor"}'
    (tmp_path / "suites.json").write_text(f'{{"test": [{whole}, {entry}]}}')
    assert refusal(lambda: open_set(tmp_path, "test", "ogor")) == (
        f"{tmp_path}/suites.json: test[1]: got {entry}; allowed: an object with 'name', 'kind' and 'series'; "
        f"{AGAIN}")


def test_a_list_of_suites_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "suites.json").write_bytes(b'{"sides": "\xff"}')
    assert "suites.json: no readable JSON ('utf-8' codec can't decode" in refusal(lambda: read_suites(tmp_path))


@pytest.mark.parametrize("name", ["train", "val", "test", "variant", "library"])
def test_a_part_that_is_asked_for_and_lacking_is_refused(tmp_path, name):
    (tmp_path / "suites.json").write_text("{}")
    assert refusal(lambda: read_suites(tmp_path)[name]) == (
        f"{tmp_path}/suites.json: lacks '{name}', so it is damaged; {AGAIN}")


def test_the_gates_generator_says_what_the_list_lacks(made, out):
    edit(out, lambda suites: suites.pop("variant"))
    config = Occlude(library=str(made / "library"))
    assert "suites.json: lacks 'variant'" in refusal(
        lambda: OcclusionGenerator.open(Gate(), config, made / "prepared", out, "train"))


def test_the_sides_are_those_of_the_settings_and_of_evaluation():
    from reanchor.retrieval import opening

    assert tuple(opening.SIDES) == SIDES == settings_of(Occlude)["sides"].choices


@pytest.mark.parametrize(("change", "given"), [
    (lambda entry: entry.pop("sha256"), "null"), (lambda entry: entry.update(sha256=""), '""'),
    (lambda entry: entry.update(sha256=7), "7")])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_suite_without_its_hash_is_refused(out, split, change, given):
    edit(out, lambda suites: change(suites["train"] if split == "train" else suites["test"][0]))
    folder = "train" if split == "train" else "test/ogor"
    assert refusal(lambda: open_set(out, split, "ogor")) == (
        f"{out}/{folder}: suites.json gives {given} as its sha256, so nothing tells whether it has changed; allowed: "
        f"the hash that the occlude stage writes; {AGAIN}")


def test_every_suite_that_is_written_has_its_hash(made):
    suites = read_suites(made / "out")
    assert all(len(entry["sha256"]) == 64 for entry in (suites["train"], *suites["val"], *suites["test"]))
    assert len(open_sets(made / "out", "test", ["ogor", "masking-0.20"])) == 2


def damage_footer(path) -> None:
    """Another length of the Arrow footer's message, as one changed byte leaves it."""
    data = bytearray(path.read_bytes())
    data[-8] ^= 64
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [damage_footer, lambda path: path.write_bytes(path.read_bytes()[:-300]),
                                    lambda path: path.write_bytes(b"")])
def test_images_whose_footer_is_damaged_are_refused(made, out, damage):
    path = out / "val/ogor/images.arrow"
    damage(path)
    message = refusal(lambda: Validation.open(made / "prepared", out, ("ogor",)))
    assert message.startswith(f"{path}: not an image store (") and message.endswith(f"); {AGAIN}")


def test_every_byte_of_a_footer_may_change_without_a_traceback(made, tmp_path):
    data = (made / "out/val/ogor/images.arrow").read_bytes()
    refused = 0
    for at in range(len(data) - 600, len(data)):
        path = tmp_path / f"{at}.arrow"  # a name of its own: a mapped file must not change
        path.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1:])
        try:
            ImageStore.open(path)
        except ReanchorError:
            refused += 1
    assert refused > 100


def test_prepared_images_that_are_damaged_name_no_stage_of_occlusion(made, tmp_path):
    path = shutil.copy(made / "prepared/images.arrow", tmp_path / "images.arrow")
    damage_footer(path)
    assert refusal(lambda: ImageStore.open(path)).endswith("); run the stage that makes it again")


def test_copies_without_masks_are_refused(made, out):
    path = out / "test/ogor/images.arrow"
    path.unlink()
    write_store(path, np.zeros((20, 32, 16, 3), np.uint8))
    assert refusal(lambda: open_set(out, "test", "ogor")) == (
        f"{path}: holds no masks; allowed: one for each image; {AGAIN}")


@pytest.mark.parametrize(("change", "names"), [
    (lambda table: table.drop_columns(["row"]), "row"),
    (lambda table: table.drop_columns(["seed", "kind"]), "kind, seed"),
    (lambda table: table.set_column(0, "row", table["row"].cast(pa.string())), "row")])
def test_a_manifest_without_a_column_is_refused(out, change, names):
    path = out / "test/ogor/manifest.parquet"
    table = change(pq.read_table(path))
    pq.write_table(table, path)
    assert refusal(lambda: open_set(out, "test", "ogor")) == (
        f"{path}: no column {names} of its type; got {', '.join(table.column_names)}; allowed: those that the occlude "
        f"stage writes; {AGAIN}")


@pytest.mark.parametrize("tolerance", ["-5", "256", "999"])
def test_a_tolerance_that_no_channel_reaches_is_refused(tmp_path, capsys, tolerance):
    assert main(["cutouts", str(tmp_path / "source"), str(tmp_path / "out"), "--tolerance", tolerance]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"--tolerance: got {tolerance}; allowed: 0 to 255; a usual value is 15" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tolerance", ["0", "255"])
def test_the_bounds_of_the_tolerance_are_allowed(tmp_path, capsys, tolerance):
    source = draw_library(tmp_path / "source")
    assert main(["cutouts", str(source), str(tmp_path / "out"), "--tolerance", tolerance]) == 0
    assert "4 cut-outs of 4 classes" in capsys.readouterr().out
