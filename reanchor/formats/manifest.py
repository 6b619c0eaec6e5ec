"""The one table every stage reads: a row per image, sorted by (split, path)."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reanchor.errors import ReanchorError

SPLITS = ("train", "val", "query", "gallery")  # in the order of the rows
SCHEMA = pa.schema([
    ("image_id", pa.string()), ("path", pa.string()), ("pid", pa.int64()), ("camid", pa.int32()),
    ("viewid", pa.int32()), ("split", pa.string()), ("captions", pa.list_(pa.string())),
    ("width", pa.int32()), ("height", pa.int32()), ("checksum", pa.string()),
])


@dataclass(frozen=True)
class Manifest:
    """Columns of a prepared dataset with N images.

    image_id (path without suffix), path (relative to the root), captions and checksum (SHA-256
    of the file) are lists of length N; pid int64, camid and viewid int32 (0: unknown), width and
    height int32 (of the file, in pixels) and split are arrays [N]. `metadata` holds name, reader,
    root, the stored height, width, interpolation_train and interpolation_test, and of the dataset's card
    its name ("card"), kind, camera_rule (market, none, or auto where unknown), galleries and terms.
    """

    image_id: list[str]
    path: list[str]
    pid: np.ndarray
    camid: np.ndarray
    viewid: np.ndarray
    split: np.ndarray
    captions: list[list[str]]
    width: np.ndarray
    height: np.ndarray
    checksum: list[str]
    metadata: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.path)

    @property
    def interpolation(self) -> str:
        """Of the resize of test images (val, query, gallery): bicubic, which it always was, or bilinear."""
        return self.metadata.get("interpolation_test", "bicubic")

    def rows(self, split: str) -> np.ndarray:
        """Row indices [n] int64 of train, val, query or gallery, ascending."""
        assert split in SPLITS, split
        return np.flatnonzero(self.split == split)

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read manifest.parquet.

        Raises:
            ReanchorError: when there is none, or the file is not a manifest.
        """
        path = Path(path)
        if not path.is_file():
            raise ReanchorError(f"{path}: no manifest there; run the prepare stage (dvc repro prepare)")
        try:
            table = pq.read_table(path).select(SCHEMA.names)
        except (pa.ArrowInvalid, KeyError) as error:
            raise ReanchorError(f"{path}: not a manifest ({error}); run the prepare stage again") from error
        metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        return cls.from_table(table, metadata)

    @classmethod
    def from_table(cls, table: pa.Table, metadata: dict[str, str]) -> "Manifest":
        columns = {}
        for column in SCHEMA:
            values, is_number = table[column.name], pa.types.is_integer(column.type)
            columns[column.name] = values.to_numpy() if is_number else values.to_pylist()
        columns["split"] = np.array(columns["split"], dtype="U7")
        return cls(**columns, metadata=metadata)

    def write(self, path: Path) -> None:
        table = pa.table({name: getattr(self, name) for name in SCHEMA.names}, schema=SCHEMA)
        pq.write_table(table.replace_schema_metadata(self.metadata), path)


def validation_rows(manifest: Manifest) -> tuple[np.ndarray, np.ndarray]:
    """(query rows, gallery rows) of the held-out identities, int64.

    The first image (by path) of each pid and camera is a query; all validation images are the
    gallery, so a query's own row has to be dropped when it is ranked.
    """
    gallery = manifest.rows("val")  # sorted by path, as all rows of a split
    people = np.stack([manifest.pid[gallery], manifest.camid[gallery]], axis=1)
    _, first = np.unique(people, axis=0, return_index=True)
    return gallery[np.sort(first)], gallery
