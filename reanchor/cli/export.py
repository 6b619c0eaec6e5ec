"""`reanchor export`: a fine-tuned model as a file that other code reads."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from reanchor.printing import show, working


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="model folder")],
    *,
    to: Annotated[Literal["clip-reid", "open-clip"], typer.Option(help="whose names")],
    out: Annotated[Path, typer.Option(
        metavar="FILE", help="file to write: .pth or .pt for clip-reid, .safetensors or .pt for open-clip")],
    clip: Annotated[Path | None, typer.Option(
        metavar="FOLDER", help="for open-clip: the CLIP that was fine-tuned, such as models/backbone")] = None,
) -> int:
    """Write a fine-tuned model as CLIP-ReID's or open_clip's file.

    The model is models/clip_reid, baseline, or an imported one. The file is a state dict: clip-reid has the
    authors' names, open-clip its image tower and the text tower of --clip.

    Examples:

        reanchor export models/clip_reid --to clip-reid --out clip_reid.pth
        reanchor export models/clip_reid --to open-clip --clip models/backbone --out clip.safetensors
    """
    with working(f"reading {folder}"):
        from reanchor.methods.imported.exporting import export_model

        notes = export_model(folder, to, out, clip)
    show(f"written to {out}", *(f"  {note}" for note in notes))
    return 0
