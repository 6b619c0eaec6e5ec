"""`reanchor cutouts`: an occluder library from a folder of pictures of objects."""

import argparse
from pathlib import Path

from reanchor.occlusion.background import TOLERANCE
from reanchor.occlusion.build import SIZE


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "cutouts", help="an occluder library from pictures with a transparent or white background",
        description="Cut objects out of their transparent or white background, crop and shrink them, and write "
                    "CLASSn.png, index.json and contact_sheet.png: a folder for occlude.library.")
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of CLASSn.png or CLASS/xx.png")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--size", type=int, default=SIZE, metavar="PIXELS", help="of the longer side at most")
    parser.add_argument("--tolerance", type=int, default=TOLERANCE, metavar="N",
                        help="how much darker than its border a white background may be, of 255")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Build the library and say what it holds."""
    from reanchor.occlusion.build import build_library

    index = build_library(given.source, given.out, given.size, given.tolerance)
    classes = sorted({entry["class"] for entry in index})
    print(f"{len(index)} cut-outs of {len(classes)} classes written to {given.out}: {', '.join(classes)}\n"
          f"look at {given.out / 'contact_sheet.png'}, then set occlude.library={given.out}")
    return 0
