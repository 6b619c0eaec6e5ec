"""Features of picture files as a Parquet file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from reanchor.api import BATCH, Model
from reanchor.data.decode import Rejected
from reanchor.data.listing import is_text, printable
from reanchor.data.photographs import read_image
from reanchor.errors import ReanchorError
from reanchor.files import atomic_path

PRECISIONS = {"float32": pa.float32(), "float16": pa.float16()}


@dataclass(frozen=True)
class Written:
    """What became of the files: how many are embedded in features of what width, and which are broken, and why."""

    embedded: int
    width: int
    broken: list[tuple[str, str]]  # (path, why)


def write_features(model: Model, files: Sequence[str], out: Path, weights: str, precision: str = "float32",
                   batch: int = BATCH) -> Written:
    """Embed picture files into the Parquet file `out`, which is whole or absent.

    Its columns are `path` (as given, in the order given) and `feature` (a list of fixed size, unit length). Its
    metadata tell the method (reanchor.method), the size and resize that were read (reanchor.reads) and `weights`, the
    SHA-256 of the model's weights (reanchor.weights_sha256). Broken files have no row.

    Args:
        precision: of the features, one of PRECISIONS.
        batch: pictures that are held and embedded together.

    Raises:
        ReanchorError: not one of the files could be read, no space is left, or an unknown precision.
    """
    if precision not in PRECISIONS:
        raise ReanchorError(f"precision: got {precision!r}; allowed: {', '.join(PRECISIONS)}")
    broken: list[tuple[str, str]] = []
    embedded, width = 0, _width(model)
    schema = _schema(model, width, weights, precision)
    with atomic_path(out) as temporary:
        with pq.ParquetWriter(temporary, schema) as writer:
            for paths, images in _batches(model, files, batch, broken):
                features = model.embedder.embed(images, np.zeros(len(images), np.int64)).features
                writer.write_table(_rows(paths, features.astype(precision), schema))
                embedded += len(paths)
        if not embedded:
            path, why = broken[0] if broken else ("no file", "nothing was named")
            raise ReanchorError(f"none of {len(files)} files could be embedded ({path}: {why}); allowed: JPEG, PNG, "
                                "TIFF and BMP files: name such files")
    return Written(embedded, width, broken)


def _batches(model: Model, files: Sequence[str], batch: int, broken: list[tuple[str, str]]) -> (
        Iterator[tuple[list[str], np.ndarray]]):
    """Paths and their pixels, `batch` readable files at a time; the others are put into `broken`."""
    paths: list[str] = []
    images: list[np.ndarray] = []
    for file in tqdm(files, desc=f"embed ({model.name})", unit="file", leave=False, disable=None):
        try:
            if not is_text(file):
                raise Rejected("bad_name", "no UTF-8, which a table's text must be: rename the file")
            images.append(read_image(file, model.reads))
            paths.append(file)
        except Rejected as error:
            broken.append((printable(file), f"{error.reason}: {error.detail}"))
        if len(paths) == batch:
            yield paths, np.stack(images)
            paths, images = [], []
    if paths:
        yield paths, np.stack(images)


def _width(model: Model) -> int:
    return model.embed([]).shape[1]


def _schema(model: Model, width: int, weights: str, precision: str) -> pa.Schema:
    metadata = {"reanchor.method": model.name, "reanchor.reads": str(model.reads), "reanchor.weights_sha256": weights}
    return pa.schema([("path", pa.string()), ("feature", pa.list_(PRECISIONS[precision], width))], metadata)


def _rows(paths: list[str], features: np.ndarray, schema: pa.Schema) -> pa.Table:
    kind = schema.field("feature").type
    flat = pa.array(features.ravel(), kind.value_type)
    return pa.table([pa.array(paths), pa.FixedSizeListArray.from_arrays(flat, kind.list_size)], schema=schema)
