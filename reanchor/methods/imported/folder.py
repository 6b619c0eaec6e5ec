"""Model folders of this project, taken over from another study."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError

from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory
from reanchor.formats.model_folder import read_model_json, read_weights
from reanchor.methods.embedders import load_embedder
from reanchor.methods.imported.outcome import Outcome
from reanchor.methods.imported.settings import Imported
from reanchor.methods.method import IMAGE
from reanchor.methods.registry import judged

T = TypeVar("T")


def copy_folder(source: Path, config: Imported, out: Path) -> list[Outcome]:
    """Verify a model folder by loading it, then copy it to `out`; its model.json gains "imported".

    Raises:
        ReanchorError: no whole model of this project, or settings that only a checkpoint needs.
    """
    given = [name for name, value in dataclasses.asdict(config).items()
             if name != "path" and value != getattr(Imported(), name)]
    if given:
        raise ReanchorError(f"{source}: got imported.{given[0]} {getattr(config, given[0])} for a model folder, whose "
                            "model.json says all of it; leave it out, it is for checkpoints")
    values, _ = verified(source)
    count = len(read_weights(source))
    outcome = Outcome("weights.safetensors", "used", count, f"kind {values['kind']}, copied as it is")
    earlier = {"earlier": values["imported"]} if "imported" in values else {}
    values["imported"] = {"source": source.resolve().name, "parts": [dataclasses.asdict(outcome)], **earlier}
    with atomic_directory(out) as folder:
        for name in ("weights.safetensors", "prompts.safetensors"):  # the latter where a checkpoint brought it
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        (folder / "model.json").write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
    return [outcome]


def verified(folder: Path, kinds: tuple[str, ...] = (), read: Callable[[Path], T] = load_embedder
             ) -> tuple[dict, T]:
    """model.json of a folder of one of these kinds, and what `read` makes of it.

    Args:
        kinds: none given: all that image queries are judged by.

    Raises:
        ReanchorError: no model, another kind, or weights that are absent, damaged or do not fit.
    """
    kinds = kinds or tuple({method.kind: None for method in judged(IMAGE).values() if method.kind})
    remedy = f"allowed: a folder with model.json and weights.safetensors of kind {', '.join(kinds)}, as stages write it"
    try:
        values = read_model_json(folder)
        if values["kind"] not in kinds:
            raise ReanchorError(f"{folder}/model.json: got kind {values['kind']!r}; {remedy}")
        return values, read(folder)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OSError, SafetensorError) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:160]
        raise ReanchorError(f"{folder}: not a whole model ({reason}); {remedy}") from error
