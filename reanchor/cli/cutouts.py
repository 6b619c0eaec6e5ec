"""`reanchor cutouts`: an occluder library from a folder of pictures of objects, or of street photographs."""

import argparse
from pathlib import Path

from reanchor.errors import ReanchorError
from reanchor.occlusion.background import TOLERANCE
from reanchor.occlusion.build import SIZE


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "cutouts", help="an occluder library from pictures of objects, or from street photographs",
        description="Cut objects out of their transparent or white background, or with --detector out of street "
                    "photographs, crop and shrink them, and write CLASSn.png, index.json and contact_sheet.png: a "
                    "folder for occlude.library.")
    parser.add_argument("source", type=Path, metavar="SOURCE",
                        help="folder of CLASSn.png or CLASS/xx.png; with --detector of photographs")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--size", type=int, default=SIZE, metavar="PIXELS", help="of the longer side at most")
    parser.add_argument("--tolerance", type=int, default=TOLERANCE, metavar="N",
                        help="how much darker than its border a white background may be, of 255")
    parser.add_argument("--detector", type=Path, metavar="WEIGHTS",
                        help="torchvision's maskrcnn_resnet50_fpn (or _v2) trained on COCO: a .pth or .safetensors")
    parser.add_argument("--score", type=float, default=0.8, help="least certainty of a detected object (0.8)")
    parser.add_argument("--per-class", type=int, default=20, metavar="N",
                        help="detected objects of a class at most (20)")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Build the library and say what it holds.

    Raises:
        ReanchorError: a tolerance that no channel can be apart by, or what the building refuses.
    """
    if not 0 <= given.tolerance <= 255:
        raise ReanchorError(f"--tolerance: got {given.tolerance}; allowed: 0 to 255; a usual value is {TOLERANCE}")
    if given.detector:
        from reanchor.occlusion.harvest import Harvest, harvest_library, load_detector

        wanted = Harvest(given.score, given.per_class)
        index = harvest_library(given.source, given.out, load_detector(given.detector), wanted, given.size)
    else:
        from reanchor.occlusion.build import build_library

        index = build_library(given.source, given.out, given.size, given.tolerance)
    classes = sorted({entry["class"] for entry in index})
    print(f"{len(index)} cut-outs of {len(classes)} classes written to {given.out}: {', '.join(classes)}\n"
          f"look at {given.out / 'contact_sheet.png'}, then set occlude.library={given.out}")
    return 0
