"""The configured methods, and the folders of their models under models/."""

import json
from collections.abc import Callable
from pathlib import Path

from reanchor.config.sections.judging import Evaluate
from reanchor.errors import ReanchorError
from reanchor.formats.embedder import Embedder
from reanchor.formats.searcher import Searcher
from reanchor.retrieval.flip import FlipBeside
from reanchor.retrieval.histogram import ColourHistogram

EmbedderFactory = Callable[[], Embedder]
SearcherFactory = Callable[[], Searcher]

# Each configured method and the folder of its model under models/. An embedder with variants gives a row
# for each of them: saga, saga_refined.
MODELS = {"zero_shot": "backbone", "baseline": "finetune/baseline", "clip_reid": "finetune/clip_reid", "saga": "saga",
          "gated": "gate", "imported": "imported"}

SEARCHERS = {"zero_shot": "backbone", "clip_tuned": "tbps/clip_tuned", "sdm": "tbps/sdm",
             "tbps_clip": "tbps/tbps_clip", "mgcc": "mgcc"}

UNTRAINED = ("zero_shot",)  # the backbone as it comes


def method_factories(config: Evaluate, models: Path, device: str) -> dict[str, EmbedderFactory]:
    """Method -> function that loads its embedder, in the order of `config.methods`, with the further rows asked for.

    Models are loaded one at a time, when their turn comes.
    """
    return {method: _embedder(None if method == "histogram" else models / MODELS[method], device, config)
            for method in config.methods}


def _embedder(folder: Path | None, device: str, config: Evaluate) -> EmbedderFactory:
    def load() -> Embedder:
        from reanchor.methods.load import load_embedder

        embedder = ColourHistogram() if folder is None else load_embedder(
            folder, device, features=config.features, saga_features=config.saga_features)
        return FlipBeside(embedder) if config.flip else embedder

    return load


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
