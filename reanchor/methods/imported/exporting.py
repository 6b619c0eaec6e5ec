"""From a model folder to files that other code reads: CLIP-ReID's naming, or open_clip's."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from reanchor.clip.model import NORMALISATIONS, Clip, ClipSpec
from reanchor.errors import ReanchorError
from reanchor.files import atomic_path
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.store import read_reid
from reanchor.methods.imported.folder import verified
from reanchor.methods.imported.naming import PROMPT_NAMES, SIDE, SIDE_ALL, authors_name
from reanchor.weight_files.read import read_state

FORMATS = ("clip-reid", "open-clip")
SUFFIXES = {"clip-reid": (".pth", ".pt"), "open-clip": (".safetensors", ".pt")}


def export_model(folder: Path, form: str, out: Path, clip_folder: Path | None = None) -> list[str]:
    """Write the fine-tuned model in `folder` to the file `out`; say what the file cannot tell its reader.

    Args:
        form: "clip-reid" (the authors' names, read by their code and by `reanchor import`), or "open-clip"
            (image tower of the model, text tower of `clip_folder`).
        clip_folder: a CLIP's model folder, such as models/backbone.

    Raises:
        ReanchorError: no fine-tuned model there, no or another CLIP's text tower, or a file name that does not fit.
    """
    _check_names(form, out, clip_folder)
    _, (model, spec, _) = verified(folder, ("clip_reid",), read_reid)
    if form == "clip-reid":
        state, notes = authors_state(model, folder), authors_notes(model, spec)
    else:
        _, clip = verified(clip_folder, ("clip",), Clip.load)
        state, notes = open_clip_state(model, spec, clip), open_clip_notes(spec)
    with atomic_path(out) as temporary:
        if out.suffix == ".safetensors":
            save_file(state, temporary)
        else:
            with temporary.open("wb") as file:  # given a path, torch would write the temporary name into the file
                torch.save(state, file)
    return notes


def _check_names(form: str, out: Path, clip_folder: Path | None) -> None:
    if out.suffix not in SUFFIXES[form] or out.is_dir():
        raise ReanchorError(f"--out: got {out} for --to {form}; allowed: a file ending in "
                            f"{' or '.join(SUFFIXES[form])}")
    if form == "open-clip" and clip_folder is None:
        raise ReanchorError("--clip: not given; allowed for --to open-clip: the folder of the CLIP that was "
                            "fine-tuned, whose text tower goes into the file, such as models/backbone")
    if form == "open-clip" and verified(clip_folder, read=lambda folder: None)[0]["kind"] != "clip":
        raise ReanchorError(f"--clip: got {clip_folder}, which is no CLIP; allowed: the folder of the CLIP that was "
                            "fine-tuned, such as models/backbone")


def authors_state(model: ReidModel, folder: Path) -> dict[str, Tensor]:
    """The authors' state dict: fp32, SIE and learned prompts included where the folder has them."""
    state = {theirs: value.contiguous() for name, value in model.state_dict().items()
             if (theirs := authors_name(name))}
    if model.side is not None:
        table = model.side.table.detach()
        every = model.side.settings.tokens == "all"
        state |= {SIDE_ALL: table.unsqueeze(1)} if every else {SIDE: table}
    prompts = folder / "prompts.safetensors"
    if prompts.is_file():
        kept = read_state(prompts, str(folder), "prompts as an import leaves them")
        state |= {theirs: kept[ours] for ours, theirs in PROMPT_NAMES.items() if ours in kept}
    return state


def authors_notes(model: ReidModel, spec: ClipSpec) -> list[str]:
    """What the authors' code and `reanchor import` have to be told, since a state dict does not hold it."""
    height, width = spec.image_size
    notes = [f"images of {height}x{width}, pixel mean {list(spec.mean)}, std {list(spec.std)}",
             f"to import it again: {' '.join(import_flags(model, spec))}"]
    if model.token_block:
        notes.append("left out: the head on patch tokens, which is read in training only")
    if model.side is not None and model.side.settings.tokens == "all":
        notes.append("SIE is added to all tokens, so its table has TransReID's name, sie_embed")
    return notes


def import_flags(model: ReidModel, spec: ClipSpec) -> list[str]:
    """Flags of `reanchor import` that give an exported file its meaning back."""
    vision, pixels = spec.architecture["vision_cfg"], (tuple(spec.mean), tuple(spec.std))
    names = [name for name, values in NORMALISATIONS.items() if values == pixels]
    flags = {"height": spec.image_size[0], "width": spec.image_size[1], "stride": spec.stride or None,
             "normalisation": names[0] if names else None, "interpolation": spec.interpolation or None,
             "activation": None if spec.architecture.get("quick_gelu") else "gelu",
             "head-width": vision.get("head_width", 64)}
    if model.side is not None:
        side = model.side.settings
        counts = {"camera": (side.cameras, 1), "view": (1, side.views), "both": (side.cameras, side.views)}[side.kind]
        flags |= {"cameras": counts[0], "views": counts[1], "sie-coefficient": f"{side.coefficient:g}"}
    return [f"--{name} {value}" for name, value in flags.items() if value is not None]


def open_clip_state(model: ReidModel, spec: ClipSpec, clip: Clip) -> dict[str, Tensor]:
    """open_clip's state dict: the model's image tower beside the CLIP's text tower.

    Raises:
        ReanchorError: the CLIP has another image tower or joint space.
    """
    state = clip.network.state_dict()
    tower = {f"visual.{name}": value for name, value in model.encoder.visual.state_dict().items()}
    theirs = {name: value.shape for name, value in state.items() if name.startswith("visual.")}
    ours = {name: value.shape for name, value in tower.items()}
    other = sorted(name for name in theirs.keys() | ours.keys()
                   if theirs.get(name) != ours.get(name) and "positional_embedding" not in name)
    if other:
        raise ReanchorError(f"--clip: its image tower has {other[0]} as {tuple(theirs.get(other[0], ()))}, the model's "
                            f"is {tuple(ours.get(other[0], ()))}; allowed: the CLIP that was fine-tuned")
    return {name: value.contiguous() for name, value in {**state, **tower}.items()}


def open_clip_notes(spec: ClipSpec) -> list[str]:
    """What the reader has to know of the tower."""
    height, width = spec.image_size
    notes = [f"position embeddings are those of {height}x{width} (the pre-trained square grid cannot be recovered): "
             f"open_clip.create_model(..., force_image_size=({height}, {width}))"]
    if spec.stride:
        notes.append(f"patches overlap (stride {spec.stride}): set visual.conv1.stride after loading; open_clip has no "
                     "option for it")
    if spec.architecture["vision_cfg"]["patch_size"] is None:
        notes.append("layer4 was fine-tuned with stride 1, and position embeddings are of its larger map: open_clip's "
                     "own ResNet has stride 2 there")
    return [*notes, f"pixel mean {list(spec.mean)}, std {list(spec.std)}"]
