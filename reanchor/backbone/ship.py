"""Pack a pre-trained backbone into the one file that is shipped.

    python -m reanchor.backbone.ship models/backbone models/shipped/streetfolk.safetensors
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file

from reanchor.clip.model import Clip
from reanchor.errors import ReanchorError
from reanchor.files import atomic_path

LARGEST = 10_000_000  # bytes


def ship(folder: Path, target: Path) -> int:
    """Write weights, specification, recipe and figures into one safetensors file; return its bytes.

    Raises:
        ReanchorError: when the folder's CLIP was not pre-trained here, or the file is too large.
    """
    clip = Clip.load(folder)
    if not clip.recipe:
        raise ReanchorError(f"{folder}: its weights carry no recipe; only a backbone made with "
                            "backbone.source=pretrain can be shipped")
    metadata = {"spec": asdict(clip.spec), "recipe": clip.recipe, "figures": clip.figures}
    state = {name: value.contiguous() for name, value in clip.network.state_dict().items()}
    with atomic_path(target) as temporary:
        save_file(state, temporary, {key: json.dumps(value, sort_keys=True) for key, value in metadata.items()})
        size = temporary.stat().st_size
        if size > LARGEST:
            raise ReanchorError(f"{target}: {size} bytes; at most {LARGEST} may be shipped: make the network smaller")
    return size


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a backbone stage's output")
    parser.add_argument("target", type=Path, help="the safetensors file to write")
    options = parser.parse_args()
    print(f"{options.target}: {ship(options.folder, options.target)} bytes")


if __name__ == "__main__":
    main()
