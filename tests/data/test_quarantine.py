"""Every reason for which an image is set aside, on files made to deserve it."""

import os
import struct
import zlib

import numpy as np
import pyarrow.parquet as pq
import pytest
from data_factory import captions, market, picture
from PIL import Image

from reanchor.config.sections.data import Prepare
from reanchor.data.decode import Rejected, decode_image, decode_mask, inside
from reanchor.data.prepare import prepare
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest

TRAIN = "bounding_box_train"
FIRST = f"{TRAIN}/0001_c1s1_000000_00.jpg"


def run(root, out, **changes):
    settings = {"root": str(root), "card": "none", "height": 32, "width": 16, "validation_share": 0.0,
                "max_bad_share": 1.0}
    metrics = prepare(Prepare(**settings | changes), out, processes=2)
    table = pq.read_table(out / "quarantine.parquet").to_pylist()
    return metrics, {row["path"]: (row["reason"], row["detail"]) for row in table}


def bomb(path, side=60_000):
    """A PNG header of side x side pixels with next to no data."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 99))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data)


def test_each_bad_file_has_its_reason(tmp_path):
    root = market(tmp_path / "data")
    folder = root / TRAIN
    (folder / "0001_c1s1_000090_00.jpg").write_bytes(b"no image")
    (folder / "0001_c1s1_000091_00.jpg").write_bytes((root / FIRST).read_bytes()[:-300])
    picture(folder / "0001_c1s1_000092_00.png", 92, size=(300, 200))
    bomb(folder / "0001_c1s1_000093_00.png")
    (folder / "0001_c1s1_000094_00.jpg").write_bytes((root / FIRST).read_bytes())
    (folder / "0002_c1s1_000095_00.jpg").write_bytes((folder / "0003_c1s1_000000_00.jpg").read_bytes())
    picture(tmp_path / "outside.jpg", 96)
    (folder / "0001_c1s1_000096_00.jpg").symlink_to(tmp_path / "outside.jpg")
    (folder / "0001_c1s1_000097_00.jpg").symlink_to(folder / "gone.jpg")
    picture(folder / "0077_c1s1_000098_00.jpg", 98)
    Image.fromarray(np.zeros((32, 16), np.uint16)).save(folder / "0001_c1s1_000099_00.png")
    (folder / "0001_c1s1_000100_00.jpg").write_bytes(b"")
    os.mkfifo(folder / "0001_c1s1_000101_00.jpg")
    captions(root, {f"{TRAIN}/gone.jpg": ["lost"]})
    metrics, bad = run(root, tmp_path / "out", max_pixels=50_000)
    reasons = {path.removeprefix(f"{TRAIN}/")[:16]: reason for path, (reason, _) in bad.items()}
    assert reasons == {
        "0001_c1s1_000090": "unreadable", "0001_c1s1_000091": "truncated", "0001_c1s1_000092": "oversized",
        "0001_c1s1_000093": "oversized", "0001_c1s1_000094": "duplicate",
        "0002_c1s1_000095": "duplicate_across_identities", "0003_c1s1_000000": "duplicate_across_identities",
        "0001_c1s1_000096": "path_escape", "0001_c1s1_000097": "missing", "0077_c1s1_000098": "one_camera",
        "0001_c1s1_000099": "unreadable", "0001_c1s1_000100": "unreadable", "0001_c1s1_000101": "missing",
        "gone.jpg": "caption_without_image"}
    assert metrics["quarantined"] == 14 and metrics["quarantined_oversized"] == 2
    assert metrics["quarantined_duplicate_across_identities"] == 2
    assert "0003_c1s1_000000_00.jpg, which has pid 3" in bad[f"{TRAIN}/0002_c1s1_000095_00.jpg"][1]
    kept = Manifest.read(tmp_path / "out/manifest.parquet")
    assert not set(kept.path) & set(bad) and metrics["train_images"] == 6 * 4 - 1 and FIRST in kept.path


def test_a_test_query_copied_into_the_gallery_stays_a_query(tmp_path):
    root = market(tmp_path / "data")
    query = sorted((root / "query").iterdir())[0]
    copy = root / "bounding_box_test" / query.name.replace("_00.jpg", "_01.jpg")
    copy.write_bytes(query.read_bytes())
    _, bad = run(root, tmp_path / "out")
    assert bad == {f"bounding_box_test/{copy.name}": ("duplicate", f"the same file as query/{query.name}")}


def test_bad_masks_take_their_image_with_them(tmp_path):
    root = market(tmp_path / "data", masks=True)
    masks = sorted((root / "masks" / TRAIN).iterdir())
    masks[0].unlink()
    Image.new("L", (5, 5)).save(masks[1])
    Image.new("RGB", (16, 32)).save(masks[2])
    masks[3].write_bytes(b"x")
    picture(tmp_path / "outside.png", 0)
    masks[4].unlink()
    masks[4].symlink_to(tmp_path / "outside.png")
    _, bad = run(root, tmp_path / "out")
    assert [reason for _, (reason, _) in sorted(bad.items())] == ["bad_mask"] * 4 + ["path_escape"]
    assert "mask's size is (5, 5), its image's (16, 32)" in bad[f"{TRAIN}/{masks[1].stem}.jpg"][1]


def test_one_camera_is_no_fault_where_there_is_only_one(tmp_path):
    for pid in range(1, 9):
        for image in range(3):
            picture(tmp_path / "data" / str(pid) / f"{image}.jpg", 10 * pid + image)
    metrics, bad = run(tmp_path / "data", tmp_path / "out", reader="folder")
    assert not bad and metrics["queries_without_match"] == 4
    assert "evaluate.camera_rule=none" in (tmp_path / "out/statistics.json").read_text()


def test_too_many_bad_files_stop_with_counts_and_leave_nothing(tmp_path):
    root = market(tmp_path / "data")
    for path in sorted((root / TRAIN).iterdir())[:12:4]:  # one image of three identities
        path.write_bytes(b"")
    with pytest.raises(ReanchorError) as caught:
        run(root, tmp_path / "out", max_bad_share=0.02)
    message = str(caught.value)
    assert "3 of 38 files" in message and f"3 unreadable (such as {FIRST}" in message
    assert "prepare.max_bad_share = 0.02" in message and "\n" not in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    assert run(root, tmp_path / "out", max_bad_share=3 / 38)[0]["quarantined"] == 3


@pytest.mark.parametrize(("folder", "keep", "words"), [
    (TRAIN, "0001_", "split train has 1 usable identities, at least 2"),
    ("query", "0007_", "split query has 1 usable identities, at least 2"),
    ("bounding_box_test", "0000_", "split gallery has 0 usable identities, at least 1"),
])
def test_too_few_identities_name_the_split(tmp_path, folder, keep, words):
    root = market(tmp_path / "data")
    for path in (root / folder).iterdir():
        if not path.name.startswith(keep):
            path.unlink()
    with pytest.raises(ReanchorError, match=words):
        run(root, tmp_path / "out")


def test_queries_of_strangers_are_refused(tmp_path):
    root = market(tmp_path / "data")
    for path in (root / "query").iterdir():
        path.rename(path.with_name("9" + path.name[1:]))
    with pytest.raises(ReanchorError, match="no query identity is in the gallery"):
        run(root, tmp_path / "out")


@pytest.mark.parametrize("path", ["/etc/hostname", "../x.jpg", "a/../../x.jpg"])
def test_paths_stay_inside(tmp_path, path):
    with pytest.raises(Rejected, match="path_escape"):
        inside(tmp_path, path)


@pytest.mark.parametrize("path", ["a\0b.jpg", "x" * 300 + ".jpg", "none.jpg"])
def test_impossible_names_are_missing(tmp_path, path):
    with pytest.raises(Rejected, match="missing"):
        inside(tmp_path, path)


def test_csv_paths_stay_inside(tmp_path):
    root = tmp_path / "data"
    rows = ["path,pid,camid,split", "../out.jpg,1,1,train", "/etc/hostname,1,1,train"]
    for pid in range(1, 5):
        for camera in (1, 2):
            for split in ("train",) if pid < 3 else ("query", "gallery"):
                name = f"{pid}{camera}{split}.jpg"
                picture(root / name, len(rows))
                rows.append(f"{name},{pid},{camera},{split}")
    (root / "dataset.csv").write_text("\n".join(rows))
    picture(tmp_path / "out.jpg", 1)
    metrics, bad = run(root, tmp_path / "out", reader="csv")
    assert {path: reason for path, (reason, _) in bad.items()} == {
        "../out.jpg": "path_escape", "/etc/hostname": "path_escape"}
    assert metrics["train_images"] == 4 and metrics["gallery_images"] == 4


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_eight_bit_mode_becomes_rgb(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    colour = Image.new("RGB", (16, 32), (255, 255, 255))
    colour.convert(mode).save(tmp_path / f"x.{suffix}")
    decoded = decode_image(tmp_path / f"x.{suffix}", 8, 4, 10_000)
    assert decoded.pixels.shape == (8, 4, 3) and (decoded.pixels == 255).all()
    assert (decoded.width, decoded.height) == (16, 32)


def test_images_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    picture(tmp_path / "x.jpg", 0, size=(32, 16), exif=exif)
    decoded = decode_image(tmp_path / "x.jpg", 32, 16, 10_000)
    assert (decoded.width, decoded.height) == (16, 32)


def test_masks_keep_their_labels_when_resized(tmp_path):
    labels = np.repeat(np.repeat(np.array([[0, 9], [200, 3]], np.uint8), 8, 0), 8, 1)
    Image.fromarray(labels).save(tmp_path / "m.png")
    mask = decode_mask(tmp_path / "m.png", (16, 16), 4, 4, 10_000)
    np.testing.assert_array_equal(mask, np.repeat(np.repeat([[0, 9], [200, 3]], 2, 0), 2, 1))
