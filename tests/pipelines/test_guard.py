"""A flow that ends, however it ends, leaves no training behind, and its training leaves a checkpoint."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from flow_project import ENVIRONMENT, training_project

from pipelines.guard import guarded

pytestmark = pytest.mark.slow

FLOW = """
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pipelines.dvc_commands import DvcFailed, commands_end_here, reproduce
def work():
    try:
        reproduce(Path.cwd(), "train", lambda line: None)
    except DvcFailed as error:
        os.write(1, f"{error}\\n".encode())  # whole, whatever the other thread writes
def leave(number, frame):
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, leave)
try:
    with commands_end_here():
        ThreadPoolExecutor().submit(work).result()  # in another thread, as Prefect runs a task
except KeyboardInterrupt:
    os.write(1, f"left {Path('checkpoint').exists()}\\n".encode())
"""
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "child"], start_new_session=True)
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return training_project(tmp_path_factory.mktemp("guarded"))


def _appears(file: Path) -> bool:
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return file.exists()


def _at_work(folder: Path) -> list[psutil.Process]:
    """Processes whose current folder is `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_a_flow_started_ends_with_it_and_saves(workspace, number):
    for name in ("stage.pid", "checkpoint", "trained.txt"):
        (workspace / name).unlink(missing_ok=True)
    (workspace / "params.yaml").write_text(f"saga:\n  seed: {int(number)}\n")  # DVC remembers what it has run
    with subprocess.Popen([sys.executable, "-c", FLOW], cwd=workspace, env=ENVIRONMENT, text=True,
                          stdout=subprocess.PIPE, start_new_session=True) as flow:
        assert _appears(workspace / "stage.pid")
        flow.send_signal(number)
        said = flow.communicate(timeout=60)[0]
    if number != signal.SIGKILL:
        assert "left True\n" in said and "was cancelled\n" in said  # not before the checkpoint
    assert _appears(workspace / "checkpoint")
    _, left = psutil.wait_procs(_at_work(workspace), timeout=20)
    assert not left, f"left behind: {[process.cmdline() for process in left]}"
    rwlock = (workspace / ".dvc/tmp/rwlock").read_text()
    assert "train" not in rwlock and "pid" not in rwlock, "DVC went before it had freed its locks"
    done = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=workspace, env=ENVIRONMENT, text=True,
                          capture_output=True)
    assert done.returncode == 0 and (workspace / "trained.txt").exists(), done.stderr
    assert "killed" not in done.stdout + done.stderr


def test_what_does_not_listen_is_killed_with_its_children_in_other_sessions(tmp_path):
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    with subprocess.Popen(guarded([sys.executable, "stubborn.py"], grace=0.5), cwd=tmp_path, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as guard:
        pids = [int(guard.stdout.readline()) for _ in range(2)]
        guard.stdin.close()
        assert guard.wait(20) == 128 + signal.SIGKILL
    assert not any(_lives(pid) for pid in pids)


def test_a_stage_does_not_outlive_a_killed_dvc(tmp_path):
    code = ("import os, subprocess, sys; "
            "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True); "
            "os.kill(os.getpid(), 9)")
    with subprocess.Popen(guarded([sys.executable, "-c", code]), cwd=tmp_path, text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as guard:
        pid = int(guard.stdout.readline())
        assert guard.wait(20) == 128 + signal.SIGKILL
    assert not _lives(pid)


def test_a_terminated_guard_takes_its_command_along(tmp_path):
    with subprocess.Popen(guarded([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); "
                                                         "time.sleep(60)"]), cwd=tmp_path, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as guard:
        pid = int(guard.stdout.readline())
        guard.terminate()
        assert guard.wait(20) == 128 + signal.SIGTERM
    assert not _lives(pid)


# A guard that is disturbed before it watches its command.
DISTURBED = """
import os, signal, subprocess, sys
from pipelines import guard
def refused(pid):
    raise OSError(38, "Function not implemented")
def terminated(*given, **named):
    made = started(*given, **named)
    signal.raise_signal(signal.SIGTERM)
    return made
started = subprocess.Popen if sys.argv[1] == "Popen" else os.pidfd_open
if sys.argv[1] == "Popen":
    subprocess.Popen = terminated
else:
    os.pidfd_open = {"terminated": terminated, "refused": refused}[sys.argv[1]]
sys.exit(guard.main(sys.argv[2:], 5))
"""
SLEEPER = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(60)"


def _disturbed(how: str, code: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", DISTURBED, how, sys.executable, "-c", code], env=ENVIRONMENT,
                            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_guard_watches_where_the_kernel_has_no_descriptors_of_processes():
    with _disturbed("refused", SLEEPER) as guard:
        pid = int(guard.stdout.readline())
        guard.stdin.close()
        assert guard.wait(20) == 128 + signal.SIGTERM
    assert not _lives(pid)
    with _disturbed("refused", "raise SystemExit(7)") as guard:
        assert guard.wait(20) == 7


@pytest.mark.parametrize("how", ["Popen", "terminated"])
def test_a_guard_that_is_terminated_before_it_watches_takes_its_command_along(tmp_path, how):
    mark = f"{SLEEPER}  # {tmp_path}"
    with _disturbed(how, mark) as guard:
        assert guard.wait(20) == 128 + signal.SIGTERM
    left = [process for process in psutil.process_iter(["cmdline"]) if mark in (process.info["cmdline"] or [])]
    for process in left:
        process.kill()
    assert not left


@pytest.mark.parametrize(("code", "status"), [("pass", 0), ("raise SystemExit(7)", 7),
                                              ("import os; os.kill(os.getpid(), 6)", 134)])
def test_a_guard_ends_as_its_command_ends(code, status):
    with subprocess.Popen(guarded([sys.executable, "-c", code]), stdin=subprocess.PIPE) as guard:
        assert guard.wait(60) == status


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_command_that_is_left_by_an_error_of_ours_has_ended(workspace):
    from pipelines.dvc_commands import run_command

    said = []

    def log(line):
        said.append(int(line))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(workspace, log, [sys.executable, "-c", "import os, time; print(os.getpid()); time.sleep(60)"])
    assert not _lives(said[0])


def test_no_command_starts_after_a_flow_was_cancelled(workspace):
    """A task that waits to try again in another thread."""
    from pipelines.dvc_commands import DvcFailed, commands_end_here, run_command

    with pytest.raises(KeyboardInterrupt), commands_end_here():
        raise KeyboardInterrupt
    command = [sys.executable, "-c", "import time; time.sleep(30)"]
    with pytest.raises(DvcFailed, match="was cancelled"):
        run_command(workspace, print, command)
    with commands_end_here():
        run_command(workspace, print, [sys.executable, "-c", "pass"])
    with pytest.raises(ZeroDivisionError), commands_end_here():
        raise ZeroDivisionError
    assert run_command(workspace, print, [sys.executable, "-c", f"print({os.getpid()})"]) == [str(os.getpid())]
