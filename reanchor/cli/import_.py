"""`reanchor import`: a checkpoint of CLIP-ReID's authors, or a model folder, becomes a model folder."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from reanchor.errors import ReanchorError
from reanchor.printing import show, working


def _option(help_: str, metavar: str | None = "N") -> typer.models.OptionInfo:
    return typer.Option(help=help_, metavar=metavar, show_default=False)


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="checkpoint (.pth, .pt, .safetensors) or model folder")],
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="model folder to write")],
    height: Annotated[int | None, _option(
        "of the images it was trained with (read off the file where they are 256x128 or 256x256); another size "
        "resizes the position embeddings")] = None,
    width: Annotated[int | None, _option("see --height")] = None,
    stride: Annotated[int | None, _option(
        "of its patches: 16, or 12 where they overlap (read off the file)")] = None,
    sie_tokens: Annotated[Literal["auto", "cls", "all", "none"] | None, _option(
        "what its camera embeddings are added to: cls (CLIP-ReID), all (TransReID), none to leave them out",
        None)] = None,
    sie_coefficient: Annotated[float | None, _option(
        "what they are multiplied by (1 for cv_embed, 3 for sie_embed)")] = None,
    cameras: Annotated[int | None, _option(
        "the rows of its SIE table are cameras x views (all of them cameras)")] = None,
    views: Annotated[int | None, _option("see --cameras")] = None,
    normalisation: Annotated[Literal["auto", "half", "imagenet", "clip"] | None, _option(
        "of pixels: half (.5, a ViT's), imagenet (a ResNet's) or clip", None)] = None,
    interpolation: Annotated[Literal["bilinear", "bicubic"] | None, _option(
        "of the resize at test time, which the data has to agree with", None)] = None,
    activation: Annotated[Literal["quick_gelu", "gelu"] | None, _option(
        "quick_gelu where the CLIP was OpenAI's", None)] = None,
    head_width: Annotated[int | None, _option("channels of an attention head")] = None,
) -> int:
    """Take a CLIP-ReID checkpoint, or a model folder, over as a model folder.

    The checkpoint (a state dict of tensors in CLIP-ReID's naming, or a model folder of this project) is verified and
    written as a model folder, and a table says what became of every part. In a study: `make run
    SET="method=imported imported.path=FILE"`, with these flags as imported.height and so on, whose defaults they have.

    Examples:

        reanchor import Market1501_clipreid_ViT-B-16_60.pth --out models/market
        reanchor import veri.pth --out models/veri --height 256 --width 256 --cameras 20 --views 8
    """
    given = {name: value for name, value in locals().items() if name not in ("file", "out") and value is not None}
    check_target(out, Path(file))
    with working(f"reading {file}"):
        from reanchor.config.load import read_section
        from reanchor.methods.imported.settings import Imported
        from reanchor.weights.importing import import_model
        from reanchor.weights.outcome import table

        outcomes = import_model(read_section(Imported, given | {"path": file}, "imported", "flags"), out)
    show(table(outcomes), "",
         f"written to {out}; evaluate it with\n"
         f'  make run SET="method=imported imported.path={out} ..."')
    return 0


def check_target(out: Path, source: Path) -> None:
    """Raise ReanchorError where writing the folder `out` would remove anything but an earlier model."""
    if source.resolve().is_relative_to(out.resolve()):
        raise ReanchorError(f"--out: got {out}, which is or holds the file to import; allowed: another folder")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "model.json").is_file()):
        raise ReanchorError(f"--out: got {out}, which holds something else and would be replaced; allowed: a new "
                            "folder, or one that holds a model")
