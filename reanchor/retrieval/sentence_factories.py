"""Methods whose queries are sentences, and the folders of their models under models/."""

import json
from collections.abc import Callable
from pathlib import Path

from reanchor.errors import ReanchorError
from reanchor.formats.searcher import Searcher

SearcherFactory = Callable[[], Searcher]

SEARCHERS = {"zero_shot": "backbone", "clip_tuned": "tbps/clip_tuned", "sdm": "tbps/sdm",
             "tbps_clip": "tbps/tbps_clip", "mgcc": "mgcc"}

UNTRAINED = ("zero_shot",)  # the backbone as it comes


def searcher_factories(methods: list[str], models: Path, device: str) -> dict[str, SearcherFactory]:
    """Method -> function that loads it, in the order of `methods`; models are loaded when their turn comes.

    Raises:
        ReanchorError: a method was not trained.
    """
    for method in methods:
        note = models / SEARCHERS[method] / "skipped.json"
        if note.is_file():
            raise ReanchorError(f"search.methods: got {method!r}, which was not trained "
                                f"({json.loads(note.read_text())['reason']}); train it, or take it out of "
                                "search.methods")
    return {method: _searcher(models / SEARCHERS[method], device) for method in methods}


def _searcher(folder: Path, device: str) -> SearcherFactory:
    def load() -> Searcher:
        from reanchor.methods.load_searcher import load_searcher

        return load_searcher(folder, device)

    return load
