"""The contact sheet: examples of every set, each beside its mask."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from reanchor.formats.occluded_set import OccludedSet
from reanchor.formats.occlusion import OBJECT, STRANGER, TARGET, UNKNOWN
from reanchor.occlusion.plan import Suite

COLOURS = {TARGET: (60, 200, 90), OBJECT: (225, 60, 50), STRANGER: (60, 110, 235), UNKNOWN: (150, 150, 150)}
EXAMPLES = 8
LINES = 40  # above it a series shows one of its ratios
TALLEST = 128  # pixels of a shown image
LETTER = 6  # pixels across, of the titles in the left column


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """image [H, W, 3] uint8 tinted by its mask's labels: green target, red object, blue stranger."""
    tinted = image.astype(np.float32) * 0.35
    for label, colour in COLOURS.items():
        tinted[mask == label] = image[mask == label] * 0.45 + np.array(colour) * 0.55
    return tinted.astype(np.uint8)


def write_contact_sheet(path: Path, folder: Path, suites: list[Suite]) -> None:
    """One line per training set and test suite: pairs of an occluded image and its overlay.

    Where these are many, a series shows the suite of its middle ratio.
    """
    shown = [suite for suite in suites if suite.split != "val"]
    if len(shown) > LINES:
        series: dict[tuple[str, str], list[Suite]] = {}
        for suite in shown:
            series.setdefault((suite.split, suite.series), []).append(suite)
        shown = [own[len(own) // 2] for own in series.values()]
    lines = [(suite.folder, _line(OccludedSet.open(folder / suite.folder))) for suite in shown]
    if not lines:
        return
    titles = [title.replace("/", "\n") for title, _ in lines]
    left = 12 + LETTER * max(len(word) for title in titles for word in title.split("\n"))
    height, width = lines[0][1].shape[0] + 6, left + max(line.shape[1] for _, line in lines)
    sheet = Image.new("RGB", (width, height * len(lines)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (title, (_, line)) in enumerate(zip(titles, lines, strict=True)):
        sheet.paste(Image.fromarray(line), (left, index * height + 3))
        draw.multiline_text((4, index * height + 8), title, fill="black")
    sheet.save(path)


def _line(copies: OccludedSet) -> np.ndarray:
    pairs = []
    for index in np.unique(np.linspace(0, len(copies.rows) - 1, EXAMPLES).astype(int)):
        pair = np.hstack([copies.images[index], overlay(copies.images[index], copies.masks[index])])
        picture = Image.fromarray(pair)
        picture.thumbnail((8 * TALLEST, TALLEST))
        pairs.append(np.pad(np.asarray(picture), ((0, 0), (0, 6), (0, 0)), constant_values=255))
    return np.hstack(pairs)
