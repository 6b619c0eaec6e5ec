"""Layout readers: one file each, entered in `READERS`.

A reader takes (root, seed) and returns a `Listing`; it opens no image. To add one, write
`read(root: Path, seed: int) -> Listing` in a file of its own, enter it here and among the
choices of `prepare.reader`, and give the dataset a card in `reanchor.data.cards`.
"""

from collections.abc import Callable
from pathlib import Path

from reanchor.data.captions import attach_captions, check_captions
from reanchor.data.listing import Listing, apply_pid_rules, require_folder
from reanchor.data.readers import (
    csv_table,
    cuhk03_np,
    cuhk_pedes,
    dukemtmc_reid,
    folder,
    icfg_pedes,
    market1501,
    msmt17,
    occluded_market,
    occluded_reid,
    p_dukemtmc,
    partial_ilids,
    partial_reid,
    pku_reid,
    rstpreid,
    vehicleid,
    veri776,
)
from reanchor.errors import ReanchorError

RECORD_READERS = ("cuhk_pedes", "icfg_pedes", "rstpreid")

READERS: dict[str, Callable[..., Listing]] = {
    "market1501": market1501.read,
    "msmt17": msmt17.read,
    "dukemtmc_reid": dukemtmc_reid.read,
    "p_dukemtmc": p_dukemtmc.read,
    "occluded_reid": occluded_reid.read,
    "partial_reid": partial_reid.read,
    "partial_ilids": partial_ilids.read,
    "occluded_market": occluded_market.read,
    "cuhk03_np": cuhk03_np.read,
    "pku_reid": pku_reid.read,
    "veri776": veri776.read,
    "vehicleid": vehicleid.read,  # takes the test size as well
    "cuhk_pedes": cuhk_pedes.read,  # the three of described images take test_records
    "icfg_pedes": icfg_pedes.read,
    "rstpreid": rstpreid.read,
    "folder": folder.read,
    "csv": csv_table.read,  # takes the table's name as well
}


def read_dataset(reader: str, root: Path, seed: int, test_size: str = "small", *, junk: bool = True,
                 distractors: bool = True, test_records: int = 0, table: str = csv_table.TABLE) -> Listing:
    """List the dataset under `root`, with junk set aside, captions attached and looked through.

    Args:
        reader: a key of `READERS`.
        seed: divides datasets that come without splits.
        test_size: small, medium or large; VehicleID alone has several test lists.
        junk, distractors: whether pid -1 and pid 0 have their meaning here (the dataset's card says so).
        test_records: above 0, test records after the first so many are left out (`RECORD_READERS`).
        table: name of the table in `root`, which the reader csv reads.

    Raises:
        ReanchorError: when the path or the layout is not what the reader expects.
    """
    root = Path(root)
    if not root.exists():
        raise ReanchorError(f"prepare.root: {str(root)!r} does not exist; set prepare.root to the dataset's "
                            "folder (Streetfolk comes from the render stage)")
    require_folder(root)
    if table != csv_table.TABLE and reader != "csv":
        raise ReanchorError(f"prepare.table: got {table!r} with prepare.reader {reader!r}, which reads no table; "
                            f"allowed: {csv_table.TABLE}, or dataset=csv")
    if test_records and reader not in RECORD_READERS:
        raise ReanchorError(f"prepare.test_records: got {test_records} with prepare.reader {reader!r}, which reads no "
                            f"records; allowed: 0, or a reader among {', '.join(RECORD_READERS)}")
    more: dict[str, str | int] = {"test_size": test_size} if reader == "vehicleid" else {}
    more |= {"table": table} if reader == "csv" else {}
    more |= {"test_records": test_records} if reader in RECORD_READERS else {}
    try:
        listing = READERS[reader](root, seed, **more)
    except PermissionError as error:
        raise ReanchorError(f"prepare.root: {str(error.filename)!r} cannot be read ({error.strerror}); allow it "
                            "to this user, or move it out of prepare.root") from error
    return check_captions(attach_captions(apply_pid_rules(listing, junk, distractors)))
