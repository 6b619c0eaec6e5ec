"""Runs whose settings change under them, that are cancelled, and that meet in one workspace."""

import functools
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.faults.case import Case, Ended, Outcome, digest, python, refused, running, went_on
from benchmarks.faults.workshop import SETTINGS

LONG = (*SETTINGS, "prompts.epochs=100")  # long enough to be disturbed
OTHER = (*SETTINGS, "prompts.epochs=100", "prompts.lr=0.0123")
WEIGHTS = "models/prompts/prompts.safetensors"
REPRODUCE = ("-m", "dvc", "repro", "-s", "prompts")
START = 900  # seconds until a stage trains: a flow with a passing server starts slowly
WAIT = 300
# What a flow does with one stage, without Prefect: its lock, a task in another thread, an end that is awaited.
FLOW = ("-c", """
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pipelines.dvc_commands import commands_end_here, reproduce
from pipelines.flow import ended_by_sigterm
from reanchor.errors import ReanchorError
from stages.settings_lock import settings_lock
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where this benchmark runs in the background
try:
    with ended_by_sigterm(), settings_lock(Path.cwd()), commands_end_here():
        ThreadPoolExecutor().submit(reproduce, Path.cwd(), "prompts", print).result()
except ReanchorError as error:
    raise SystemExit(f"flow: {error}")
""")


@functools.cache
def undisturbed(made: Path) -> str:
    """The weights of `prompts` in a copy of the workspace `made` that nobody disturbed."""
    with tempfile.TemporaryDirectory() as scratch:
        twin = shutil.copytree(made, Path(scratch) / "twin", symlinks=True)
        _compose(twin, *LONG)
        ended = python(twin, *REPRODUCE, limit=2 * WAIT)
        if ended.status:
            raise RuntimeError(ended.output[-1000:])
        return digest(twin / WEIGHTS)


def _whole(folder: Path) -> str:
    return undisturbed(folder.parent / "made")


def _compose(folder: Path, *settings: str) -> Ended:
    return python(folder, "-m", "stages.compose", *settings)


@contextmanager
def training(folder: Path, command: tuple[str, ...], said=subprocess.DEVNULL) -> Iterator[subprocess.Popen]:
    """`command` in the background, once the stage `prompts` has left a checkpoint, until this context is left."""
    with running(folder, *command, stdout=said) as process:
        if not _within(START, lambda: process.poll() is not None or any((folder / ".checkpoints").glob("prompts*"))):
            raise RuntimeError("no checkpoint appeared")
        if process.poll() is not None:
            raise RuntimeError(f"it ended by itself with status {process.returncode}")
        yield process


def _within(seconds: float, happened) -> bool:
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.05)
    return happened()


def _alive(folder: Path) -> list[str]:
    """Command lines of processes that work in `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder):
                found.append(" ".join(process.cmdline())[:60])
        except psutil.Error:
            continue
    return found


def composed_meanwhile(folder: Path, command: tuple[str, ...]) -> Outcome:
    """`stages.compose` is typed while a stage trains: refused, and the training is what it would have been."""
    whole = _whole(folder)
    _compose(folder, *LONG)
    with training(folder, command) as process:
        outcome = refused(_compose(folder, *OTHER))
        process.wait(2 * WAIT)
    same = digest(folder / WEIGHTS) == whole and "0.0123" not in (folder / "dvc.lock").read_text()
    return Outcome(outcome.held and process.returncode == 0 and same,
                   f"{'same weights' if same else 'DIFFERENT weights'}; {outcome.said}")


def cancelled(folder: Path, number: signal.Signals) -> Outcome:
    """A flow gets a signal: nothing stays at work, a checkpoint stays, and the next run ends as an undisturbed one."""
    whole = _whole(folder)
    _compose(folder, *LONG)
    with training(folder, FLOW) as process:
        process.send_signal(number)
        _within(60, lambda: process.poll() is not None)
    seconds = time.monotonic()
    _within(40, lambda: not _alive(folder))
    left, seconds = _alive(folder), time.monotonic() - seconds
    kept = any((folder / ".checkpoints").glob("prompts*"))
    ended = python(folder, *REPRODUCE, limit=2 * WAIT)
    outcome = went_on(ended, whole, digest(folder / WEIGHTS) if ended.status == 0 else "none")
    said = f"{len(left)} processes left after {seconds:.0f} s, {'a' if kept else 'NO'} checkpoint; {outcome.said}"
    return Outcome(outcome.held and not left and kept, said)


def second_run(folder: Path) -> Outcome:
    """`make run` with other settings while a flow trains: refused in one line, and the first is not mixed with it."""
    whole = _whole(folder)
    _compose(folder, *LONG)
    with training(folder, FLOW) as process:
        outcome = refused(python(folder, "-m", "pipelines.run", *OTHER))
        also = refused(python(folder, *FLOW))
        process.wait(2 * WAIT)
    same = digest(folder / WEIGHTS) == whole
    return Outcome(outcome.held and also.held and same,
                   f"{'same weights' if same else 'DIFFERENT weights'}; {outcome.said}; {also.said}")


def edited_by_hand(folder: Path) -> Outcome:
    """params.yaml is edited while a Prefect flow trains: the flow fails in one line, and DVC does not note the edit."""
    _compose(folder, *LONG)
    with tempfile.TemporaryFile() as said:
        began = time.monotonic()
        with training(folder, ("-m", "pipelines.flow"), said) as process:
            params = folder / "params.yaml"
            params.write_text(params.read_text().replace("epochs: 100\n", "epochs: 101\n"))
            process.wait(2 * WAIT)
        said.seek(0)
        ended = Ended(process.returncode, said.read().decode(errors="replace"), time.monotonic() - began, 0, False)
    outcome = refused(ended)
    believed = "epochs: 101" in (folder / "dvc.lock").read_text()
    named = "params.yaml" in ended.output.splitlines()[-1]
    return Outcome(outcome.held and named and not believed,
                   f"{'the edit was BELIEVED' if believed else 'not believed'}; {outcome.said}")


CASES = [
    Case("flows", "compose while dvc repro trains", lambda folder: composed_meanwhile(folder, REPRODUCE)),
    Case("flows", "compose while a flow trains", lambda folder: composed_meanwhile(folder, FLOW)),
    Case("flows", "params.yaml edited while a flow trains", edited_by_hand),
    Case("flows", "make run and a second flow beside a flow", second_run),
    *(Case("flows", f"a flow ended by {number.name}", functools.partial(cancelled, number=number))
      for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)),
]
