"""The contact sheet: examples of every set, each beside its mask."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from reanchor.occlusion.image import OBJECT, STRANGER, TARGET, UNKNOWN
from reanchor.occlusion.occluded_set import OccludedSet
from reanchor.occlusion.plan import Suite

COLOURS = {TARGET: (60, 200, 90), OBJECT: (225, 60, 50), STRANGER: (60, 110, 235), UNKNOWN: (150, 150, 150)}
EXAMPLES = 8
TALLEST = 128  # pixels of a shown image
TITLE = 96  # pixels of the left column


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """image [H, W, 3] uint8 tinted by its mask's labels: green target, red object, blue stranger."""
    tinted = image.astype(np.float32) * 0.35
    for label, colour in COLOURS.items():
        tinted[mask == label] = image[mask == label] * 0.45 + np.array(colour) * 0.55
    return tinted.astype(np.uint8)


def write_contact_sheet(path: Path, folder: Path, suites: list[Suite]) -> None:
    """One line per training set and test suite: pairs of an occluded image and its overlay."""
    shown = [suite for suite in suites if suite.split != "val"]
    lines = [(suite.folder, _line(OccludedSet.open(folder / suite.folder))) for suite in shown]
    if not lines:
        return
    height, width = lines[0][1].shape[0] + 6, TITLE + max(line.shape[1] for _, line in lines)
    sheet = Image.new("RGB", (width, height * len(lines)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (title, line) in enumerate(lines):
        sheet.paste(Image.fromarray(line), (TITLE, index * height + 3))
        draw.multiline_text((4, index * height + 8), title.replace("/", "\n"), fill="black")
    sheet.save(path)


def _line(copies: OccludedSet) -> np.ndarray:
    pairs = []
    for index in np.unique(np.linspace(0, len(copies.rows) - 1, EXAMPLES).astype(int)):
        pair = np.hstack([copies.images[index], overlay(copies.images[index], copies.masks[index])])
        picture = Image.fromarray(pair)
        picture.thumbnail((8 * TALLEST, TALLEST))
        pairs.append(np.pad(np.asarray(picture), ((0, 0), (0, 6), (0, 0)), constant_values=255))
    return np.hstack(pairs)
