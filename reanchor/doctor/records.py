"""Datasets of described images: where their one list is, and what it says that cannot be."""

from collections import Counter, defaultdict
from pathlib import Path

from reanchor.data.captions import REASONS
from reanchor.data.dataset import Dataset
from reanchor.data.decode import Rejected, inside
from reanchor.data.layouts.records import FOLDER, names_split
from reanchor.data.listing import Listing, Rejection, image_names
from reanchor.doctor.finding import Finding, many
from reanchor.errors import ReanchorError

ASIDE = "prepare would set them aside; get the list again if they are many"


def check_list(dataset: Dataset, root: Path) -> list[Finding]:
    """A finding where the list is not beside `imgs`, or is the one without splits."""
    first = dataset.records[0]
    if (root / first).is_file():
        return []
    around = (root.resolve().parent, *sorted(path for path in root.iterdir() if path.is_dir()))
    elsewhere = next((folder for folder in around if (folder / first).is_file()), None)
    other = next((name for name in dataset.records if (root / name).is_file()), None)
    if other and not (elsewhere and _without_split(root / other, dataset.title)):
        return []
    if elsewhere:
        return [Finding(f"{root} has no {first}, but {elsewhere} has", f"move it into {root}")]
    return [Finding(f"{root} has no {first}, which says whom each image shows, who trains and who tests",
                    "get it from where the images came (it may be a separate download) and put it there")]


def check_folder(dataset: Dataset, root: Path) -> list[Finding]:
    """A finding where the images lie in the root itself."""
    here = [name for name in dataset.folders if (root / name).is_dir()] or list(image_names(root))
    if not here:
        return []
    return [Finding(f"{root} holds {many(here)} itself, which {dataset.title} keeps in {FOLDER}",
                    f"make a folder {FOLDER} there and move the images into it")]


def check_records(dataset: Dataset, root: Path, listing: Listing) -> list[Finding]:
    """Findings about records and captions that cannot be used, people in two splits, and absent images."""
    return _unusable(listing) + _two_splits(listing) + _absent(dataset, root, listing)


def unnamed_images(root: Path, listing: Listing) -> list[str]:
    """A note on files that no record names."""
    named = {entry.path for entry in listing.entries} | {rejection.path for rejection in listing.rejections}
    folders = [root / FOLDER, *sorted(path for path in (root / FOLDER).rglob("*") if path.is_dir())]
    unnamed = [path for folder in folders for name in image_names(folder)
               if (path := (folder / name).relative_to(root).as_posix()) not in named]
    return [f"{len(unnamed):,} image files are in no record (such as {unnamed[0]}): nobody knows whom they show, and "
            "they are left out"] if unnamed else []


def _without_split(path: Path, title: str) -> bool:
    try:
        return not names_split(path, title)
    except ReanchorError:
        return True


def _unusable(listing: Listing) -> list[Finding]:
    by_reason: dict[str, list[Rejection]] = defaultdict(list)
    for rejection in sorted(listing.rejections, key=lambda rejection: rejection.path):
        by_reason[rejection.reason].append(rejection)
    return [Finding(f"{len(found):,} {'captions' if reason in REASONS else 'records'} cannot be used: "
                    f"{reason} (such as {found[0].path}: {found[0].detail})", ASIDE)
            for reason, found in sorted(by_reason.items())]


def _two_splits(listing: Listing) -> list[Finding]:
    splits: dict[int, set[str]] = defaultdict(set)
    for entry in listing.entries:
        splits[entry.pid].add(entry.split)
    several = sorted(pid for pid, names in splits.items() if len(names) > 1)
    if not several:
        return []
    names = " and ".join(sorted(splits[several[0]]))
    return [Finding(f"{len(several):,} identities are in two splits (such as pid {several[0]} in {names})",
                    "get the list again: who is tested must not be trained on")]


def _absent(dataset: Dataset, root: Path, listing: Listing) -> list[Finding]:
    home = root.resolve()
    reasons = {entry.path: _why_not(home, entry.path) for entry in listing.entries}
    outside, absent = ([path for path, reason in reasons.items() if reason == wanted]
                       for wanted in ("path_escape", "missing"))
    findings = _missing(dataset, root, listing, absent) if absent else []
    if outside:
        findings.insert(0, Finding(f"{len(outside):,} records lead out of the folder (such as {outside[0]})", ASIDE))
    return findings


def _why_not(root: Path, path: str) -> str:
    try:
        inside(root, path)
    except Rejected as rejected:
        return rejected.reason
    return ""


def _missing(dataset: Dataset, root: Path, listing: Listing, absent: list[str]) -> list[Finding]:
    if len(absent) == len(listing.entries) and (deeper := _one_level_deeper(root, absent[0])):
        return [Finding(f"the images lie one folder too deep, in {deeper}",
                        f"move what is in {deeper} into {root / FOLDER}")]
    images, lost = (Counter(_source(path) for path in paths)
                    for paths in ([entry.path for entry in listing.entries], absent))
    return [_absent_source(dataset, root, source, lost[source], images[source],
                           next(path for path in absent if _source(path) == source)) for source in sorted(lost)]


def _absent_source(dataset: Dataset, root: Path, source: str, lost: int, images: int, example: str) -> Finding:
    if source != FOLDER and not (root / source).is_dir():
        return Finding(f"there is no {source}, where {lost:,} images lie that the list names",
                       f"the copy is incomplete: ask whom you have it from for all of {', '.join(dataset.folders)}"
                       if Path(source).name in dataset.folders else "the copy is incomplete: get the whole archive")
    return Finding(f"{source}: {lost:,} of {images:,} images that the list names are not there (such as {example})",
                   "unpacked in part? unpack the archive again")


def _source(path: str) -> str:
    """imgs/cam_a of imgs/cam_a/x.jpg; imgs of imgs/x.jpg."""
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def _one_level_deeper(root: Path, path: str) -> Path | None:
    inside = Path(path).relative_to(FOLDER)
    folders = sorted(folder for folder in (root / FOLDER).iterdir() if folder.is_dir())
    return next((folder for folder in folders if (folder / inside).is_file()), None)
