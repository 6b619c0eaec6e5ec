"""From a checkpoint of CLIP-ReID's authors' naming, or a model folder of another study, to a model folder here."""

from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from reanchor.clip.fit import sketch
from reanchor.clip.model import NORMALISATIONS, ClipSpec
from reanchor.clip.vision import resize_positions
from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.store import blank_model, save_reid
from reanchor.methods.imported.checkpoint import Checkpoint, architecture, is_resnet
from reanchor.methods.imported.folder import copy_folder
from reanchor.methods.imported.grid import Reading, read_grid
from reanchor.methods.imported.naming import HEADS, IMAGE, PROMPT_NAMES, PROMPTS, TEXT, authors_name
from reanchor.methods.imported.outcome import Outcome
from reanchor.methods.imported.settings import Imported
from reanchor.methods.imported.sie import Side, read_side, table_names

NAME = "imported"


def import_model(config: Imported, out: Path, workspace: Path = Path()) -> list[Outcome]:
    """Make `out` a model folder of `config.path` (relative to `workspace`); say what became of every part.

    The same is kept in its model.json under "imported", beside the source's name, SHA-256 and the settings.

    Raises:
        ReanchorError: the source is no such model, does not fit its own sizes, or `config` contradicts it.
    """
    source = Path(workspace) / config.path
    if source.is_dir():
        return copy_folder(source, config, out)
    checkpoint = Checkpoint.open(source)
    model, spec, outcomes = read_model(checkpoint, config)
    settings = {name: value for name, value in asdict(config).items() if name != "path"}
    record = {"source": source.name, "sha256": checkpoint.sha256(), "settings": settings,
              "parts": [asdict(each) for each in outcomes]}
    with atomic_directory(out) as folder:
        save_reid(model, spec, NAME, folder, imported=record)
        if prompts := _prompts(checkpoint):
            save_file(prompts, folder / "prompts.safetensors")
    return outcomes


def read_model(checkpoint: Checkpoint, config: Imported) -> tuple[ReidModel, ClipSpec, list[Outcome]]:
    """The fine-tuned model in a checkpoint, the spec of its CLIP, and what became of every group of tensors."""
    visual = checkpoint.group(IMAGE)
    resnet = is_resnet(visual)
    shape = architecture(checkpoint, config)
    position = "attnpool.positional_embedding" if resnet else "positional_embedding"
    patch = shape["vision_cfg"]["patch_size"]
    trained, read = read_grid(len(visual[position]), patch, config, f"{checkpoint.path}: {IMAGE}.{position}")
    mean, std = NORMALISATIONS[_normalisation(config, resnet)]
    spec = ClipSpec(shape, read.size, 0 if read.stride == patch else read.stride, mean=mean, std=std,
                    origin=checkpoint.path.name, interpolation=config.interpolation)
    side, tables = read_side(checkpoint, config, resnet)
    settings = {"identities": _identities(checkpoint), "token_block": 0,
                "side": side.settings.as_dict() if side else None}
    sketch(lambda: blank_model(spec, settings), checkpoint.tensors, str(checkpoint.path))
    model = blank_model(spec, settings)
    state, heads = _state(checkpoint, model, side)
    name = f"encoder.visual.{position}"
    state[name] = resize_positions(state[name], trained.grid, read.grid)
    verify(state, model, str(checkpoint.path), side.name if side else "")
    model.load_state_dict(state)
    tower = _tower(checkpoint, shape, position, trained, read)
    return model, spec, [*tower, *heads, *tables, *_unread(checkpoint)]


def verify(state: dict[str, Tensor], model: ReidModel, culprit: str, table: str = "") -> None:
    """Raise ReanchorError for the first tensor that the model does not have, lacks, or has in another shape.

    Args:
        state: by our names; messages give the authors'.
        table: the file's name of the SIE table.
    """
    wanted = model.state_dict()
    for name in [*wanted, *state]:
        theirs = authors_name(name) or table
        if name not in wanted:
            raise ReanchorError(f"{culprit}: {theirs} is unknown to CLIP-ReID's network, which would not read it; "
                                "allowed: its own image encoder and heads")
        if name not in state:
            raise ReanchorError(f"{culprit}: {theirs} is missing; the file is incomplete, get another copy")
        if state[name].shape != wanted[name].shape:
            raise ReanchorError(f"{culprit}: {theirs} is {tuple(state[name].shape)}; allowed: "
                                f"{tuple(wanted[name].shape)}, as the other tensors have it")


def _normalisation(config: Imported, resnet: bool) -> str:
    """As the authors' recipes: .5 for a ViT, ImageNet's for a ResNet."""
    if config.normalisation != "auto":
        return config.normalisation
    return "imagenet" if resnet else "half"


