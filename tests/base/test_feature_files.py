"""Features as a Parquet file, from the command as it is typed."""

import hashlib
import os

import numpy as np
import pyarrow.parquet as pq
import pytest
from model_folders import write_model
from PIL import Image

import reanchor
from reanchor.cli.main import main

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model("gate", tmp_path_factory.mktemp("gate"))


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Five pictures in folders and a hidden one, in a current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/b.jpg", "photos/a.PNG", "photos/deep/er/c.bmp", "photos/z.tiff", "other/d.png",
                 "photos/.thumbs/a.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (50, 30, 3), dtype=np.uint8)).save(path)
    (tmp_path / "photos/readme.txt").write_text("no picture, and no picture's name")
    return tmp_path


PATHS = ["photos/a.PNG", "photos/b.jpg", "photos/deep/er/c.bmp", "photos/z.tiff"]


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_rows_are_paths_in_order_and_their_features(folder, photos, precision, capsys):
    command = ["embed", str(folder), "photos", "--out", "out/features.parquet", "--batch", "3"]
    assert main([*command, "--precision", precision]) == 0
    table = pq.read_table("out/features.parquet")
    assert table.column_names == ["path", "feature"] and table["path"].to_pylist() == PATHS
    want = reanchor.load(folder).embed(PATHS, batch=3).astype(precision)
    kind = table.schema.field("feature").type
    assert str(kind.value_type) == {"float32": "float", "float16": "halffloat"}[precision]
    assert kind.list_size == want.shape[1]
    got = np.array(table["feature"].to_pylist(), precision)
    assert np.array_equal(got, want)
    metadata = table.schema.metadata
    sha256 = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert metadata[b"reanchor.weights_sha256"].decode() == sha256 and metadata[b"reanchor.method"] == b"gate"
    assert os.listdir("out") == ["features.parquet"]
    assert capsys.readouterr().out == (
        f"4 pictures embedded, {want.shape[1]} numbers each, written to out/features.parquet\n")


def test_files_folders_and_globs_name_each_picture_once(folder, photos):
    named = ["photos/deep", "./photos/b.jpg", "photos/*.jpg", "**/d.png", "photos/deep/er/c.bmp"]
    assert main(["embed", str(folder), *named, "--out", "f.parquet"]) == 0
    assert pq.read_table("f.parquet")["path"].to_pylist() == ["other/d.png", "photos/b.jpg", "photos/deep/er/c.bmp"]
    again = (photos / "f.parquet").read_bytes()
    assert main(["embed", str(folder), *reversed(named), "--out", "f.parquet"]) == 0
    assert (photos / "f.parquet").read_bytes() == again


def test_broken_files_are_named_counted_and_left_out(folder, photos, capsys):
    (photos / "photos/bad.jpg").write_text("no picture")
    cut = (photos / "photos/b.jpg").read_bytes()[:700]
    (photos / "photos/cut.jpg").write_bytes(cut)
    assert main(["embed", str(folder), "photos", "photos/readme.txt", "--out", "f.parquet"]) == 0
    said = capsys.readouterr()
    assert [line.split(": ")[:3] for line in said.err.splitlines()] == [
        ["left out", "photos/bad.jpg", "unreadable"], ["left out", "photos/cut.jpg", "truncated"],
        ["left out", "photos/readme.txt", "unreadable"]]
    assert said.out.rstrip().endswith("written to f.parquet; 3 of 7 files left out")
    assert pq.read_table("f.parquet")["path"].to_pylist() == PATHS


def test_without_a_picture_nothing_is_written(folder, photos, capsys):
    for name in ("one.jpg", "two.jpg"):
        (photos / name).write_text("no picture")
    (photos / "f.parquet").write_text("an earlier file")
    for paths, said in ((["one.jpg", "two.jpg"], "none of 2 files could be embedded (one.jpg: unreadable: no JPEG"),
                        (["nowhere"], "nowhere: names no picture"), (["*.gif"], "*.gif: names no picture"),
                        ([str(folder)], "allowed: a folder that holds .jpg")):
        assert main(["embed", str(folder), *paths, "--out", "f.parquet"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("reanchor embed: ") and said in error and error.count("\n") == 1
    assert (photos / "f.parquet").read_text() == "an earlier file"
    assert not list(photos.glob(".*partial"))


def test_a_name_that_is_no_text_is_left_out(folder, photos, capsys):
    os.rename(b"photos/z.tiff", b"photos/z\xff.tiff")
    assert main(["embed", str(folder), "photos", "--out", "f.parquet"]) == 0
    assert r"photos/z\udcff.tiff: bad_name" in capsys.readouterr().err
    assert pq.read_table("f.parquet")["path"].to_pylist() == PATHS[:3]


def test_wrong_requests_are_one_line(folder, photos, capsys):
    for more, said in ((["--device", "tpu"], "allowed are auto, cpu"), (["--variant", "x"], None)):
        status = main(["embed", str(folder), "photos", "--out", "f.parquet", *more])
        error = capsys.readouterr().err
        assert (status, error.count("\n")) == ((2, 1) if said else (0, 0)) and (said or "") in error
    assert main(["embed", "photos", "photos", "--out", "f.parquet"]) == 2
    assert "no model here" in capsys.readouterr().err
    assert main(["embed", str(folder), "photos", "--out", "other"]) == 2
    assert "other" in capsys.readouterr().err
