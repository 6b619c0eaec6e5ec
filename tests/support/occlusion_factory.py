"""A small prepared folder and a library of cut-outs for the tests of occlusion."""

import numpy as np
from PIL import Image

from reanchor.formats.images import write_store
from reanchor.formats.manifest import Manifest
from reanchor.occlusion.draws import generator
from reanchor.occlusion.people import silhouette

H, W = 32, 16
SPLITS = {"train": range(1, 9), "val": range(20, 23), "query": range(30, 34), "gallery": range(30, 34)}


def entries():
    """(split, pid, camid, name): 5 images of each identity in three cameras, the second camera twice."""
    return [(split, pid, camid, f"{split}/{pid:04d}_c{camid}_{index}") for split, pids in SPLITS.items()
            for pid in pids for index, camid in enumerate((1, 2, 2, 3, 3))]


def write_prepared(folder, rows, with_masks=True):
    folder.mkdir()
    count, names = len(rows), [name for *_, name in rows]
    Manifest(image_id=names, path=[f"{name}.jpg" for name in names], pid=np.array([row[1] for row in rows]),
             camid=np.array([row[2] for row in rows], np.int32), split=np.array([row[0] for row in rows]),
             viewid=np.zeros(count, np.int32), width=np.full(count, W, np.int32),
             height=np.full(count, H, np.int32), captions=[[] for _ in rows],
             checksum=["" for _ in rows]).write(folder / "manifest.parquet")
    person = silhouette(H, W)
    images = np.stack([generator(len(name) * 1000 + row[1]).integers(0, 255, (H, W, 3), np.uint8)
                       for row, name in zip(rows, names, strict=True)])
    masks = np.stack([person * np.uint8(4)] * count)
    write_store(folder / "images.arrow", images, masks if with_masks else None)
    return folder


def draw_library(folder):
    folder.mkdir()
    for name, size in (("kite1", (10, 12)), ("post1", (8, 6)), ("car1", (20, 14)), ("pedestrian1", (8, 20))):
        picture = Image.new("RGBA", (size[0] + 4, size[1] + 4))
        picture.paste((len(name) * 20, 90, 10, 255), (2, 2, size[0] + 2, size[1] + 2))
        picture.save(folder / f"{name}.png")
    return folder
