"""Methods whose queries are pictures, and the folders of their models under models/."""

from collections.abc import Callable
from pathlib import Path

from reanchor.config.sections.judging import Evaluate
from reanchor.formats.embedder import Embedder
from reanchor.retrieval.flip import FlipBeside
from reanchor.retrieval.histogram import ColourHistogram

EmbedderFactory = Callable[[], Embedder]

# Each configured method and the folder of its model under models/. An embedder with variants gives a row
# for each of them: saga, saga_refined.
MODELS = {"zero_shot": "backbone", "baseline": "finetune/baseline", "clip_reid": "finetune/clip_reid", "saga": "saga",
          "gated": "gate", "imported": "imported"}


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
