"""Whether the folders and lists of a dataset's layout are there, and where they are if not."""

from pathlib import Path

from reanchor.config.sections.data import Prepare
from reanchor.data.catalogue import DATASETS, READERS
from reanchor.data.dataset import Dataset
from reanchor.data.layouts.named import find_root
from reanchor.data.listing import Listing, apply_pid_rules
from reanchor.data.statistics import files_found, variant_of
from reanchor.doctor.finding import Finding, many
from reanchor.doctor.records import check_folder, check_list
from reanchor.errors import ReanchorError

READABLE = 0.9  # of the files, for a folder to be taken for a dataset


def check_layout(dataset: Dataset, root: Path, settings: dict[str, str]) -> list[Finding]:
    """Findings that keep the folder from being read with the dataset's `settings`; none where it can be tried."""
    if not dataset.needs:
        return []
    present = [folders for folders in dataset.needs if _complete(root, folders)]
    if len(present) == 1:
        return _check_lists(dataset, root, settings)
    if hint := dataset.hints.folders(root):
        return [Finding(*hint)]
    if present:
        return []
    if names := look_alikes(dataset, root):
        return [wrong_dataset(dataset, root, names)]
    if better := _find_root(dataset, root):
        level = "deeper than" if better.resolve().is_relative_to(root.resolve()) else "above"
        return [Finding(f"{dataset.title} lies {level} {root}, in {better}", f"use prepare.root={better}")]
    return check_folder(dataset, root) or [_missing_folders(dataset, root)]


def _find_root(dataset: Dataset, root: Path) -> Path | None:
    for files in (dataset.records, ()):  # several datasets have a folder imgs: the one with the list first
        found = (find_root(root, list(folders), files) for folders in dataset.needs)
        if better := next(filter(None, found), None):
            return better
    return None


def look_alikes(dataset: Dataset, root: Path, exactly: bool = False) -> list[str]:
    """Names of other datasets whose layout this is; only those whose counts agree, where any do or if `exactly`."""
    read = {}
    for other in DATASETS.values():
        if other.needs and other.published and other != dataset and (listing := _try(other, root)):
            read[other.name] = listing
    exact = [name for name, listing in read.items() if counts_agree(DATASETS[name], listing)]
    return exact if exact or exactly else list(read)


def counts_agree(dataset: Dataset, listing: Listing) -> bool:
    """Whether every count that the dataset knows was found; False where it knows fewer than two."""
    found, expected = files_found(listing), dataset.expected(variant_of(dataset, listing, vars(Prepare())))
    return len(expected) > 1 and all(found[name] == count for name, count in expected.items())


def wrong_dataset(dataset: Dataset, root: Path, names: list[str]) -> Finding:
    titles = " or ".join(DATASETS[name].title for name in names)
    return Finding(f"{root} looks like {titles}, not like {dataset.title}",
                   f"run `reanchor doctor {names[0]} {root}`, and use dataset={names[0]} if it agrees")


def _try(dataset: Dataset, root: Path) -> Listing | None:
    """What the dataset's reader makes of the folder, if it can read nearly all of it."""
    if not any(_complete(root, folders) for folders in dataset.needs):
        return None
    try:
        listing = apply_pid_rules(READERS[dataset.name](root, 0), dataset.junk, dataset.distractors)
    except ReanchorError:
        return None
    files = len(listing.entries) + len(listing.junk) + len(listing.rejections)
    return listing if len(listing.entries) + len(listing.junk) >= READABLE * files else None


def _complete(root: Path, folders: tuple[str, ...]) -> bool:
    return all((root / folder).is_dir() for folder in folders)


def _check_lists(dataset: Dataset, root: Path, settings: dict[str, str]) -> list[Finding]:
    lists = dataset.lists + dataset.hints.lists(root, **settings)
    missing = [name for name in lists if not (root / name).is_file()]
    unlisted = check_list(dataset, root) if dataset.records else []
    if not (missing or unlisted):
        return []
    if names := look_alikes(dataset, root):
        return [wrong_dataset(dataset, root, names)]
    if unlisted:
        return unlisted
    for folder in (root.resolve().parent, *sorted(path for path in root.iterdir() if path.is_dir())):
        if all((folder / Path(name).name).is_file() for name in missing):
            return [Finding(f"{root} has no {', '.join(missing)}, but {folder} has", f"move them into {root}")]
    return [Finding(f"{root} has no {', '.join(missing)}; without the lists nobody knows which image is in which split",
                    "get the lists from where the images came (they may be a separate download) and put them there")]


def _missing_folders(dataset: Dataset, root: Path) -> Finding:
    """Named for the alternative of which the most is there."""
    folders = max(dataset.needs, key=lambda names: sum((root / name).is_dir() for name in names))
    missing = [name for name in folders if not (root / name).is_dir()]
    here = sorted(path.name for path in root.iterdir())
    for name in missing:
        if other := next((found for found in here if found.lower() == name.lower()), None):
            return Finding(f"{root} has a folder {other}, which {dataset.title} calls {name}",
                           f"rename {other} to {name}")
    if len(missing) < len(folders):
        present = ", ".join(name for name in folders if name not in missing)
        return Finding(f"{root} has {present} but no {', '.join(missing)}",
                       "unpack the whole archive again, all parts into the same folder")
    holds = many(here) if here else "nothing"
    return Finding(f"{root} has none of {dataset.title}'s folders ({', '.join(folders)}); it holds {holds}",
                   f"point at the folder that holds {folders[0]}")
