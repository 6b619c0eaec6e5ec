"""Whether the folders and lists of a card's layout are there, and where they are if not."""

from pathlib import Path

from reanchor.data.cards.card import Card
from reanchor.data.cards.catalogue import CARDS
from reanchor.data.listing import Listing, apply_pid_rules
from reanchor.data.readers.catalogue import READERS
from reanchor.data.readers.named import find_root
from reanchor.data.readers.vehicleid import TEST_LISTS
from reanchor.data.statistics import files_found, variant_of
from reanchor.doctor.finding import Finding, many
from reanchor.doctor.records import check_folder, check_list
from reanchor.errors import ReanchorError

READABLE = 0.9  # of the files, for a folder to be taken for a dataset


def check_layout(card: Card, root: Path, test_size: str) -> list[Finding]:
    """Findings that keep the folder from being read; none where it can be tried."""
    if not card.needs:
        return []
    present = [folders for folders in card.needs if _complete(root, folders)]
    if len(present) == 1:
        return _check_lists(card, root, test_size)
    if card.name == "msmt17" and (present or _holds_parts_of_both(card, root)):
        return [_mixed_versions(root, complete=bool(present))]
    if present:
        return []
    if card.name == "cuhk03_np" and (boxes := [name for name in card.variants if (root / name).is_dir()]):
        return [Finding(f"{root} holds {' and '.join(boxes)}; each is a dataset of its own",
                        f"use prepare.root={root / boxes[0]}")]
    if names := look_alikes(card, root):
        return [wrong_dataset(card, root, names)]
    if better := _find_root(card, root):
        level = "deeper than" if better.resolve().is_relative_to(root.resolve()) else "above"
        return [Finding(f"{card.title} lies {level} {root}, in {better}", f"use prepare.root={better}")]
    return check_folder(card, root) or [_missing_folders(card, root)]


def _find_root(card: Card, root: Path) -> Path | None:
    for files in (card.records, ()):  # several datasets have a folder imgs: the one with the list first
        found = (find_root(root, list(folders), files) for folders in card.needs)
        if better := next(filter(None, found), None):
            return better
    return None


def look_alikes(card: Card, root: Path, exactly: bool = False) -> list[str]:
    """Names of other cards whose layout this is; only those whose counts agree, where any do or if `exactly`."""
    read = {}
    for other in CARDS.values():
        if other.needs and other not in (card, CARDS["streetfolk"]) and (listing := _try(other, root)):
            read[other.name] = listing
    exact = [name for name, listing in read.items() if counts_agree(CARDS[name], listing)]
    return exact if exact or exactly else list(read)


def counts_agree(card: Card, listing: Listing) -> bool:
    """Whether every count that the card knows was found; False where it knows fewer than two."""
    found, expected = files_found(listing), card.expected(variant_of(card, listing, "small"))
    return len(expected) > 1 and all(found[name] == count for name, count in expected.items())


def wrong_dataset(card: Card, root: Path, names: list[str]) -> Finding:
    titles = " or ".join(CARDS[name].title for name in names)
    return Finding(f"{root} looks like {titles}, not like {card.title}",
                   f"run `reanchor doctor {names[0]} {root}`, and use dataset={names[0]} if it agrees")


def _try(card: Card, root: Path) -> Listing | None:
    """What the card's reader makes of the folder, if it can read nearly all of it."""
    if not any(_complete(root, folders) for folders in card.needs):
        return None
    try:
        listing = apply_pid_rules(READERS[card.reader](root, 0), card.junk, card.distractors)
    except ReanchorError:
        return None
    files = len(listing.entries) + len(listing.junk) + len(listing.rejections)
    return listing if len(listing.entries) + len(listing.junk) >= READABLE * files else None


def _complete(root: Path, folders: tuple[str, ...]) -> bool:
    return all((root / folder).is_dir() for folder in folders)


def _holds_parts_of_both(card: Card, root: Path) -> bool:
    return all(any((root / folder).is_dir() for folder in folders) for folders in card.needs)


def _mixed_versions(root: Path, complete: bool) -> Finding:
    if complete:
        return Finding(f"{root} holds the folders of MSMT17 V1 (train, test) and of V2 (mask_train_v2, mask_test_v2)",
                       "move those of one version away; V2 has blurred faces, and figures of the two differ")
    found = ", ".join(name for name in ("train", "test", "mask_train_v2", "mask_test_v2") if (root / name).is_dir())
    return Finding(f"{root} mixes MSMT17 V1 and V2 up: it holds {found}",
                   "keep train and test (V1), or mask_train_v2 and mask_test_v2 (V2), from one archive")


def _check_lists(card: Card, root: Path, test_size: str) -> list[Finding]:
    lists = [*card.lists]
    if card.name == "vehicleid":
        lists.append(f"train_test_split/{TEST_LISTS[test_size]}")
    missing = [name for name in lists if not (root / name).is_file()]
    unlisted = check_list(card, root) if card.records else []
    if not (missing or unlisted):
        return []
    if names := look_alikes(card, root):
        return [wrong_dataset(card, root, names)]
    if unlisted:
        return unlisted
    for folder in (root.resolve().parent, *sorted(path for path in root.iterdir() if path.is_dir())):
        if all((folder / Path(name).name).is_file() for name in missing):
            return [Finding(f"{root} has no {', '.join(missing)}, but {folder} has", f"move them into {root}")]
    return [Finding(f"{root} has no {', '.join(missing)}; without the lists nobody knows which image is in which split",
                    "get the lists from where the images came (they may be a separate download) and put them there")]


def _missing_folders(card: Card, root: Path) -> Finding:
    """Named for the alternative of which the most is there."""
    folders = max(card.needs, key=lambda names: sum((root / name).is_dir() for name in names))
    missing = [name for name in folders if not (root / name).is_dir()]
    here = sorted(path.name for path in root.iterdir())
    for name in missing:
        if other := next((found for found in here if found.lower() == name.lower()), None):
            return Finding(f"{root} has a folder {other}, which {card.title} calls {name}", f"rename {other} to {name}")
    if len(missing) < len(folders):
        present = ", ".join(name for name in folders if name not in missing)
        return Finding(f"{root} has {present} but no {', '.join(missing)}",
                       "unpack the whole archive again, all parts into the same folder")
    holds = many(here) if here else "nothing"
    return Finding(f"{root} has none of {card.title}'s folders ({', '.join(folders)}); it holds {holds}",
                   f"point at the folder that holds {folders[0]}")
