"""`reanchor import`: a checkpoint of CLIP-ReID's authors, or a model folder, becomes a model folder."""

import argparse
from pathlib import Path

from reanchor.config.load import read_section
from reanchor.config.setting import settings_of
from reanchor.errors import ReanchorError
from reanchor.methods.imported.settings import Imported

_FLAGS = {name: each for name, each in settings_of(Imported).items() if name != "path"}


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command's parser; one flag for every setting of the section `imported`."""
    parser = subparsers.add_parser(
        "import", help="a CLIP-ReID checkpoint or a model folder as a model folder here",
        description="Verify a checkpoint (a state dict of tensors in CLIP-ReID's naming, or a model folder of this "
                    "project), write it as a model folder, and print what became of every part. In a study: make run "
                    'SET="method=imported imported.path=FILE", with these flags as imported.height and so on.')
    parser.add_argument("file", metavar="FILE", help="checkpoint (.pth, .pt, .safetensors) or model folder")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="model folder to write")
    for name, each in _FLAGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=each.kind, default=each.default, help=each.meaning,
                            choices=each.choices or None, metavar=None if each.choices else "N")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Import, then print the table."""
    from reanchor.weights.importing import import_model
    from reanchor.weights.outcome import table

    values = {name: getattr(given, name) for name in _FLAGS} | {"path": given.file}
    config = read_section(Imported, values, "imported", "flags")
    check_target(given.out, Path(given.file))
    print(table(import_model(config, given.out)))
    print(f"\nwritten to {given.out}; evaluate it with\n"
          f'  make run SET="method=imported imported.path={given.out} ..."')
    return 0


def check_target(out: Path, source: Path) -> None:
    """Raise ReanchorError where writing the folder `out` would remove anything but an earlier model."""
    if source.resolve().is_relative_to(out.resolve()):
        raise ReanchorError(f"--out: got {out}, which is or holds the file to import; allowed: another folder")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "model.json").is_file()):
        raise ReanchorError(f"--out: got {out}, which holds something else and would be replaced; allowed: a new "
                            "folder, or one that holds a model")
