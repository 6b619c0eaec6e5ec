"""`reanchor embed`: features of picture files as a Parquet file."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from reanchor.printing import show, warn, working


def embed(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="model folder, such as models/gate")],
    paths: Annotated[list[str], typer.Argument(metavar="PATHS", help="files, folders and globs of pictures")],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Parquet file to write")],
    precision: Annotated[Literal["float32", "float16"], typer.Option(help="of the features")] = "float32",
    device: Annotated[str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N")] = "auto",
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="pictures embedded together")] = 64,
    flip: Annotated[bool, typer.Option("--flip", help="average with the mirrored picture")] = False,
    variant: Annotated[str, typer.Option(metavar="NAME", help="which of a model's features, such as refined")] = "",
) -> int:
    """Embed pictures with a trained model: a Parquet file of paths and features of unit length.

    Folders are searched to the bottom for JPEG, PNG, TIFF and BMP files; rows are sorted by path. Files that cannot be
    read are named and left out. The SHA-256 of the model's weights stands in the file's metadata.

    Exit status: 0 when a picture is embedded, 2 after a message.

    Examples:

        reanchor embed models/gate photos --out features.parquet
        reanchor embed models/saga a.jpg "city/**/*.png" --out saga.parquet --precision float16
    """
    from reanchor.data.photographs import find_pictures

    files = find_pictures(paths)
    with working(f"reading {folder}"):
        from reanchor.api import load
        from reanchor.feature_files import write_features
        from reanchor.hashes import weights_sha256

        model, weights = load(folder, device, variant=variant, flip=flip), weights_sha256(folder)
    written = write_features(model, files, out, weights, precision, batch)
    for path, why in written.broken:
        warn(f"left out: {path}: {why}")
    count = f"; {len(written.broken)} of {len(files)} files left out" if written.broken else ""
    show(f"{written.embedded} pictures embedded, {written.width} numbers each, written to {out}{count}")
    return 0
