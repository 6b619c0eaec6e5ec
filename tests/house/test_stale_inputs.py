"""What a stage reads of the user's makes it stale: DVC is asked, in a small repository with the real dvc.yaml."""

import itertools
import shutil

import pytest
import yaml
from data_factory import captions, picture
from PIL import Image

from stages.compose import composition

pytestmark = pytest.mark.slow

NAMES = ("a_c1.jpg", "b_c1.jpg", "a_c2.jpg", "b_c2.jpg")


def _dataset(root, table):
    number, rows = itertools.count(), ["path,pid,camid"]
    for pid in range(1, 9):
        for name in NAMES:
            picture(root / f"{pid}/{name}", next(number))
            (root / f"masks/{pid}").mkdir(parents=True, exist_ok=True)
            Image.new("L", (16, 32), 1).save(root / f"masks/{pid}/{name[:-4]}.png")
            rows.append(f"{pid}/{name},{pid},{name[3]}")
    (root / table).write_text("\n".join(rows))
    captions(root.parent, {"1/a_c1.jpg": ["a coat"]})
    (root / "captions.json").symlink_to(root.parent / "captions.json")  # a link out of the folder


@pytest.fixture
def workspace(tmp_path, root, monkeypatch):
    """The prepare stage, up to date with a table of another name; only its command is left out. Returns the dataset."""
    from dvc.repo import Repo

    data, home = tmp_path / "link", tmp_path / "workspace"
    (tmp_path / "own").mkdir()
    data.symlink_to(tmp_path / "own")  # the root itself may be a link
    _dataset(data, "list.csv")
    shutil.copytree(root / "reanchor", home / "reanchor", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "stages", home / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    stage = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["prepare"]
    stage["cmd"] = "mkdir -p data/prepared reports/prepare && echo {} > reports/prepare/metrics.json"
    (home / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"prepare": stage}}))
    (home / "params.yaml").write_text(composition(root, ["dataset=csv", f"prepare.root={data}",
                                                         "prepare.table=list.csv"]))
    monkeypatch.chdir(home)
    with Repo.init(no_scm=True) as repo:
        repo.reproduce("prepare")
    return data


def changed():
    """What `dvc status prepare` names as changed, here."""
    from dvc.repo import Repo

    with Repo() as repo:
        status = repo.status(targets=["prepare"])
    return [path for part in status.get("prepare", []) for path in part.get("changed deps", [])]


def _brighter(path):
    picture(path, 999)


def _append(path):
    path.write_text(path.read_text().replace("coat", "hat") + "\n")


def _other_mask(path):
    Image.new("L", (16, 32), 3).save(path)


def test_whatever_prepare_reads_makes_it_stale(workspace):
    assert changed() == []
    for name, change in (("1/a_c1.jpg", _brighter), ("list.csv", _append), ("captions.json", _append),
                         ("masks/2/b_c2.png", _other_mask)):
        before = (workspace / name).read_bytes()
        change(workspace / name)
        assert changed() == [str(workspace)], name
        (workspace / name).write_bytes(before)
        assert changed() == [], name
