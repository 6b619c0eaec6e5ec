"""Cameras in file names of no published form, where the names agree on them.

`_cN` after an underscore, or `cN` at the beginning, N a number, is camera N: `0001_c2_7.jpg`, `c12s1_3.png`,
`0001_C1_F0001.jpg`. The number must end there, by itself or with Market-1501's sequence `sM`: of names that are
hashes one in sixteen begins with c, and most of these go on with a digit (`c4ca4238a0b9.jpg`), but next to none has
nothing else (`c1234567.jpg`).

So names are believed where most of them say a camera; then one that says none has lost it, and is set aside. Where
fewer do, they do so by chance, and no camera is known: a handful of made-up cameras among images of camera 0 would
decide which matches count, and setting the others aside would take nearly all of the dataset. Either way a note
names the count and an example, so that nobody has to find out from the figures.

Where names count cameras from 0, each camid is one more, as camid 0 means unknown.
"""

import re
from collections.abc import Sequence

from reanchor.data.listing import printable

CAMERA = re.compile(r"(?:^|_)c(\d{1,9})(?:s\d{1,9})?(?=[_.\- ])", re.ASCII | re.IGNORECASE)
FORM = "_cN"


def read_cameras(paths: Sequence[str]) -> tuple[list[int | None], list[str]]:
    """Of each image path the camid, None where its name lacks what most names have; and a note where they differ.

    All camids are 0 (unknown) where no more than half of the names say one.
    """
    found = [CAMERA.search(path.rpartition("/")[2]) for path in paths]
    said = sum(match is not None for match in found)
    if 2 * said > len(found) or not found:
        shift = int(any(match and int(match[1]) == 0 for match in found))
        notes = [f"file names count cameras from 0: camid is one more than their {FORM}"] * shift
        astray = [path for path, match in zip(paths, found, strict=True) if match is None]
        notes += [f"{len(astray):,} of {len(found):,} images are set aside, as their names lack the {FORM} that the "
                  f"others carry (such as {printable(astray[0])}): rename them"] if astray else []
        return [int(match[1]) + shift if match else None for match in found], notes
    if not said:
        return [0] * len(found), [f"cameras are unknown: no file name carries {FORM}"]
    odd = next(path for path, match in zip(paths, found, strict=True) if match)
    return [0] * len(found), [
        f"cameras are taken as unknown: only {said:,} of {len(found):,} file names carry {FORM} (such as "
        f"{printable(odd)}); if these are cameras, write {FORM} into all names"]
