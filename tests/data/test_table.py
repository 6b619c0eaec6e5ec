"""The table of images: how it may be written, what is refused and with which words."""

import pytest
from data_factory import captions, picture

from reanchor.cli.main import main
from reanchor.config.load import from_mapping
from reanchor.config.params import Params
from reanchor.config.sections.data import Prepare
from reanchor.data.catalogue import read_dataset
from reanchor.data.listing import Entry
from reanchor.data.prepare import prepare
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from stages.check import check_inputs

HEADER = "path,pid,camid,split,caption\n"
ROWS = ("a.jpg,4,2,train,one", "b.jpg,5,1,query,", "c.jpg,5,2,gallery,")


def _csv(folder, text, name="dataset.csv"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def refusal(root, reader="csv", **more):
    with pytest.raises(ReanchorError) as caught:
        read_dataset(reader, root, 0, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_csv_rows_become_entries_and_captions_are_merged(tmp_path):
    rows = ['./a.jpg,4,2,train,"red, with a hat"', "a.jpg,4,2,train,second", "b.jpg,5,,query,", "b.jpg,6,,query,"]
    listing = read_dataset("csv", _csv(tmp_path, HEADER + "\n".join(rows)), 0)
    assert listing.entries == [Entry("a.jpg", 4, 2, "train", 0, ("red, with a hat", "second")),
                               Entry("b.jpg", 5, 0, "query")]
    assert [(rejection.path, rejection.reason) for rejection in listing.rejections] == [("b.jpg", "bad_row")]
    assert listing.notes == []


@pytest.mark.parametrize(("text", "words"), [
    ("path,pid\n", "no column 'camid' (the first line is 'path, pid'); needed are path, pid, camid, allowed also"),
    ("path,pid,camid,name\n", "unknown column 'name' (the first line is 'path, pid, camid, name'); needed are"),
    ("path|pid|camid\n", "no column 'path' (the first line is 'path|pid|camid'); needed are path, pid, camid"),
    ("", "no column 'path'"),
    (HEADER, "no rows"),
    (HEADER + "a.jpg,x,1,train,\n", "line 2: pid 'x'; allowed is a whole number"),
    (HEADER + "a.jpg,1,-1,train,\n", "line 2: camid '-1'"),
    (HEADER + "a.jpg,99999999999999999999,1,train,\n", "line 2: pid '9"),
    (HEADER + "a.jpg,1,1,test,\n", "line 2: split 'test'; allowed are train, query, gallery"),
    (HEADER + "a.jpg,1,1,train,one, two\n", "line 2: has 6 fields, the header 5; put texts with commas in quotes"),
    (HEADER + "\na.jpg,1,1\n", "line 3: has 3 fields, the header 5; put texts"),
    (HEADER + " ,1,1,train,\n", "line 2: path is empty; name an image relative to prepare.root"),
    ("path,pid,camid,caption,caption\n", "column 'caption' is there 2 times ('caption', 'caption'); allowed is each "
     "column once; an image with several captions has a row for each"),
    ("path,pid,camid,caption, Caption \n", "column 'caption' is there 2 times ('caption', 'Caption '); allowed is"),
    ("path;pid;PID;camid;pid \n", "column 'pid' is there 3 times ('pid', 'PID', 'pid '); allowed is each column once, "
     "leave one"),
    (",path,pid,camid\n", "column 1 of 4 has no name; needed are path, pid, camid, allowed also split, viewid, "
     "caption; name it, or take it out of every row"),
    ("path,pid,camid, \n", "column 4 of 4 has no name"),
])
def test_a_wrong_table_names_its_line_or_column(tmp_path, text, words):
    message = refusal(_csv(tmp_path, text))
    assert message.startswith(f"{tmp_path}/dataset.csv") and words in message


WAYS = {
    "blanks behind the commas": lambda text: text.replace(",", ", "),
    "blanks around": lambda text: text.replace(",", " , "),
    "quotes behind blanks": lambda text: text.replace(",one", ', "one"'),
    "Excel in Europe": lambda text: "\ufeff" + text.replace(",", ";").replace("\n", "\r\n"),
    "tabs": lambda text: text.replace(",", "\t"),
    "capitals": lambda text: text.replace("path,pid,camid", "Path,PID,CamID"),
    "empty lines": lambda text: text.replace("\n", "\n\n"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_one_table_in_several_ways(tmp_path, way):
    text = HEADER + "\n".join(ROWS) + "\n"
    assert read_dataset("csv", _csv(tmp_path, way(text)), 0).entries == [
        Entry("a.jpg", 4, 2, "train", 0, ("one",)), Entry("b.jpg", 5, 1, "query"), Entry("c.jpg", 5, 2, "gallery")]


def test_commas_in_the_captions_of_a_table_with_semicolons(tmp_path):
    rows = 'path;pid;camid;caption\n' + "".join(f"{pid}.jpg;{pid};1;red, with; a hat\n".replace("with;", "with")
                                               for pid in range(1, 5))
    assert {entry.captions for entry in read_dataset("csv", _csv(tmp_path, rows), 0).entries} == {("red, with a hat",)}


def test_a_table_that_counts_from_0_is_told_what_0_means(tmp_path):
    rows = "\n".join(f"{pid}_{camera}.jpg,{pid},{camera}" for pid in range(5) for camera in range(2))
    assert read_dataset("csv", _csv(tmp_path, f"path,pid,camid\n{rows}"), 0).notes == [
        "dataset.csv: pid 0 in 2 rows (first in line 2) means a distractor, which no query asks for; if the table "
        "counts from 0, add 1 to every pid",
        "dataset.csv: camid 0 in 5 rows (first in line 2) means that the camera is unknown; if the table counts from "
        "0, add 1 to every camid"]


def test_a_missing_or_binary_table(tmp_path):
    said = f"prepare.root: {str(tmp_path)!r} has no dataset.csv; "
    assert refusal(tmp_path) == said + "put one there or set prepare.table"
    _csv(tmp_path, "", "list.csv")
    assert refusal(tmp_path) == said + "set prepare.table to list.csv, which is there"
    for data in (b"path,pid,camid\n\xff\xfe,1,1\n", "path,pid,camid".encode("utf-16")):
        assert "not a UTF-8 CSV file" in refusal(_csv(tmp_path, data))


def test_a_table_of_another_name(tmp_path):
    (tmp_path / "lists").mkdir()
    text = HEADER + "\n".join(ROWS)
    for name in ("list.csv", "lists/mine.csv"):  # paths stay relative to the root
        assert [entry.path for entry in read_dataset("csv", _csv(tmp_path, text, name), 0, table=name).entries] == [
            "a.jpg", "b.jpg", "c.jpg"]
    outside = _csv(tmp_path.parent, text, f"{tmp_path.name}.csv") / f"{tmp_path.name}.csv"
    (tmp_path / "link.csv").symlink_to(outside)
    for name in (f"../{outside.name}", str(outside), "link.csv"):
        message = refusal(tmp_path, table=name)
        assert message.startswith(f"prepare.table: got {name!r}; allowed: a CSV file in prepare.root")
    assert refusal(tmp_path, "folder", table="list.csv") == (
        "prepare.table: got 'list.csv' with prepare.reader 'folder', which reads no table; allowed: dataset.csv, or "
        "dataset=csv")


@pytest.mark.parametrize("name", ["", " ", "/data/list.csv", "../list.csv", "a/../../list.csv", "."])
def test_the_setting_is_a_name_inside_the_root(name):
    with pytest.raises(ReanchorError, match=r"prepare\.table: got .*; allowed: the name of a CSV file in prepare.root"):
        from_mapping({"prepare": {"table": name}})


@pytest.mark.parametrize("reader", ["csv", "folder", "market1501", "icfg_pedes"])
def test_a_root_that_is_a_file_is_refused_with_the_two_settings(tmp_path, reader):
    file = _csv(tmp_path, HEADER, "list.csv") / "list.csv"
    expected = (f"prepare.root: '{file}' is a file, expected the dataset's folder; set dataset=csv "
                f"prepare.root={tmp_path} prepare.table=list.csv")
    assert refusal(file, reader) == expected
    params = Params(prepare=Prepare(root=str(file), reader=reader, card="none"))
    params.render.enabled = False
    with pytest.raises(ReanchorError) as caught:  # before any stage runs
        check_inputs(params, tmp_path)
    assert str(caught.value) == expected
    (tmp_path / "data.zip").write_bytes(b"")
    assert refusal(tmp_path / "data.zip", reader).endswith(
        "is a file, expected the dataset's folder; unpack an archive first, or name the folder that holds the file")


def test_prepare_and_doctor_take_the_tables_name(tmp_path, capsys):
    root, rows = tmp_path / "data", ["path,pid,camid,split"]
    for pid in range(1, 9):
        for name in ("a_c1.jpg", "b_c1.jpg", "a_c2.jpg", "b_c2.jpg"):
            picture(root / f"{pid}/{name}", len(rows))
            split = "train" if pid < 5 else "query" if name[0] == "a" else "gallery"
            rows.append(f"{pid}/{name},{pid},{name[3]},{split}")
    captions(_csv(root, "\n".join(rows), "list.csv"), {"1/a_c1.jpg": ["a coat"]})
    config = Prepare(root=str(root), table="list.csv", card="csv", reader="csv", height=24, width=12,
                     validation_share=0.5)
    metrics = prepare(config, tmp_path / "out", 1)
    assert (metrics["quarantined"], metrics["captions"], metrics["gallery_images"]) == (0, 1, 8)
    assert Manifest.read(tmp_path / "out/manifest.parquet").metadata["name"] == "data"
    assert main(["doctor", "csv", str(root), "--table", "list.csv"]) == 0
    assert f'make run SET="dataset=csv prepare.root={root} prepare.table=list.csv"' in capsys.readouterr().out
    assert main(["doctor", "csv", str(root)]) == 1
    assert "has no dataset.csv\n   mend: set prepare.table to list.csv, which is there\n" in capsys.readouterr().out
    assert main(["doctor", "csv", str(root / "list.csv")]) == 2
    assert f"which is a file; allowed: a folder; use {root} --table list.csv" in capsys.readouterr().err
