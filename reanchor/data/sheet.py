"""contact_sheet.png: a few identities per split, as stored, for a look before training."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reanchor.data.listing import DISTRACTOR_PID
from reanchor.formats.images import ImageStore
from reanchor.formats.manifest import Manifest

IDENTITIES = {"train": 4, "val": 2, "test": 4}
COLUMNS = 10
LABEL = 14  # pixels of a caption line
MARGIN = 90  # pixels of the column of pids
GAP = 4


def write_contact_sheet(path: Path, manifest: Manifest, store: ImageStore) -> None:
    """One row per identity, its images spread over cameras, each with its camera and split."""
    lines = [(name, rows) for name, count in IDENTITIES.items()
             for rows in _identities(manifest, name, count)]
    height, width = store.images.shape[1:3]
    step = height + LABEL + GAP
    sheet = Image.new("RGB", (MARGIN + COLUMNS * (width + GAP), len(lines) * step), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    for line, (name, rows) in enumerate(lines):
        top = line * step
        who = f"pid {manifest.pid[rows[0]]}" if manifest.pid[rows[0]] != DISTRACTOR_PID else "distractors"
        draw.text((GAP, top + height // 2 - 7), f"{name}\n{who}", "black", font=font)
        for column, row in enumerate(rows):
            left = MARGIN + column * (width + GAP)
            sheet.paste(Image.fromarray(store.images[row]), (left, top))
            role = " query" if manifest.split[row] == "query" else ""
            draw.text((left, top + height), f"c{manifest.camid[row]}{role}", "black", font=font)
    sheet.save(path, format="PNG")


def _identities(manifest: Manifest, name: str, count: int) -> list[np.ndarray]:
    """Rows of each of `count` identities spread evenly over the sorted pids (0: distractors)."""
    splits = ("query", "gallery") if name == "test" else (name,)
    rows = np.flatnonzero(np.isin(manifest.split, splits))
    pids = _spread(np.unique(manifest.pid[rows]), count)
    by_camera = rows[np.lexsort((rows, manifest.camid[rows]))]
    return [_spread(by_camera[manifest.pid[by_camera] == pid], COLUMNS) for pid in pids]


def _spread(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of `values`, evenly spaced, the first and the last among them."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int))]