def _identities(checkpoint: Checkpoint) -> int:
    """Classes of the first classifier there is; 1 where there is none."""
    for head in ("classifier", "classifier_proj"):
        weight = checkpoint.tensors.get(f"{head}.weight")
        if weight is not None and weight.ndim == 2:
            return len(weight)
    return 1


def _state(checkpoint: Checkpoint, model: ReidModel, side: Side | None) -> tuple[dict[str, Tensor], list[Outcome]]:
    """Tensors by our names, heads that the file lacks filled in, and what became of the heads."""
    tables = table_names(checkpoint)
    state = {f"encoder.visual.{name}": value for name, value in checkpoint.group(IMAGE).items()
             if f"{IMAGE}.{name}" not in tables}
    state |= {name: value for name, value in model.state_dict().items()  # older files do not count batches
              if name.endswith("num_batches_tracked") and name not in state}
    outcomes = []
    for ours, theirs in HEADS.items():
        found = checkpoint.group(theirs)
        if found:
            outcomes.append(Outcome(theirs, "used", len(found), _head_note(found)))
        else:
            fresh = getattr(model, ours).state_dict()
            found = {name: torch.zeros_like(value) if "classifier" in ours else value for name, value in fresh.items()}
            outcomes.append(Outcome(theirs, "missing", len(found), "made anew; the test feature does not read it"))
        state |= {f"{ours}.{name}": value for name, value in found.items()}
    if side:
        state["side.table"] = side.table
    return state, outcomes


def _head_note(found: dict[str, Tensor]) -> str:
    weight = found.get("weight")
    return f"{len(weight)} identities" if weight is not None and weight.ndim == 2 else ""


def _tower(checkpoint: Checkpoint, shape: dict, position: str, trained: Reading, read: Reading) -> list[Outcome]:
    vision = shape["vision_cfg"]
    kind = f"ViT, patch {vision['patch_size']}, {vision['layers']} blocks" if vision["patch_size"] else \
        f"ResNet, blocks {', '.join(map(str, vision['layers']))}"
    tensors = len(checkpoint.group(IMAGE)) - sum(name.startswith(f"{IMAGE}.") for name in table_names(checkpoint))
    outcome = Outcome(IMAGE, "used", tensors - (trained.grid != read.grid),
                      f"{kind} of width {vision['width']}, stored as {checkpoint.stored_as}; reads {read}")
    if trained.grid == read.grid:
        return [outcome]
    rows, columns = trained.grid
    resized = f"from {rows}x{columns} ({trained}) to {read.grid[0]}x{read.grid[1]} ({read}), bilinear"
    return [outcome, Outcome(f"{IMAGE}.{position}", "resized", 1, resized)]


def _unread(checkpoint: Checkpoint) -> list[Outcome]:
    """Groups beside image encoder, heads and SIE."""
    known = {IMAGE, *HEADS.values()}
    tables = table_names(checkpoint)
    counts: dict[str, int] = {}
    for name in sorted(checkpoint.tensors):
        group = name.partition(".")[0]
        if group not in known and name not in tables:
            counts[group] = counts.get(group, 0) + 1
    return [_outside(group, count, checkpoint) for group, count in counts.items()]


def _outside(group: str, count: int, checkpoint: Checkpoint) -> Outcome:
    if group == PROMPTS and _prompts(checkpoint):
        return Outcome(group, "used", count, "learned prompts, kept in prompts.safetensors")
    if group == TEXT:
        return Outcome(group, "dropped", count, "retrieval reads images only")
    return Outcome(group, "dropped", count, "no part of CLIP-ReID's test-time network")


def _prompts(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Learned prompts and the words around them, by prompts.safetensors' names; {} where not all are there.

    Raises:
        ReanchorError: shapes that are no prompts'.
    """
    if not all(theirs in checkpoint.tensors for theirs in PROMPT_NAMES.values()):
        return {}
    found = {ours: checkpoint.tensors[theirs].contiguous() for ours, theirs in PROMPT_NAMES.items()}
    if {each.ndim for each in found.values()} != {3} or len({each.shape[2] for each in found.values()}) > 1 \
            or len(found["prefix"]) != 1 or len(found["suffix"]) != 1:
        shapes = ", ".join(f"{theirs} {tuple(found[ours].shape)}" for ours, theirs in PROMPT_NAMES.items())
        raise ReanchorError(f"{checkpoint.path}: {shapes}; allowed: [identities, M, width] and twice [1, words, width] "
                            "of one width; get another copy, or remove the prompts, which retrieval does not read")
    return found
