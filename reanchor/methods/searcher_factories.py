"""Which models sentences are answered by, as functions that load them: one is loaded when its turn comes."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from reanchor.errors import ReanchorError
from reanchor.formats.searcher import Searcher
from reanchor.methods.method import SENTENCE
from reanchor.methods.registry import judged
from reanchor.methods.searchers import load_searcher


def searcher_factories(names: Iterable[str], workspace: Path, device: str) -> dict[str, Callable[[], Searcher]]:
    """Method -> function that loads it, in the order of `names`.

    Raises:
        ReanchorError: a method was not trained.
    """
    folders = {name: workspace / judged(SENTENCE)[name].model for name in names}
    for name, folder in folders.items():
        note = folder / "skipped.json"
        if note.is_file():
            raise ReanchorError(f"search.methods: got {name!r}, which was not trained "
                                f"({json.loads(note.read_text())['reason']}); train it, or take it out of "
                                "search.methods")
    return {name: _searcher(folder, device) for name, folder in folders.items()}


def _searcher(folder: Path, device: str) -> Callable[[], Searcher]:
    return lambda: load_searcher(folder, device)
