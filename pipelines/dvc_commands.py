"""DVC as seen by a flow: its graph, one stage's reproduction, experiments."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.guard import guarded

BUSY = re.compile(r"Unable to acquire lock|is busy, it is being blocked by")
RAN = re.compile(r"^Running stage ")
_running: set[subprocess.Popen] = set()  # the guards of this process's commands
_stopping = threading.Event()


class DvcFailed(RuntimeError):
    """A DVC command ended with an error; the message is its last lines."""


class WorkspaceBusy(DvcFailed):
    """Another DVC process holds the workspace."""


def stage_graph(workspace: Path) -> dict[str, list[str]]:
    """Every stage of dvc.yaml with the stages it needs, in an order that respects the needs.

    The graph is DVC's own, so the flow can never disagree with `dvc dag`.
    """
    import networkx
    from dvc.repo import Repo

    with Repo(str(workspace)) as repo:
        graph = repo.index.graph  # an edge leads from a stage to one that it needs
        order = networkx.lexicographical_topological_sort(graph.reverse(), key=_name)
        return {_name(stage): sorted(_name(need) for need in graph.successors(stage)) for stage in order}


def _name(stage: Any) -> str:
    """The name that `dvc repro` takes in the repository's root (`addressing` is relative to where we are)."""
    return stage.name if stage.path_in_repo == "dvc.yaml" else f"{stage.path_in_repo}:{stage.name}"


def reproduce(workspace: Path, stage: str, log: Callable[[str], None]) -> bool:
    """Bring one stage up to date, passing every output line to `log`; False when DVC had nothing to run.

    Raises:
        WorkspaceBusy: another `dvc` works on the same files.
        DvcFailed: the stage failed.
    """
    return any(RAN.match(line) for line in dvc(workspace, log, "--wait-for-lock", "repro", "-s", stage))


def dvc(workspace: Path, log: Callable[[str], None], *arguments: str,
        variables: dict[str, str] | None = None) -> list[str]:
    """Run `dvc` with `arguments` in `workspace`; return its output lines.

    Raises:
        WorkspaceBusy, DvcFailed: as in `reproduce`.
    """
    return run_command(workspace, log, [sys.executable, "-m", "dvc", *arguments], variables)


def run_command(workspace: Path, log: Callable[[str], None], command: list[str],
                variables: dict[str, str] | None = None) -> list[str]:
    """Run a command of this environment, its lines streamed to `log`; return them.

    It ends with this process, even when that is killed (`guard.py`), and with `commands_end_here`.
    """
    lines: list[str] = []
    with subprocess.Popen(guarded(command), cwd=workspace, env=environment(variables), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          start_new_session=True) as process:
        _running.add(process)
        try:
            if _stopping.is_set():
                process.stdin.close()
            for line in _lines(process):
                lines.append(line)
                log(line)
        finally:
            process.stdin.close()  # after an error of ours, the command must not go on either
            process.wait()
            _running.discard(process)
    if process.returncode:
        _raise(lines, command)
    return lines


@contextmanager
def commands_end_here() -> Iterator[None]:
    """When this context is left by an exception (a cancelled flow), the commands that other threads run inside it have
    ended too, with their checkpoints written."""
    _stopping.clear()
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):  # a signal: this process ends, and a retry must not start once more
            _stopping.set()
        for process in list(_running):
            process.stdin.close()
        for process in list(_running):
            process.wait()
        raise


def _raise(lines: list[str], command: list[str]) -> None:
    said = " | ".join(lines[-3:])
    if _stopping.is_set():
        raise DvcFailed(f"`{' '.join(command[2:])}` was cancelled")
    if any(BUSY.search(line) for line in lines):
        raise WorkspaceBusy("another dvc process is at work in this workspace (a `dvc repro` in a terminal, "
                            f"or a second flow); let it end, then run the flow again. DVC said: {said}")
    raise DvcFailed(f"`{' '.join(command[2:])}` failed: {said}")


def _lines(process: subprocess.Popen) -> Iterator[str]:
    for line in process.stdout:
        text = line.rstrip("\n").rpartition("\r")[2].rstrip()  # of a progress bar, its last state
        if text:
            yield text


def environment(variables: dict[str, str] | None = None) -> dict[str, str]:
    """This process's variables, with the running interpreter's folder first: stages call plain `python`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1", **(variables or {})}
