"""Log later what was kept."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from stages.tracking.pending import held, key_of, pending_files, read
from stages.tracking.records import UNFINISHED, Record, add_figures, adopt, apply, begin
from stages.tracking.store import Store, Unreachable, tell


def send(store: Store, file: Path) -> tuple[bool, str]:
    """Send a kept file and remove it: (whether it was sent, what to say in one line)."""
    try:
        with held(file):
            records = read(file)
            notes = _send_all(store, records)
            file.unlink()
    except FileNotFoundError:
        return True, "logged by another process meanwhile"
    except BlockingIOError:
        return False, "still written by a running stage; run this again when it has ended"
    except Unreachable as error:
        return False, f"stays, {error}"
    except ValueError as error:
        return False, f"cannot be read ({error}); remove it"
    except OSError as error:
        return False, f"stays, {error}"
    return True, "; ".join([f"logged, {len(records)} records", *notes])


def send_earlier(store: Store, key: str) -> None:
    """Send what is kept of earlier trainings with this key: only then does MLflow show which of them has ended.

    Stops at the first file that stays; where MLflow does not take it, the store is asked nothing further.
    """
    with suppress(OSError):
        for file in pending_files(store.root):
            if key_of(file) == key:
                sent, said = send(store, file)
                if not sent:
                    return
                tell(f"{file.name}: {said}")


def _send_all(store: Store, records: list[Record]) -> list[str]:
    """Notes on what had to be left out."""
    run_id: Any = None
    notes: list[str | None] = []
    for record in records:
        if record["kind"] == "run":
            run_id = store.ask(lambda client, head=record: _begin(client, store.root, head))
        elif record["kind"] == "figures":
            store.ask(lambda client, figures=record: add_figures(client, store.root, figures))
        else:
            notes.append(_apply(store, run_id, record))
    return [note for note in notes if note]


def _apply(store: Store, run_id: str, record: Record) -> str | None:
    seconds = {"seconds": 600.0} if record["kind"] == "model" else {}  # nobody waits for this
    return store.ask(lambda client: _applied(client, store.root, run_id, record), **seconds)


def _applied(client: Any, root: Path, run_id: str, record: Record) -> str | None:
    """What ended later in MLflow itself is not interrupted again."""
    if record.get("status") in UNFINISHED and client.get_run(run_id).info.status not in UNFINISHED:
        return None
    return apply(client, root, run_id, record)


def _begin(client: Any, root: Path, head: Record) -> str:
    run_id = begin(client, root, head)
    if not head["key"]:  # a group
        adopt(client, root, head["opened"], run_id)
    return run_id
