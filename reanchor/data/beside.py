"""What lies among a dataset's images and is not read: folders without images, what systems leave behind, other files.

None of it may become a person, a camera or a split, and none of it vanishes without a word.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from reanchor.data.listing import IMAGE_SUFFIXES, Unread, image_names, printable

SYSTEM = frozenset((  # in lower case: archives of macOS, network drives, trash, file systems, Windows
    "__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "recycler", "lost+found",
    "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini"))
APPLE_DOUBLE = "._"  # ._a.jpg holds what macOS knows of a.jpg, and no picture


def is_system(name: str) -> bool:
    """Whether a folder or file is hidden, or has a name that only systems give (`SYSTEM`)."""
    return name.startswith(".") or name.casefold() in SYSTEM


def sub_folders(folder: Path) -> list[Path]:
    """The folders in `folder` that may be the dataset's, sorted."""
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not is_system(path.name)]


def contents(folder: Path) -> str:
    """What a folder holds, hidden things apart: "2 .webp, 1 folders"."""
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:  # lost+found is the administrator's
        return f"what nobody may see: {error.strerror}"
    kinds = Counter("folders" if path.is_dir() else path.suffix.lower() or "files without suffix" for path in paths)
    return printable(", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))) or "nothing"


def unread_among(root: Path, folder: Path) -> list[Unread]:
    """What lies in a folder of images and is none: its sub-folders, and its other files by kind."""
    images = set(image_names(folder))
    others = [path for path in sorted(folder.iterdir()) if path.name not in images]
    folders = [path for path in others if path.is_dir()]
    kinds = Counter(_kind(path) for path in others if path not in folders)
    return [_folder(root, path) for path in folders] + _files(root, folder, kinds)


def unread_above(root: Path, folder: Path, read: Collection[Path]) -> list[Unread]:
    """What lies in a folder of folders beside those that were `read`: other folders, and loose images."""
    found = [_folder(root, path) for path in sorted(folder.iterdir()) if path.is_dir() and path not in read]
    return found + _files(root, folder, Counter(_kind(folder / name) for name in image_names(folder)))


def unread_notes(unread: Sequence[Unread]) -> list[str]:
    """A line about folders and a line about files, where any were passed over."""
    folders = [one for one in unread if not one.files]
    files = [one for one in unread if one.files]
    notes = []
    if folders:
        words = _several([f"{one.path} (holds {one.holds})" for one in folders])
        notes.append(f"{len(folders):,} folders are not read and are nobody: {words}")
    if files:
        counts: Counter[str] = Counter()
        for one in files:
            counts[one.path.rpartition("/")[2]] += one.files
        words = _several([f"{count:,} {kind}" for kind, count in counts.most_common()])
        notes.append(f"{sum(counts.values()):,} files are not read: {words} (first {files[0].path}); read are "
                     f"{', '.join(IMAGE_SUFFIXES)} where the layout has images")
    return notes


def _folder(root: Path, path: Path) -> Unread:
    return Unread(printable(path.relative_to(root).as_posix()), contents(path))


def _files(root: Path, folder: Path, kinds: Counter[str]) -> list[Unread]:
    return [Unread(printable((folder / kind).relative_to(root).as_posix()), f"{count:,} files", count)
            for kind, count in sorted(kinds.items())]


def _kind(path: Path) -> str:
    """*.webp for a.webp; a system's files keep their name."""
    if path.name.startswith(APPLE_DOUBLE):
        return f"{APPLE_DOUBLE}*"
    return path.name if is_system(path.name) else f"*{path.suffix.lower()}"


def _several(words: list[str], most: int = 4) -> str:
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
