"""Opening the sets that `make_occluded` made, by what its `suites.json` says of them."""

import json
from collections.abc import Iterable
from pathlib import Path

from reanchor.config.sections import Occlude
from reanchor.errors import ReanchorError
from reanchor.occlusion.occluded_set import ChangedError, OccludedSet


def read_suites(occluded: Path) -> dict:
    """What `suites.json` holds.

    Raises:
        ReanchorError: it is not there.
    """
    index = occluded / "suites.json"
    if not index.is_file():
        raise ReanchorError(f"{index}: no list of occluded suites there; run the occlude stage (dvc repro occlude)")
    return json.loads(index.read_text())


def open_sets(occluded: Path, split: str, names: Iterable[str]) -> dict[str, OccludedSet]:
    """The suites of val or test by name, each read through and held against its hash.

    Raises:
        ReanchorError: a suite that is missing or is not listed; all that have changed, in one line.
    """
    entries, opened, changed = {entry["name"]: entry for entry in read_suites(occluded).get(split, ())}, {}, []
    for name in names:
        try:
            opened[name] = _open(occluded / split / name, entries.get(name, {}))
        except ChangedError as error:
            changed.append((name, error))
    if len(changed) > 1:
        raise ReanchorError(f"{occluded / split}: {len(changed)} suites have changed since suites.json was written: "
                            f"{', '.join(name for name, _ in changed)}; make the sets again: dvc repro -f occlude")
    if changed:
        raise changed[0][1]
    return opened


def open_set(occluded: Path, split: str, name: str = "") -> OccludedSet:
    """One suite of val or test, or the copies of `train`, read through and held against its hash.

    Raises:
        ReanchorError: it is missing, is not listed, or has changed.
    """
    if split == "train":
        return _open(occluded / "train", read_suites(occluded).get("train", {}))
    return open_sets(occluded, split, [name])[name]


def require_occluders(occluded: Path, config: Occlude) -> None:
    """Refuse settings that would draw other occluders than those the sets were made with: a class that is kept for
    `ogor-unseen` would be trained on.

    Raises:
        ReanchorError: the first of library, variant and unseen_classes that differs.
    """
    made = read_suites(occluded)
    for name, given, was in (("library", config.library, made["library"]["source"]),
                             ("variant", config.variant, made["variant"]),
                             ("unseen_classes", sorted(config.unseen_classes), made.get("unseen_classes", []))):
        if given != was:
            raise ReanchorError(f"occlude.{name}: got {given!r}, but {occluded} was made with {was!r}; allowed: the "
                                "same, so that nobody trains on occluders kept unseen; set it so (occlusion=... of "
                                "the same preset), or make the sets again: dvc repro occlude")


def _open(folder: Path, entry: dict) -> OccludedSet:
    copies = OccludedSet.open(folder, entry.get("sha256", ""))
    if not entry:
        raise ReanchorError(f"{folder}: suites.json does not list it, so nothing tells whether it has changed; make "
                            "the sets again: dvc repro -f occlude")
    return copies
