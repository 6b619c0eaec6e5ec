"""MP-ReID (Ha et al., ICCV 2025): 14 cameras on the ground and in the air, in colour and infrared; CAM/PID/NNNN.jpg.

Cameras 01 to 06 stand on the ground and see colour, 07 to 12 infrared; 13 (colour) and 14 (thermal) fly. An experiment
exp_A_B says whose images search whose: exp_cctv_ir_cctv_rgb searches the ground's colour images by its infrared ones.
Its folder, in `split` or in the root itself, has train_id.txt, val_id.txt and test_id.txt, each one line of identities
parted by commas. As in the code of its authors and of SAGA-ReID (which call it mmmp): the identities of train_id and
val_id train, on all cameras of both sides.

Both codes take the last digit of a camera's folder for its number, so that 11 and 01 are one; SAGA-ReID's then leaves
out matches of such pairs, and the authors' leaves out none. Here cameras have their own numbers, and no match is
between images of one camera. Experiments of one side (exp_rgb), which these codes divide at random without a seed, are
not read.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import permutations, product
from pathlib import Path

from reanchor.data.beside import unread_among
from reanchor.data.dataset import Dataset, Hints
from reanchor.data.layouts.lists import read_lines
from reanchor.data.listing import Entry, Listing, Rejection, image_names, is_text, printable
from reanchor.errors import ReanchorError

SIDES = {"cctv_rgb": range(1, 7), "cctv_ir": range(7, 13), "uav_rgb": range(13, 14), "uav_ir": range(14, 15)}
EXPERIMENTS = {f"exp_{query}_{gallery}": (SIDES[query], SIDES[gallery]) for query, gallery in permutations(SIDES, 2)}
FIRST = "exp_cctv_ir_cctv_rgb"
LISTS = ("train_id.txt", "val_id.txt", "test_id.txt")
CAMERAS = range(1, 15)


def read(root: Path, seed: int, experiment: str = "") -> Listing:
    """List the images of one experiment; pids are the identities' numbers, camids those of the cameras.

    Raises:
        ReanchorError: no such experiment, a list missing or of another form, or no image for a split.
    """
    if experiment and experiment not in EXPERIMENTS:
        raise ReanchorError(f"prepare.experiment: got {experiment!r}; allowed: {', '.join(EXPERIMENTS)}")
    query, gallery = EXPERIMENTS[experiment or FIRST]
    train, val, test = (_identities(root / name) for name in _lists(root, experiment))
    listing = Listing(root.resolve().name, root, [])
    for split, pids, cameras in (("train", train | val, (*query, *gallery)), ("query", test, query),
                                 ("gallery", test, gallery)):
        before = len(listing.entries)
        for camera, pid, folder in _folders(root, cameras, pids):
            _add(listing, folder, Entry("", pid, camera, split))
        if len(listing.entries) == before:
            raise ReanchorError(f"prepare.root: {str(root)!r} has no image of a listed identity from cameras "
                                f"{', '.join(map(str, cameras))} (split {split}); unpack the dataset again")
    return listing


def _lists(root: Path, experiment: str = "") -> tuple[str, ...]:
    """Paths of an experiment's three lists, relative to `root`; none of one that there cannot be."""
    name = experiment or FIRST
    inside = "" if (root / name).is_dir() else "split/"
    return tuple(f"{inside}{name}/{file}" for file in LISTS) if name in EXPERIMENTS else ()


def _identities(path: Path) -> set[int]:
    fields = next((fields for _, fields in read_lines(path)), [])
    words = "".join(fields).split(",")
    if not all(re.fullmatch(r"\d{1,9}", word, re.ASCII) for word in words):
        raise ReanchorError(f"{path}: got {' '.join(fields)[:80]!r}; allowed is one line of whole numbers parted by "
                            "commas; get the list again")
    return {int(word) for word in words}


def _folders(root: Path, cameras: Iterable[int], pids: set[int]) -> Iterator[tuple[int, int, Path]]:
    """(camera, pid, folder) wherever a camera saw an identity; the folder of camera 1 is 01, in some copies 1."""
    for camera, pid in product(cameras, sorted(pids)):
        places = (root / name / f"{pid:04d}" for name in sorted({f"{camera:02d}", str(camera)}))
        yield from ((camera, pid, folder) for folder in places if folder.is_dir())


def _add(listing: Listing, folder: Path, entry: Entry) -> None:
    """Entries like `entry` for the images in `folder`."""
    for name in image_names(folder):
        path = (folder / name).relative_to(listing.root).as_posix()
        if is_text(path):
            listing.entries.append(Entry(path, entry.pid, entry.camid, entry.split))
        else:
            listing.rejections.append(Rejection(printable(path), "bad_name", "not UTF-8"))
    listing.unread += unread_among(listing.root, folder)


DATASET = Dataset(
    name="mp_reid", title="MP-ReID", read=read, takes=("experiment",), hints=Hints(lists=_lists),
    needs=(tuple(f"{camera:02d}" for camera in CAMERAS), tuple(map(str, CAMERAS))),
    layout="CAM/PID/NNNN.jpg, CAM 01 to 14; split/EXPERIMENT/{train,val,test}_id.txt (prepare.experiment="
           "exp_cctv_ir_cctv_rgb and five more)",
    source='Ha et al., "Multi-modal Multi-platform Person Re-Identification: Benchmark and Method", ICCV 2025',
    terms="on request from its authors, after an agreement",
    protocol="136,156 images of 1,930 identities in all; an experiment's first side searches its second")
