"""Which models image queries are answered by, as functions that load them: one is loaded when its turn comes."""

from collections.abc import Callable
from pathlib import Path

from reanchor.config.sections.judging import Evaluate
from reanchor.formats.embedder import Embedder
from reanchor.methods.embedders import load_embedder
from reanchor.methods.flip import FlipBeside
from reanchor.methods.method import IMAGE, Method, code
from reanchor.methods.registry import judged


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
