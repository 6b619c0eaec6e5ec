"""The benchmark of faults counts what it tried, and leaves nothing at work or mounted."""

import contextlib
import signal
import subprocess
import time

import psutil
import pytest

from benchmarks.faults import __main__ as faults
from benchmarks.faults import small_disk
from benchmarks.faults.case import Case, NotTried, Outcome, running

pytestmark = pytest.mark.slow


def _raises(error: Exception):
    def run(folder):
        raise error
    return run


@pytest.mark.parametrize(("runs", "status", "said"), [
    ([lambda folder: Outcome(True, ""), _raises(NotTried("no right"))], 0, "1 of 2 held, 1 not tried"),
    ([lambda folder: Outcome(False, ""), _raises(NotTried("no right"))], 1, "0 of 2 held, 1 not tried"),
    ([lambda folder: Outcome(True, ""), _raises(ValueError("defect"))], 1, "1 of 2 held"),
])
def test_what_was_not_tried_has_neither_held_nor_failed(monkeypatch, capsys, runs, status, said):
    for name in ("make", "copy"):
        monkeypatch.setattr(faults.workshop, name, lambda *folders: folders[-1])
    assert faults._run([Case("topic", "name", run) for run in runs]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == said
    assert any(line.startswith("not tried") and line.endswith("no right") for line in lines) == ("not tried" in said)


def test_a_small_disk_without_the_right_to_mount_is_not_tried(monkeypatch, tmp_path):
    monkeypatch.setattr(small_disk, "mounted", lambda place, *command: False)
    with pytest.raises(NotTried, match="mounting is not allowed"), small_disk.small_disk(tmp_path, 4096):
        pytest.fail("it was mounted")


def test_a_small_disk_is_unmounted_after_an_interruption(monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, **how: commands.append(command[0]) or
                        subprocess.CompletedProcess(command, 0))
    with pytest.raises(KeyboardInterrupt), small_disk.small_disk(tmp_path, 4096):
        raise KeyboardInterrupt
    assert commands == ["mount", "umount"]


def test_what_is_left_at_work_is_killed_with_its_group(tmp_path):
    code = "import os, time; child = os.fork(); child and print(child, flush=True); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt), running(tmp_path, "-c", code, stdout=subprocess.PIPE) as process:
        child = psutil.Process(int(process.stdout.readline()))
        raise KeyboardInterrupt
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    with contextlib.suppress(psutil.NoSuchProcess):
        while child.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.05)
