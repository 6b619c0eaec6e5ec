"""Trained models for sentence queries, whatever method made them."""

from pathlib import Path

from reanchor.formats.searcher import Searcher
from reanchor.methods.kinds import loader_of
from reanchor.methods.method import code
from reanchor.training.device import choose_device


def load_searcher(folder: Path, device: str = "cpu") -> Searcher:
    """The model in `folder` as sentences and images in, similarities out.

    Raises:
        ReanchorError: the folder holds no model, or one that reads no sentences.
    """
    return code(loader_of(Path(folder), "search"))(Path(folder), choose_device(device))
