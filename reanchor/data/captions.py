"""Captions: captions.json, in CUHK-PEDES' form, attached to a listing; and which captions can be used."""

import dataclasses
import json
import unicodedata
from pathlib import Path, PurePosixPath

from reanchor.data.listing import Listing, Rejection
from reanchor.errors import ReanchorError

LONGEST = 10_000  # characters; published captions have a few hundred
REASONS = ("caption_not_text", "caption_too_long", "caption_blank", "caption_no_letter")  # image and others stay
NO_TEXT = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of surrogate pairs, separators of lines


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


def check_captions(listing: Listing) -> Listing:
    """Take out captions that say nothing, each with its reason; images stay, described or not.

    Reasons (`REASONS`): no text, too long (`LONGEST`), blank, no letter of any script. Control characters
    become blanks. A caption that an image has twice stays twice: published figures count both.
    """
    entries, rejections = [], []
    for entry in listing.entries:
        kept = []
        for caption in entry.captions:
            problem = _problem(caption)
            if problem:
                rejections.append(Rejection(entry.path, *problem))
            else:
                kept.append(_without_control(caption))
        entries.append(dataclasses.replace(entry, captions=tuple(kept)))
    return dataclasses.replace(listing, entries=entries, rejections=listing.rejections + rejections)


def read_json_list(path: Path, what: str) -> list:
    """The list that a JSON file holds.

    Raises:
        ReanchorError: unreadable, not UTF-8, not JSON (with the position), or no list; `what` names what was expected.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ReanchorError(f"{path}: cannot be read ({error.strerror}); expected {what}; check its permissions"
                            ) from error
    except (ValueError, RecursionError) as error:
        raise ReanchorError(f"{path}: not valid JSON ({error}); repair it or take it away") from error
    if not isinstance(records, list):
        raise ReanchorError(f"{path}: holds a {type(records).__name__}, expected {what}")
    return records


def _problem(caption: object) -> tuple[str, str] | None:
    if not isinstance(caption, str):
        return "caption_not_text", f"a caption is {_short(caption)} ({type(caption).__name__}), expected text"
    if len(caption) > LONGEST:
        return "caption_too_long", f"a caption has {len(caption):,} characters; allowed are {LONGEST:,}"
    if not _without_control(caption).strip():
        return "caption_blank", "a caption is blank"
    if not any(character.isalpha() for character in caption):
        return "caption_no_letter", f"a caption is {_short(caption)}, without any letter"
    return None


def _without_control(caption: str) -> str:
    if caption.isprintable():
        return caption
    blank = "".join(" " if unicodedata.category(character) in NO_TEXT else character for character in caption)
    return caption if blank == caption else " ".join(blank.split())


def _short(value: object) -> str:
    return ascii(value)[:60]


def _read(path: Path) -> dict[str, list]:
    captions: dict[str, list] = {}
    for position, record in enumerate(read_json_list(path, "a list of records")):
        name, texts = _fields(record)
        if name is None or texts is None:
            raise ReanchorError(f"{path}: record {position} is {str(record)[:80]!r}; each record needs "
                                '"file_path" (text) and "captions" (a list of texts)')
        captions.setdefault(str(PurePosixPath(name)), []).extend(texts)
    return captions


def _fields(record: object) -> tuple[str | None, list | None]:
    if not isinstance(record, dict):
        return None, None
    name, texts = record.get("file_path"), record.get("captions")
    return (name if isinstance(name, str) else None), (texts if isinstance(texts, list) else None)


def _reject(name: str) -> Rejection:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        return Rejection(name, "path_escape", "captions.json names a path outside the dataset's root")
    return Rejection(name, "caption_without_image", "captions.json names an image that is not there")
