"""Runs a command that ends with whoever started it, however that one ends.

    python pipelines/guard.py 20 dvc repro -s saga       # and the caller holds the other end of its standard input

A flow that is killed tells nobody. Its end of the pipe closes all the same, and the guard, in a session of its own,
then ends the command with everything below it. By path and without imports from this package: the workspace may hold
another version of it, or none. The number is the seconds between SIGTERM and SIGKILL.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

GRACE_SECONDS = 20  # for a training's step and its checkpoint; Prefect's runner gives a flow 30 to end
PATIENCE_SECONDS = 3  # for `dvc` to see that its stage has ended, and to give its locks back
POLL_SECONDS = 0.1
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Keep descendants below this process when those between have ended, so that `end_tree` finds them (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_tree(grace: float) -> None:
    """End every process below this one; return when none is alive.

    SIGTERM goes to the stages, and to `dvc` only when it outlives them: it frees its locks itself then, and not before
    the last checkpoint is written. SIGKILL follows after `grace` seconds.
    """
    told: set[psutil.Process] = set()
    deadline = time.monotonic() + grace
    last_stage = time.monotonic()
    while alive := _below():
        now = time.monotonic()
        stages = [process for process in alive if not is_dvc(process)]
        if stages:
            last_stage = now
        if now > deadline:
            _send(signal.SIGKILL, alive)
        else:
            due = stages if now < last_stage + PATIENCE_SECONDS else alive
            _send(signal.SIGTERM, [process for process in due if process not in told])  # once each
            told.update(due)
        time.sleep(POLL_SECONDS)


def _below() -> list[psutil.Process]:
    """Living descendants; the dead that nobody has asked after do not count."""
    alive = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
        except psutil.NoSuchProcess:
            continue
    return alive


def is_dvc(process: psutil.Process) -> bool:
    """Whether a process is a `dvc` command, by its command line."""
    try:
        words = process.cmdline()[:3]  # dvc ..., python .../dvc ..., python -m dvc ...
    except psutil.Error:
        return False
    return any(Path(word).name == "dvc" for word in words)


def _send(number: signal.Signals, processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _leave(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: what follows must be let through
    sys.exit(128 + number)


def guarded(command: list[str], grace: float = GRACE_SECONDS) -> list[str]:
    """The command line that runs `command` under a guard."""
    return [sys.executable, "-P", __file__, str(grace), *command]


def main(command: list[str], grace: float) -> int:
    """Run `command`; its exit status, or 128 and the signal that ended it."""
    adopt_orphans()
    signal.signal(signal.SIGTERM, _leave)
    process = None
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        _until_ended_or_left(process)
    finally:  # a `dvc` that was itself killed, by the user or for memory, leaves its stage behind
        if process is None or process.poll() is None or process.returncode < 0:
            end_tree(grace)
    status = process.wait()
    return status if status >= 0 else 128 - status


def _until_ended_or_left(process: subprocess.Popen) -> None:
    """Return when the command has ended, or when the other end of the standard input has closed."""
    try:
        watched, seconds = [sys.stdin, os.pidfd_open(process.pid)], None
    except (AttributeError, OSError):  # another system, an old kernel, a sandbox: ask again and again
        watched, seconds = [sys.stdin], POLL_SECONDS
    while process.poll() is None and not select.select(watched, [], [], seconds)[0]:
        continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], float(sys.argv[1])))
