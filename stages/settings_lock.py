"""Whose settings params.yaml holds: one run at a time owns them, from composing to the report.

    with settings_lock(root):            # a flow or `make run`, throughout; `stages.compose` while it writes
        ...
        with unread_settings(root):      # no `dvc` runs a stage on them either
            write(root / "params.yaml")
"""

import fcntl
import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reanchor.errors import ReanchorError

LOCK = ".dvc/tmp/reanchor-settings.lock"
_held: set[Path] = set()  # by this process


class SettingsHeld(ReanchorError):
    """Another process works on the settings of this workspace."""


@contextmanager
def settings_lock(root: Path) -> Iterator[None]:
    """Own the workspace's settings within this context; inside it, also in another thread, it may be taken again.

    The kernel frees it when the process ends, however it ends. A folder without DVC has nothing to protect.

    Raises:
        SettingsHeld: another process owns them; the message names it.
    """
    root = Path(root).resolve()
    if root in _held or not (root / ".dvc").is_dir():
        yield
        return
    file = root / LOCK
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsHeld(_refusal(_said_by(file))) from error
        opened.truncate(0)
        opened.write(f"{os.getpid()} {_command()}\n")
        opened.flush()
        _held.add(root)
        try:
            yield
        finally:
            _held.discard(root)
            opened.truncate(0)


@contextmanager
def unread_settings(root: Path) -> Iterator[None]:
    """No `dvc` reads the settings within this context: DVC notes a stage's settings when the stage has ended, so that
    what is written meanwhile would be taken for what the stage had used.

    DVC's own lock is held here. DVC gives it back while a stage's command runs, and names itself in `rwlock` instead.

    Raises:
        SettingsHeld: a `dvc` is at work; the message names it.
    """
    from dvc.lock import LockError, make_lock

    temporary = Path(root).resolve() / ".dvc/tmp"
    if not temporary.parent.is_dir():
        yield
        return
    temporary.mkdir(exist_ok=True)
    lock = make_lock(str(temporary / "lock"))
    try:
        lock.lock()  # waits three seconds: most commands are short
    except LockError as error:
        raise SettingsHeld(_refusal("another dvc command")) from error
    try:
        readers = _stages_at_work(temporary)
        if readers:
            raise SettingsHeld(_refusal(readers[0]))
        yield
    finally:
        lock.unlock()


def _stages_at_work(temporary: Path) -> list[str]:
    """Living `dvc` processes that run a stage, as "process PID (command)"; empty when there are none.

    A killed `dvc` leaves its note, and its number goes to any other process, in a container soon.
    """
    try:
        noted = json.loads((temporary / "rwlock").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return []
    entries = [entry for readers in noted.get("read", {}).values() for entry in readers]
    entries += noted.get("write", {}).values()
    return sorted({f"process {entry['pid']} ({entry['cmd']})" for entry in entries if _is_living_dvc(entry["pid"])})


def _is_living_dvc(pid: int) -> bool:
    import psutil

    from pipelines.guard import is_dvc

    try:
        return is_dvc(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def _said_by(file: Path) -> str:
    """The holder as it wrote itself into the lock file."""
    pid, _, command = file.read_text().strip().partition(" ")
    return f"process {pid} ({command})" if pid else "another process"


def _refusal(holder: str) -> str:
    return (f"params.yaml: {holder} is at work on these settings; allowed: one run at a time in a workspace; let it "
            "end, or end it, then try again; or work in a clone of your own")


def _command() -> str:
    """This process's command line as a user typed it."""
    module = getattr(sys.modules["__main__"], "__spec__", None)  # of `python -m`
    program = f"python -m {module.name}" if module else Path(sys.argv[0]).name
    return shlex.join([*program.split(), *sys.argv[1:]])
