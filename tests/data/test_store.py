"""The image store: exact pixels, no copy, no memory, one whole file or none."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore, write_store

RNG = np.random.default_rng(0)


def _images(count, height=24, width=12):
    return (RNG.integers(0, 256, (count, height, width, 3), dtype=np.uint8),
            RNG.integers(0, 7, (count, height, width), dtype=np.uint8))


@pytest.mark.parametrize("count", [1, 7, 500])  # below and above the writer's hole size
@pytest.mark.parametrize("sized", [True, False])
def test_what_is_written_is_read(tmp_path, count, sized):
    images, masks = _images(count)
    write_store(tmp_path / "x.arrow", images if sized else iter(images), masks if sized else iter(masks))
    store = ImageStore.open(tmp_path / "x.arrow")
    np.testing.assert_array_equal(store.images, images)
    np.testing.assert_array_equal(store.masks, masks)
    assert store.mask_kind == "parts" and len(store) == count
    assert [path.name for path in tmp_path.iterdir()] == ["x.arrow"]


def test_any_arrow_reader_understands_the_file(tmp_path):
    images, masks = _images(300)
    write_store(tmp_path / "x.arrow", images, masks, mask_kind="visible")
    table = pa.ipc.open_file(tmp_path / "x.arrow").read_all()
    table.validate(full=True)
    assert table.schema.field("image").type == pa.binary(24 * 12 * 3) and table.num_rows == 300
    assert table.schema.metadata == {b"height": b"24", b"width": b"12", b"mask_kind": b"visible"}
    assert table["image"][299].as_py() == images[299].tobytes()
    assert table["mask"][150].as_py() == masks[150].tobytes()


def test_views_are_of_the_mapped_file(tmp_path):
    write_store(tmp_path / "x.arrow", _images(50)[0])
    before = pa.total_allocated_bytes()
    store = ImageStore.open(tmp_path / "x.arrow")
    assert store.masks is None and not store.images.flags.owndata and not store.images.flags.writeable
    assert pa.total_allocated_bytes() - before < 50_000 and store.images.flags.c_contiguous


@pytest.mark.parametrize("count", [2000, None])
def test_writing_holds_no_more_than_an_image(tmp_path, count):
    image, mask = np.zeros((96, 48, 3), np.uint8), np.zeros((96, 48), np.uint8)
    tracemalloc.start()
    images, masks = (image + 1 for _ in range(2000)), (mask + 2 for _ in range(2000))
    write_store(tmp_path / "x.arrow", images, masks, count=count)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # the file has 37 MB
    store = ImageStore.open(tmp_path / "x.arrow")
    assert (store.images == 1).all() and (store.masks == 2).all()


def test_a_broken_write_leaves_the_old_file(tmp_path):
    images, _ = _images(4)
    write_store(tmp_path / "x.arrow", images)

    def broken():
        yield images[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_store(tmp_path / "x.arrow", broken(), count=4)
    np.testing.assert_array_equal(ImageStore.open(tmp_path / "x.arrow").images, images)
    assert [path.name for path in tmp_path.iterdir()] == ["x.arrow"]


def test_numbers_that_disagree_are_refused(tmp_path):
    images, masks = _images(4)
    with pytest.raises(AssertionError):
        write_store(tmp_path / "x.arrow", iter(images), count=5)
    with pytest.raises(AssertionError):
        write_store(tmp_path / "x.arrow", iter(images), count=3)
    with pytest.raises(ValueError):
        write_store(tmp_path / "x.arrow", images, masks[:3])
    with pytest.raises(ReanchorError, match="at least one image"):
        write_store(tmp_path / "x.arrow", [])
    assert not list(tmp_path.iterdir())


def test_a_missing_or_foreign_file_is_one_line(tmp_path):
    with pytest.raises(ReanchorError, match="no image store there"):
        ImageStore.open(tmp_path / "x.arrow")
    (tmp_path / "x.arrow").write_bytes(b"not arrow at all")
    with pytest.raises(ReanchorError, match="not an image store"):
        ImageStore.open(tmp_path / "x.arrow")
    write_store(tmp_path / "y.arrow", _images(300)[0])
    data = (tmp_path / "y.arrow").read_bytes()
    (tmp_path / "y.arrow").write_bytes(data[:len(data) // 2])
    with pytest.raises(ReanchorError, match="not an image store"):
        ImageStore.open(tmp_path / "y.arrow")
