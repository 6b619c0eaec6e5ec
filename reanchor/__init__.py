"""Occlusion-robust person re-identification with CLIP: `reanchor.load("models/gate").embed(["a.jpg", "b.jpg"])`."""

import importlib


def __getattr__(name: str) -> object:
    """`reanchor.load`, which imports torch, when it is asked for."""
    if name == "load":
        return importlib.import_module("reanchor.api").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
