"""`reanchor import`: a checkpoint of CLIP-ReID's authors, or a model folder, becomes a model folder."""

import argparse
import dataclasses
import typing
from pathlib import Path

from reanchor.config.load import section
from reanchor.config.sections.models import Imported
from reanchor.errors import ReanchorError

_HELP = {
    "height": "of the images it was trained with (read off the file where they are 256x128 or 256x256); "
              "another size resizes the position embeddings",
    "width": "see --height",
    "stride": "of its patches: 16, or 12 where they overlap (read off the file)",
    "sie_tokens": "what its camera embeddings are added to: cls (CLIP-ReID), all (TransReID), none to leave them out",
    "sie_coefficient": "what they are multiplied by (1 for cv_embed, 3 for sie_embed)",
    "cameras": "the rows of its SIE table are cameras x views (all of them cameras)",
    "views": "see --cameras",
    "normalisation": "of pixels: half (.5, a ViT's), imagenet (a ResNet's) or clip",
    "interpolation": "of the resize at test time, which the data has to agree with",
    "activation": "quick_gelu where the CLIP was OpenAI's",
    "head_width": "channels of an attention head",
}


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command's parser; one flag for every setting of the section `imported`."""
    parser = subparsers.add_parser(
        "import", help="a CLIP-ReID checkpoint or a model folder as a model folder here",
        description="Verify a checkpoint (a state dict of tensors in CLIP-ReID's naming, or a model folder of this "
                    "project), write it as a model folder, and print what became of every part. In a study: make run "
                    'SET="method=imported imported.path=FILE", with these flags as imported.height and so on.')
    parser.add_argument("file", metavar="FILE", help="checkpoint (.pth, .pt, .safetensors) or model folder")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="model folder to write")
    types = typing.get_type_hints(Imported)
    for item in dataclasses.fields(Imported):
        if item.name != "path":
            choices = item.metadata["choices"]
            parser.add_argument(f"--{item.name.replace('_', '-')}", type=types[item.name], default=item.default,
                                choices=choices, metavar=None if choices else "N", help=_HELP[item.name])
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Import, then print the table."""
    from reanchor.weights.importing import import_model
    from reanchor.weights.outcome import table

    names = [item.name for item in dataclasses.fields(Imported) if item.name != "path"]
    values = {name: getattr(given, name) for name in names} | {"path": given.file}
    config = section(Imported, values, "imported", "flags")
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
