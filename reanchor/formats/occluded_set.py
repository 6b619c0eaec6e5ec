"""A folder of occluded copies: manifest.parquet beside images.arrow, and the hash of both."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore, first_line, write_store
from reanchor.formats.occlusion import Occlusion

SCHEMA = pa.schema([
    ("row", pa.int64()), ("image_id", pa.string()), ("pid", pa.int64()), ("camid", pa.int32()),
    ("kind", pa.string()), ("occluder_class", pa.string()), ("occluder", pa.string()),
    ("x0", pa.int32()), ("y0", pa.int32()), ("x1", pa.int32()), ("y1", pa.int32()),
    ("requested_ratio", pa.float64()), ("area_ratio", pa.float64()), ("seed", pa.int64()),
])


CHUNK = 1024  # records
AGAIN = "run the occlude stage again (dvc repro -f occlude)"  # what helps a damaged set


class ChangedError(ReanchorError):
    """A set is not the one that was hashed."""


@dataclass(frozen=True)
class OccludedSet:
    """Occluded copies [N, ...] of some rows of the prepared manifest.

    images [N, H, W, 3] uint8 and masks [N, H, W] uint8 (labels of `reanchor.formats.occlusion`) are
    memory-mapped; rows [N] int64 are the rows of the prepared manifest; `table` holds the rest.
    """

    images: np.ndarray
    masks: np.ndarray
    rows: np.ndarray
    table: pa.Table

    @classmethod
    def open(cls, folder: Path, sha256: str = "") -> "OccludedSet":
        """Map a folder that `write_occluded` made, and read it through where its hash is given.

        Raises:
            ReanchorError: when its manifest or images are missing, or are not those that were hashed.
        """
        folder = Path(folder)
        if not (folder / "manifest.parquet").is_file():
            raise ReanchorError(f"{folder}: no occluded set there (manifest.parquet is missing); "
                                "run the occlude stage (train/ needs occlude.train_share above 0)")
        table = _read_manifest(folder / "manifest.parquet")
        store = ImageStore.open(folder / "images.arrow", AGAIN)
        if store.masks is None:
            raise ReanchorError(f"{folder}/images.arrow: holds no masks; allowed: one for each image; {AGAIN}")
        if len(table) != len(store.images):
            raise ReanchorError(f"{folder}: manifest.parquet lists {len(table)} images, images.arrow holds "
                                f"{len(store.images)}; make the sets again: dvc repro -f occlude")
        found = cls(store.images, store.masks, table["row"].to_numpy(), table)
        if sha256 and (now := found.sha256()) != sha256:
            raise ChangedError(f"{folder}: its images, masks or manifest have changed since suites.json was written "
                               f"(sha256 {now[:12]}, not {sha256[:12]}); make the sets again: dvc repro -f occlude")
        return found

    def sha256(self) -> str:
        """The hash that `write_occluded` gave, from what the folder holds now."""
        digest = hashlib.sha256()
        for start in range(0, len(self.rows), CHUNK):
            part = slice(start, start + CHUNK)
            entries = self.table.slice(start, CHUNK).to_pylist()
            for entry, image, mask in zip(entries, self.images[part], self.masks[part], strict=True):
                _feed(digest, entry, image, mask)
        return digest.hexdigest()


def _read_manifest(path: Path) -> pa.Table:
    """The table of a set, every column of SCHEMA there."""
    try:
        table = pq.read_table(path)
        table.validate(full=True)  # texts that are no UTF-8 pass the reading
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ReanchorError(f"{path}: no readable table ({first_line(error)}); {AGAIN}") from error
    wrong = [field.name for field in SCHEMA
             if (at := table.schema.get_field_index(field.name)) < 0 or table.schema.types[at] != field.type]
    if wrong:
        raise ReanchorError(f"{path}: no column {', '.join(wrong)} of its type; got {', '.join(table.column_names)}; "
                            f"allowed: those that the occlude stage writes; {AGAIN}")
    return table


@dataclass(frozen=True)
class Written:
    """What `write_occluded` wrote: the manifest, and one hash over all of it."""

    table: pa.Table
    sha256: str


def record(row: int, image_id: str, pid: int, camid: int, occlusion: Occlusion) -> dict:
    """One manifest row."""
    x0, y0, x1, y1 = occlusion.box
    return {"row": row, "image_id": image_id, "pid": pid, "camid": camid, "kind": occlusion.kind,
            "occluder_class": occlusion.occluder_class, "occluder": occlusion.occluder,
            "x0": x0, "y0": y0, "x1": x1, "y1": y1, "requested_ratio": occlusion.requested_ratio,
            "area_ratio": occlusion.area_ratio, "seed": occlusion.seed}


def write_occluded(folder: Path, copies: Iterable[tuple[dict, np.ndarray, np.ndarray]], count: int,
                   mask_source: str) -> Written:
    """Stream `count` copies (record, image [H, W, 3], mask [H, W]) into a new folder.

    `mask_source` is where people's outlines come from: "labels" (the dataset's masks) or "silhouette".

    The hash is SHA-256 over every record, image and mask in order, not over file bytes, which depend
    on the version of the Arrow library.
    """
    folder.mkdir(parents=True)
    batches: list[pa.RecordBatch] = []
    waiting: list[dict] = []  # records take ten times the memory that their batch does
    digest = hashlib.sha256()

    def kept() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for entry, image, mask in copies:
            waiting.append(entry)
            if len(waiting) == CHUNK:
                batches.append(pa.RecordBatch.from_pylist(waiting, schema=SCHEMA))
                waiting.clear()
            _feed(digest, entry, image, mask)
            yield image, mask

    images, masks = tee(kept())
    write_store(folder / "images.arrow", (image for image, _ in images), (mask for _, mask in masks),
                mask_kind="visibility", count=count)
    batches.append(pa.RecordBatch.from_pylist(waiting, schema=SCHEMA))
    table = pa.Table.from_batches(batches).combine_chunks()
    table = table.replace_schema_metadata({"mask_source": mask_source})
    pq.write_table(table, folder / "manifest.parquet")
    return Written(table, digest.hexdigest())


def _feed(digest, entry: dict, image: np.ndarray, mask: np.ndarray) -> None:
    digest.update(json.dumps(entry, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(image))
    digest.update(np.ascontiguousarray(mask))
