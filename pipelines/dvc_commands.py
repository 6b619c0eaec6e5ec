"""DVC as seen by a flow: its graph, one stage's reproduction, experiments."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BUSY = re.compile(r"Unable to acquire lock|is busy, it is being blocked by")
RAN = re.compile(r"^Running stage ")


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
    """Run a command of this environment, its lines streamed to `log`; return them."""
    lines: list[str] = []
    with subprocess.Popen(command, cwd=workspace, env=_environment(variables), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        try:
            for line in _lines(process):
                lines.append(line)
                log(line)
        except BaseException:  # a cancelled flow must not leave its training behind
            process.terminate()
            raise
    if process.returncode:
        _raise(lines, command)
    return lines


def _raise(lines: list[str], command: list[str]) -> None:
    said = " | ".join(lines[-3:])
    if any(BUSY.search(line) for line in lines):
        raise WorkspaceBusy("another dvc process is at work in this workspace (a `dvc repro` in a terminal, "
                            f"or a second flow); let it end, then run the flow again. DVC said: {said}")
    raise DvcFailed(f"`{' '.join(command[2:])}` failed: {said}")


def _lines(process: subprocess.Popen) -> Iterator[str]:
    for line in process.stdout:
        text = line.rstrip("\n").rpartition("\r")[2].rstrip()  # of a progress bar, its last state
        if text:
            yield text


def _environment(variables: dict[str, str] | None) -> dict[str, str]:
    """This process's variables, with the running interpreter's folder first: stages call plain `python`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1", **(variables or {})}
