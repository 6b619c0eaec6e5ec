"""`reanchor cutouts`: an occluder library from a folder of pictures of objects, or of street photographs."""

from pathlib import Path
from typing import Annotated

import typer

from reanchor.errors import ReanchorError
from reanchor.printing import show


def cutouts(
    source: Annotated[Path, typer.Argument(
        metavar="SOURCE", help="folder of CLASSn.png or CLASS/xx.png; with --detector of photographs")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder to write")],
    *,
    size: Annotated[int | None, typer.Option(metavar="PIXELS", help="of the longer side at most (256)")] = None,
    tolerance: Annotated[int | None, typer.Option(
        metavar="N", help="how much darker than its border a white background may be, of 255 (15)")] = None,
    detector: Annotated[Path | None, typer.Option(
        metavar="WEIGHTS",
        help="torchvision's maskrcnn_resnet50_fpn (or _v2) trained on COCO: a .pth or .safetensors")] = None,
    score: Annotated[float, typer.Option(help="least certainty of a detected object")] = 0.8,
    per_class: Annotated[int, typer.Option(metavar="N", help="detected objects of a class at most")] = 20,
) -> int:
    """Make an occluder library from pictures of objects, or from street photographs.

    Cut objects out of their transparent or white background, or with --detector out of street photographs, crop and
    shrink them, and write CLASSn.png, index.json and contact_sheet.png: a folder for occlude.library.

    Examples:

        reanchor cutouts pictures/objects library
        reanchor cutouts street_photos library --detector maskrcnn_resnet50_fpn.pth --per-class 40
    """
    from reanchor.occlusion.background import TOLERANCE
    from reanchor.occlusion.build import SIZE, build_library

    longer, darker = SIZE if size is None else size, TOLERANCE if tolerance is None else tolerance
    if not 0 <= darker <= 255:
        raise ReanchorError(f"--tolerance: got {darker}; allowed: 0 to 255; a usual value is {TOLERANCE}")
    if detector:
        from reanchor.occlusion.harvest import Harvest, harvest_library, load_detector

        wanted = Harvest(score, per_class)
        index = harvest_library(source, out, load_detector(detector), wanted, longer)
    else:
        index = build_library(source, out, longer, darker)
    classes = sorted({entry["class"] for entry in index})
    show(f"{len(index)} cut-outs of {len(classes)} classes written to {out}: {', '.join(classes)}",
         f"look at {out / 'contact_sheet.png'}, then set occlude.library={out}")
    return 0
