"""captions.json, in CUHK-PEDES' form, attached to a listing."""

import dataclasses
import json
from pathlib import Path, PurePosixPath

from reanchor.data.listing import Listing, Rejection
from reanchor.errors import ReanchorError


def attach_captions(listing: Listing) -> Listing:
    """Add the captions of `root/captions.json`, where it exists, to the listing's entries.

    The file is CUHK-PEDES' list of {"captions": [...], "file_path": relative to root, "id", "split"}.
    Captions whose image is not there, or whose path leaves the root, are rejected.

    Raises:
        ReanchorError: when the file is not JSON of this form.
    """
    path = listing.root / "captions.json"
    if not path.is_file():
        return listing
    captions = _read(path)
    listed = {entry.path for entry in listing.entries} | set(listing.junk)
    listed |= {rejection.path for rejection in listing.rejections}  # those are there, only not usable
    rejections = [_reject(name) for name in sorted(captions.keys() - listed)]
    entries = [dataclasses.replace(entry, captions=entry.captions + tuple(captions.get(entry.path, ())))
               for entry in listing.entries]
    return dataclasses.replace(listing, entries=entries, rejections=listing.rejections + rejections)


def _read(path: Path) -> dict[str, list[str]]:
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ReanchorError(f"{path}: not valid JSON ({error}); repair it or take it away") from error
    if not isinstance(records, list):
        raise ReanchorError(f"{path}: holds a {type(records).__name__}, expected CUHK-PEDES' list of records")
    captions: dict[str, list[str]] = {}
    for position, record in enumerate(records):
        name, texts = _fields(record)
        if name is None or texts is None:
            raise ReanchorError(f"{path}: record {position} is {str(record)[:80]!r}; each record needs "
                                '"file_path" (text) and "captions" (a list of texts)')
        captions.setdefault(str(PurePosixPath(name)), []).extend(texts)
    return captions


def _fields(record: object) -> tuple[str | None, list[str] | None]:
    if not isinstance(record, dict):
        return None, None
    name, texts = record.get("file_path"), record.get("captions")
    is_texts = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    return (name if isinstance(name, str) else None), (texts if is_texts else None)


def _reject(name: str) -> Rejection:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        return Rejection(name, "path_escape", "captions.json names a path outside the dataset's root")
    return Rejection(name, "caption_without_image", "captions.json names an image that is not there")
