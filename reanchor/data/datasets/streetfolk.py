"""Streetfolk, the street that the first stage renders, in Market-1501's folders and names."""

from reanchor.data.dataset import Dataset
from reanchor.data.datasets.market1501 import LAYOUT

DATASET = Dataset(
    name="streetfolk", title="Streetfolk", layout="Market-1501's folders and names, rendered by the first stage",
    needs=LAYOUT.needs, read=LAYOUT.read, shares="market1501", source="rendered here", terms="as this repository",
    junk=True, distractors=True, published=False, counts={"cameras": 6},
    protocol="as many images as the settings of render say")
