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

from reanchor.data import ImageStore, write_store
from reanchor.errors import ReanchorError
from reanchor.occlusion.image import Occlusion

SCHEMA = pa.schema([
    ("row", pa.int64()), ("image_id", pa.string()), ("pid", pa.int64()), ("camid", pa.int32()),
    ("kind", pa.string()), ("occluder_class", pa.string()), ("occluder", pa.string()),
    ("x0", pa.int32()), ("y0", pa.int32()), ("x1", pa.int32()), ("y1", pa.int32()),
    ("requested_ratio", pa.float64()), ("area_ratio", pa.float64()), ("seed", pa.int64()),
])


@dataclass(frozen=True)
class OccludedSet:
    """Occluded copies [N, ...] of some rows of the prepared manifest.

    images [N, H, W, 3] uint8 and masks [N, H, W] uint8 (labels of `reanchor.occlusion.image`) are
    memory-mapped; rows [N] int64 are the rows of the prepared manifest; `table` holds the rest.
    """

    images: np.ndarray
    masks: np.ndarray
    rows: np.ndarray
    table: pa.Table

    @classmethod
    def open(cls, folder: Path) -> "OccludedSet":
        """Map a folder that `write_occluded` made.

        Raises:
            ReanchorError: when its manifest or images are missing.
        """
        folder = Path(folder)
        if not (folder / "manifest.parquet").is_file():
            raise ReanchorError(f"{folder}: no occluded set there (manifest.parquet is missing); "
                                "run the occlude stage (train/ needs occlude.train_share above 0)")
        table = pq.read_table(folder / "manifest.parquet")
        store = ImageStore.open(folder / "images.arrow")
        return cls(store.images, store.masks, table["row"].to_numpy(), table)


@dataclass(frozen=True)
class Written:
    """What `write_occluded` wrote: the records (the manifest's rows) and one hash over all of it."""

    records: list[dict]
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
    records: list[dict] = []
    digest = hashlib.sha256()

    def kept() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for entry, image, mask in copies:
            records.append(entry)
            digest.update(json.dumps(entry, sort_keys=True).encode())
            digest.update(np.ascontiguousarray(image))
            digest.update(np.ascontiguousarray(mask))
            yield image, mask

    images, masks = tee(kept())
    write_store(folder / "images.arrow", (image for image, _ in images), (mask for _, mask in masks),
                mask_kind="visibility", count=count)
    table = pa.Table.from_pylist(records, schema=SCHEMA.with_metadata({"mask_source": mask_source}))
    pq.write_table(table, folder / "manifest.parquet")
    return Written(records, digest.hexdigest())
