"""`reanchor import`: a checkpoint of CLIP-ReID's authors, or a model folder, becomes a model folder."""

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from reanchor.config.setting import Setting, settings_of
from reanchor.errors import ReanchorError
from reanchor.methods.imported.settings import Imported
from reanchor.printing import show, working

_SETTINGS = {name: each for name, each in settings_of(Imported).items() if name != "path"}


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="checkpoint (.pth, .pt, .safetensors) or model folder")],
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="model folder to write")],
    **given: Any,
) -> int:
    """Take a CLIP-ReID checkpoint, or a model folder, over as a model folder.

    The checkpoint (a state dict of tensors in CLIP-ReID's naming, or a model folder of this project) is verified and
    written as a model folder, and a table says what became of every part. In a study: make run
    SET="method=imported imported.path=FILE", with these flags as imported.height and so on.

    Examples:

        reanchor import Market1501_clipreid_ViT-B-16_60.pth --out models/market
        reanchor import veri.pth --out models/veri --height 256 --width 256 --cameras 20 --views 8
    """
    check_target(out, Path(file))
    with working(f"reading {file}"):
        from reanchor.config.load import read_section
        from reanchor.methods.imported.importing import import_model
        from reanchor.methods.imported.outcome import table

        outcomes = import_model(read_section(Imported, given | {"path": file}, "imported", "flags"), out)
    show(table(outcomes), "",
         f"written to {out}; evaluate it with\n"
         f'  make run SET="method=imported imported.path={out} ..."')
    return 0


def _flag(name: str, each: Setting) -> inspect.Parameter:
    """One setting of the section as an option of the command."""
    kind = Literal[each.choices] if each.choices else each.kind
    option = typer.Option(help=each.meaning, metavar=None if each.choices else "N")
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=each.default,
                             annotation=Annotated[kind, option])


_PLAIN = inspect.signature(import_)
import_.__signature__ = _PLAIN.replace(parameters=[  # type: ignore[attr-defined]  # typer reads the options off it
    *(each for each in _PLAIN.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD),
    *(_flag(name, each) for name, each in _SETTINGS.items())])


def check_target(out: Path, source: Path) -> None:
    """Raise ReanchorError where writing the folder `out` would remove anything but an earlier model."""
    if source.resolve().is_relative_to(out.resolve()):
        raise ReanchorError(f"--out: got {out}, which is or holds the file to import; allowed: another folder")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "model.json").is_file()):
        raise ReanchorError(f"--out: got {out}, which holds something else and would be replaced; allowed: a new "
                            "folder, or one that holds a model")
