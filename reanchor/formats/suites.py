"""Opening the sets that `make_occluded` made, by what its `suites.json` says of them."""

import json
from collections.abc import Iterable
from pathlib import Path

from reanchor.config.sections.data import Occlude
from reanchor.errors import ReanchorError
from reanchor.formats.occluded_set import AGAIN, ChangedError, OccludedSet

SIDES = ("query", "gallery", "both")
SPLITS = ("val", "test")  # that have lists of suites


class Suites(dict[str, list[dict]]):
    """What `suites.json` holds; what is asked for is refused by name where it is lacking or no list of suites."""

    def __init__(self, found: dict, index: Path):
        super().__init__(found)
        self.index = index

    def __getitem__(self, key: str) -> object:
        found = super().__getitem__(key)
        if key in SPLITS:
            for number, entry in enumerate(found):
                _check(self.index, f"{key}[{number}]", entry, dict, "an object with 'name', 'kind' and 'series'",
                       "name", "kind", "series")
        return found

    def __missing__(self, key: str) -> object:
        raise ReanchorError(f"{self.index}: lacks {key!r}, so it is damaged; {AGAIN}")


def read_suites(occluded: Path) -> Suites:
    """What `suites.json` holds.

    Raises:
        ReanchorError: it is not there, is no JSON, or is not what the occlude stage writes.
    """
    index = occluded / "suites.json"
    if not index.is_file():
        raise ReanchorError(f"{index}: no list of occluded suites there; run the occlude stage (dvc repro occlude)")
    try:
        found = json.loads(index.read_text())
    except ValueError as error:  # of JSON or of its encoding
        raise ReanchorError(f"{index}: no readable JSON ({str(error)[:100]}); {AGAIN}") from error
    _check(index, "its content", found, dict, "an object")
    _check(index, "train", found.get("train", {}), dict, "an object")
    _check(index, "library", found.get("library", {"source": ""}), dict, "an object with 'source'", "source")
    for split in SPLITS:
        _check(index, split, found.get(split, []), list, "a list of suites")
    if (sides := found.get("sides", "query")) not in SIDES:
        raise ReanchorError(f"{index}: sides: got {str(sides)[:60]!r}; allowed: {', '.join(SIDES)}; {AGAIN}")
    return Suites(found, index)


def _check(index: Path, where: str, found: object, kind: type, allowed: str, *needed: str) -> None:
    """Raise ReanchorError where `found` is of another kind, or its values of these names are no texts."""
    if not isinstance(found, kind) or not all(isinstance(found.get(name), str) for name in needed):
        raise ReanchorError(f"{index}: {where}: got {json.dumps(found)[:60]}; allowed: {allowed}; {AGAIN}")


def open_sets(occluded: Path, split: str, names: Iterable[str]) -> dict[str, OccludedSet]:
    """The suites of val or test by name, each read through and held against its hash.

    Raises:
        ReanchorError: a suite that is missing or is not listed; all that have changed, in one line.
    """
    entries, opened, changed = {entry["name"]: entry for entry in read_suites(occluded)[split]}, {}, []
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
        return _open(occluded / "train", read_suites(occluded)["train"])
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
    sha256 = entry.get("sha256")
    copies = OccludedSet.open(folder, sha256 if isinstance(sha256, str) else "")
    if not entry:
        raise ReanchorError(f"{folder}: suites.json does not list it, so nothing tells whether it has changed; make "
                            "the sets again: dvc repro -f occlude")
    if not isinstance(sha256, str) or not sha256:
        raise ReanchorError(f"{folder}: suites.json gives {json.dumps(sha256)} as its sha256, so nothing tells whether "
                            f"it has changed; allowed: the hash that the occlude stage writes; {AGAIN}")
    return copies
