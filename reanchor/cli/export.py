"""`reanchor export`: a fine-tuned model as a file that other code reads."""

import argparse
from pathlib import Path

FORMATS = ("clip-reid", "open-clip")


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "export", help="a fine-tuned model as CLIP-ReID's or open_clip's file",
        description="Write a fine-tuned model (models/clip_reid, baseline, or an imported one) as a state "
                    "dict: clip-reid has the authors' names, open-clip its image tower and the text tower of --clip.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="model folder")
    parser.add_argument("--to", required=True, choices=FORMATS, help="whose names")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE",
                        help="file to write: .pth or .pt for clip-reid, .safetensors or .pt for open-clip")
    parser.add_argument("--clip", type=Path, metavar="FOLDER",
                        help="for open-clip: the CLIP that was fine-tuned, such as models/backbone")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Export, then print what the file cannot tell."""
    from reanchor.weights.exporting import export_model

    notes = export_model(given.folder, given.to, given.out, given.clip)
    print("\n".join([f"written to {given.out}", *(f"  {note}" for note in notes)]))
    return 0
