"""Datasets are found in their folder, cheaply, and options and documentation say what the records say."""

import json
import subprocess
import sys

import pytest
import yaml
from layout_factory import LAYOUTS
from places import ROOT

from reanchor.config.load import from_mapping
from reanchor.config.sections.data import Prepare
from reanchor.data.catalogue import DATASETS, READERS, chosen_settings, read_dataset
from reanchor.data.dataset import Dataset
from reanchor.data.document import documented
from reanchor.errors import ReanchorError
from stages.compose import composition

FILES = sorted(path.stem for path in (ROOT / "reanchor/data/datasets").glob("*.py") if path.stem != "__init__")
MAY_SAY = {"prepare": {"reader", "root", "card", "interpolation_train", "interpolation_test", "height", "width",
                       "table", "validation_share"}, "report": {"title"}, "render": {"enabled"}, "prompts": {"after"}}


def python(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)


def test_every_file_of_the_folder_is_a_dataset_of_its_name():
    assert list(READERS) == FILES == sorted(FILES) and list(DATASETS) == [*FILES, "none"]
    assert all(isinstance(DATASETS[name], Dataset) and DATASETS[name].name == name for name in FILES)
    assert len({dataset.title for dataset in DATASETS.values()}) == len(DATASETS)
    assert {name: dataset.shares for name, dataset in DATASETS.items() if dataset.shares} == {
        "occluded_duke": "dukemtmc_reid", "streetfolk": "market1501"}
    assert {name: dataset.takes for name, dataset in DATASETS.items() if dataset.takes} == {
        "csv": ("table",), "cuhk_pedes": ("test_records",), "icfg_pedes": ("test_records",), "mp_reid": ("experiment",),
        "rstpreid": ("test_records",), "vehicleid": ("test_size",)}
    assert {name: dataset.random_splits for name, dataset in DATASETS.items() if dataset.random_splits > 1} == {
        "cuhk01": 10, "viper": 10}


def test_every_published_dataset_has_a_miniature():
    assert set(LAYOUTS) == {name for name in FILES if DATASETS[name].source and name != "streetfolk"}


def test_finding_them_loads_no_network_and_settings_load_none_of_them():
    loaded = python("import json, sys, reanchor.data.catalogue\nprint(json.dumps(sorted(sys.modules)))")
    assert not {"torch", "torchvision", "open_clip", "pandas"} & set(loaded)
    loaded = python("import json, sys\nfrom reanchor.config.load import load\nload('params.yaml')\n"
                    "print(json.dumps(sorted(sys.modules)))")
    assert not [name for name in loaded if name.startswith(("reanchor.data.", "numpy", "PIL"))
                and name != "reanchor.data.datasets"]


def test_a_name_that_is_no_file_is_refused():
    for key, first in (("reader", "csv"), ("card", "none, csv")):
        with pytest.raises(ReanchorError, match=rf"prepare\.{key}: got 'vipr'; allowed: {first}, .*mean 'viper'"):
            from_mapping({"prepare": {key: "vipr"}})


def test_settings_reach_the_datasets_that_take_them_and_no_other(tmp_path):
    assert chosen_settings(Prepare()) == {"experiment": "", "table": "dataset.csv", "test_records": 0,
                                          "test_size": "small"}
    root = LAYOUTS["market1501"](tmp_path)
    assert read_dataset("market1501", root, 0, **chosen_settings(Prepare())).entries
    for changed, words in (({"test_size": "large"}, "allowed: small, or dataset=vehicleid"),
                           ({"experiment": "x"}, "allowed: '', or dataset=mp_reid"),
                           ({"test_records": 2}, "allowed: 0, or dataset=cuhk_pedes, icfg_pedes, rstpreid")):
        with pytest.raises(ReanchorError) as caught:
            read_dataset("market1501", root, 0, **chosen_settings(Prepare(**changed)))
        (name, value), = changed.items()
        assert str(caught.value) == (f"prepare.{name}: got {value!r} with prepare.reader 'market1501', which reads no "
                                     f"{name}; {words}")


@pytest.mark.parametrize("name", FILES)
def test_an_option_says_nothing_that_the_record_does_not(name):
    """Input sizes apart, which a backbone decides."""
    said, dataset = yaml.safe_load((ROOT / f"conf/dataset/{name}.yaml").read_text()), DATASETS[name]
    made = yaml.safe_load(composition(ROOT, [f"dataset={name}"]))
    assert (made["prepare"]["reader"], made["prepare"]["card"]) == (dataset.reader, name)
    assert made["prepare"]["root"].startswith("data/")
    assert made["report"]["title"] == f"{dataset.title if dataset.source else {'csv': 'CSV'}.get(name, 'Folder')} study"
    assert all(set(values) <= MAY_SAY[section] for section, values in said.items() if section != "defaults")
    assert not said or (said.get("defaults", ["_self_"])[-1] == "_self_"
                        and said.get("render", {}) in ({}, {"enabled": False}))


def test_every_option_is_of_a_dataset():
    assert sorted(path.stem for path in (ROOT / "conf/dataset").glob("*.yaml")) == FILES


def test_the_tables_of_the_page_are_those_of_the_records():
    page = (ROOT / "docs/reference/datasets.md").read_text()
    assert documented(page) == page, "run `python -m reanchor.data.document`"
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `") and "dataset=" not in line}
    assert set(FILES) <= set(rows)
    assert rows["viper"] == (
        "| `viper` | VIPeR | cam_a, cam_b; NNN_DEG.bmp | market | 632 / 316 / 316; 10 random splits; half of the "
        "identities train, drawn by prepare.seed; cam_a (camera 1) searches cam_b (camera 2) | research; as on its "
        "authors' page |")
    assert "| none, 10 galleries | 113,346 / 5,693 / 800 (small); 113,346 / 11,777 / " in rows["vehicleid"]
    assert "| 3,102 / - / 1,000 | 34,674 / - / 19,848 (34,674 / - / 19,848) |" in rows["icfg_pedes"]
    assert "| none | 0 / 119 / 119 |" in rows["partial_ilids"] and "1,824 of 114 in all" in rows["pku_reid"]
    assert documented(page.replace("| `viper` |", "| `vipr` |")) == page
