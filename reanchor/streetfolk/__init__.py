"""Streetfolk: a procedural street for person re-identification."""

from reanchor.streetfolk.canvas import PARTS
from reanchor.streetfolk.captions import vocabulary
from reanchor.streetfolk.dataset import render_dataset
from reanchor.streetfolk.people import People, render_people

__all__ = ["PARTS", "People", "render_dataset", "render_people", "vocabulary"]
