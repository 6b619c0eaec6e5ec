"""A workspace that was moved, copied or restored elsewhere: MLflow's database still names the old place.

MLflow stores every address of a model in full. Left alone, a copy would write its models into the original.
"""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reanchor.files import atomic_path
from stages.tracking.address import EXPERIMENT

LOCK_SECONDS = 20.0
_ADDRESSED = (  # where the experiment's addresses stand
    "SELECT artifact_location FROM experiments WHERE name = ?",
    "SELECT r.artifact_uri FROM runs r JOIN experiments e USING (experiment_id) WHERE e.name = ?",
    "SELECT m.artifact_location FROM logged_models m JOIN experiments e USING (experiment_id) WHERE e.name = ?",
)


def mend(database: Path, artifacts: Path) -> str | None:
    """Let `database` name its models in `artifacts` (<workspace>/mlruns/artifacts); the old place, None if it did.

    All of it in one transaction, which ends with the addresses inside the models' own files. A file that cannot be
    opened shows here at once; MLflow would try for minutes.

    Raises:
        sqlite3.Error: the file is no database, or is locked for LOCK_SECONDS, or cannot be written.
        OSError: a model's file cannot be written.
    """
    connection = sqlite3.connect(f"{database.as_uri()}?mode=rwc", uri=True, timeout=LOCK_SECONDS, isolation_level=None)
    try:
        if not _elsewhere(connection, artifacts):
            return None
        connection.execute("BEGIN IMMEDIATE")
        places = _elsewhere(connection, artifacts)  # another process may have mended it meanwhile
        for place in places:
            for old, new in _spellings(place, artifacts.parent):
                _rename(connection, old, new)
                _rename_in_files(artifacts, old, new)
        connection.execute("COMMIT")
        return ", ".join(_path(place) for place in places) or None
    finally:
        connection.close()  # rolls back what was not committed


def _elsewhere(connection: sqlite3.Connection, artifacts: Path) -> list[str]:
    """Addresses, as written, of the mlruns folders other than this one that the database names."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"experiments", "runs", "logged_models"} <= tables:
        return []
    addresses = {address for query in _ADDRESSED for (address,) in connection.execute(query, (EXPERIMENT,))}
    found = {match[1] for address in addresses if (match := re.match(r"(.*/mlruns)/artifacts(/|$)", address or ""))}
    return sorted(place for place in found if place.startswith(("file:", "/")) and not _is(place, artifacts.parent))


def _is(place: str, folder: Path) -> bool:
    """Whether an address is this folder, or this folder by another name (a link, a second mount)."""
    path = Path(_path(place))
    try:
        return path == folder or path.samefile(folder)
    except OSError:
        return False


def _path(place: str) -> str:
    return unquote(urlsplit(place).path) if place.startswith("file:") else place


def _spellings(place: str, folder: Path) -> Iterator[tuple[str, str]]:
    """(old, new) as addresses and as plain paths."""
    yield (place if place.startswith("file:") else Path(place).as_uri()), folder.as_uri()
    yield _path(place), str(folder)


def _rename(connection: sqlite3.Connection, old: str, new: str) -> None:
    """In every text column of every table: values that begin with `old`, and quoted ones inside JSON."""
    for table, column in _text_columns(connection):
        connection.execute(
            f'UPDATE "{table}" SET "{column}" = :new || substr("{column}", length(:old) + 1) '
            f'WHERE substr("{column}", 1, length(:old) + 1) = :old || \'/\' '
            f'AND substr("{column}", 1, length(:new) + 1) != :new || \'/\'', {"old": old, "new": new})
        connection.execute(
            f'UPDATE "{table}" SET "{column}" = replace("{column}", :old, :new) WHERE instr("{column}", :old)',
            {"old": f'"{old}/', "new": f'"{new}/'})


def _text_columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [(table, column) for table in tables
            for _, column, kind, _, _, _, hidden in connection.execute(f'PRAGMA table_xinfo("{table}")')
            if not hidden and any(word in kind.upper() for word in ("CHAR", "TEXT", "JSON", "CLOB"))]


def _rename_in_files(artifacts: Path, old: str, new: str) -> None:
    for file in sorted(artifacts.rglob("MLmodel")):
        text = file.read_text()
        changed = text.replace(f" {old}/", f" {new}/")  # after "artifact_path:"
        if changed != text:
            with atomic_path(file) as temporary:
                temporary.write_text(changed)
