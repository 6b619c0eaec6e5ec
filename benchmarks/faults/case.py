"""One fault and what came of it; commands run under a time limit, with their memory measured."""

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Outcome:
    """Whether the product held, and in one line what it did."""

    held: bool | None  # None: not tried
    said: str


class NotTried(Exception):
    """This machine does not let the fault be provoked, for the reason given."""


@dataclass(frozen=True)
class Case:
    """A fault: `run` provokes it inside a workspace of its own, a smoke-sized study up to its backbone."""

    topic: str
    name: str
    run: Callable[[Path], Outcome]


@dataclass(frozen=True)
class Ended:
    """A command that has ended, by itself or at its limit."""

    status: int  # exit status; minus the signal that ended it
    output: str  # of stdout and stderr together
    seconds: float
    peak_mb: int  # largest resident set of the process itself
    timed_out: bool

    @property
    def tracebacks(self) -> int:
        return self.output.count(TRACEBACK)

    @property
    def last_line(self) -> str:
        lines = [line for line in self.output.splitlines() if line.strip()]
        return lines[-1].strip() if lines else "nothing"


def python(folder: Path, *arguments: str, limit: float = 300, memory_gb: float | None = None,
           **variables: str) -> Ended:
    """Run `python ARGUMENTS` in `folder`, whose copy of the library it imports; killed whole at `limit` seconds.

    Args:
        memory_gb: a bound on the address space.
    """
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        with running(folder, *arguments, memory_gb=memory_gb, stdout=said, **variables) as process:
            status, usage, timed_out = _wait(process, started + limit)
        seconds = time.perf_counter() - started
        said.seek(0)
        return Ended(status, said.read().decode(errors="replace"), seconds, usage // 1024, timed_out)


def start(folder: Path, *arguments: str, memory_gb: float | None = None, stdout=subprocess.DEVNULL,
          **variables: str) -> subprocess.Popen:
    """The same in the background, in a process group of its own, stderr joined to `stdout`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "DVC_NO_ANALYTICS": "1", **variables}
    command = [sys.executable, *arguments]
    if memory_gb is not None:
        command = ["prlimit", f"--as={int(memory_gb * 2**30)}", *command]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=stdout, stderr=subprocess.STDOUT,
                            stdin=subprocess.DEVNULL, start_new_session=True)


@contextmanager
def running(folder: Path, *arguments: str, **how) -> Iterator[subprocess.Popen]:
    """`start` within this context; what has not ended when it is left, however it is left, is killed whole."""
    process = start(folder, *arguments, **how)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen, deadline: float) -> tuple[int, int, bool]:
    """(exit status, peak KiB, whether the deadline had to end it)."""
    timed_out = False
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_maxrss, timed_out
        if not timed_out and time.perf_counter() > deadline:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.02)


def digest(*paths: Path) -> str:
    """SHA-256 over the bytes of files."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(path.read_bytes())
    return whole.hexdigest()


def refused(ended: Ended) -> Outcome:
    """Held where a command ended with an error of one line, without traceback, in time."""
    held = ended.status > 0 and not ended.tracebacks and not ended.timed_out
    said = f"exit {ended.status}, {ended.seconds:.1f} s, {ended.peak_mb} MB: {ended.last_line}"
    return Outcome(held, said if not ended.timed_out else f"ran past its limit: {ended.last_line}")


def went_on(ended: Ended, expected: str, found: str) -> Outcome:
    """Held where a command ended well, without traceback, and left the bytes of an unbroken run."""
    held = ended.status == 0 and not ended.tracebacks and expected == found
    words = "same weights" if expected == found else "DIFFERENT weights"
    return Outcome(held, f"exit {ended.status}, {ended.tracebacks} tracebacks, {words}, {ended.seconds:.0f} s: "
                         f"{ended.last_line}")
