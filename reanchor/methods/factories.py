"""Which models are judged, as functions that load them: one is loaded when its turn comes."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from reanchor.config.sections.judging import Evaluate
from reanchor.errors import ReanchorError
from reanchor.formats.embedder import Embedder
from reanchor.formats.searcher import Searcher
from reanchor.methods.embedders import load_embedder
from reanchor.methods.flip import FlipBeside
from reanchor.methods.method import IMAGE, SENTENCE, Method, code
from reanchor.methods.registry import judged
from reanchor.methods.searchers import load_searcher


def embedder_factories(config: Evaluate, workspace: Path, device: str) -> dict[str, Callable[[], Embedder]]:
    """Method -> function that loads its embedder, in the order of `config.methods`, with the further rows asked for."""
    return {name: _embedder(judged(IMAGE)[name], workspace, device, config) for name in config.methods}


def _embedder(method: Method, workspace: Path, device: str, config: Evaluate) -> Callable[[], Embedder]:
    def load() -> Embedder:
        if method.model:
            features = getattr(config.features, method.name, ())
            embedder = load_embedder(workspace / method.model, device, features=features)
        else:
            embedder = code(method.embed)()
        return FlipBeside(embedder) if config.flip else embedder

    return load


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
