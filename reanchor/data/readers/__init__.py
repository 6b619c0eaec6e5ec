"""Layout readers: one file each, entered in `READERS`.

A reader takes (root, seed) and returns a `Listing`; it opens no image. To add one, write
`read(root: Path, seed: int) -> Listing` in a file of its own, enter it here and among the
choices of `prepare.reader`.
"""

from collections.abc import Callable
from pathlib import Path

from reanchor.data.captions import attach_captions
from reanchor.data.listing import Listing, apply_pid_rules
from reanchor.data.readers import csv_table, folder, market1501
from reanchor.errors import ReanchorError

READERS: dict[str, Callable[[Path, int], Listing]] = {
    "market1501": market1501.read,
    "folder": folder.read,
    "csv": csv_table.read,
}


def read_dataset(reader: str, root: Path, seed: int) -> Listing:
    """List the dataset under `root`, with junk set aside and captions attached.

    Args:
        reader: a key of `READERS`.
        seed: divides datasets that come without splits.

    Raises:
        ReanchorError: when the path or the layout is not what the reader expects.
    """
    root = Path(root)
    if not root.exists():
        raise ReanchorError(f"prepare.root: {str(root)!r} does not exist; set prepare.root to the dataset's "
                            "folder (Streetfolk comes from the render stage)")
    return attach_captions(apply_pid_rules(READERS[reader](root, seed)))
