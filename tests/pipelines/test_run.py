"""`make run`: settings, check, stages and table as one unit."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from flow_project import ENVIRONMENT, training_project

from pipelines import run
from stages.settings_lock import LOCK

pytestmark = pytest.mark.slow

RUN = [sys.executable, "-m", "pipelines.run"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return training_project(tmp_path_factory.mktemp("run"))


def _started(workspace, *overrides: str) -> subprocess.Popen:
    """`make run` up to the middle of its training."""
    for name in ("stage.pid", "checkpoint"):
        (workspace / name).unlink(missing_ok=True)
    process = subprocess.Popen([*RUN, *overrides], cwd=workspace, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (workspace / "stage.pid").is_file():
        assert process.poll() is None and time.monotonic() < deadline, process.stdout.read()
        time.sleep(0.05)
    return process


def test_settings_are_owned_until_the_run_ends_and_sigterm_leaves_a_checkpoint(workspace, monkeypatch, capsys):
    process = _started(workspace, "saga.seed=2")
    monkeypatch.chdir(workspace)
    assert run.main(["saga.seed=3"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"run: params.yaml: process {process.pid} (python -m pipelines.run saga.seed=2) is at work")
    assert said.count("\n") == 1 and (workspace / "params.yaml").read_text() == "saga:\n  seed: 2\n"
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    assert (workspace / "checkpoint").exists() and (workspace / LOCK).is_file()


def test_an_interruption_from_the_terminal_ends_everything(workspace):
    process = _started(workspace, "saga.seed=4")
    os.killpg(process.pid, signal.SIGINT)  # the terminal's foreground group
    said = process.communicate(timeout=60)[0]
    assert process.returncode not in (0, None) and "pipelines/run.py" not in said
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.parametrize(("arguments", "settings", "said"), [
    (["saga.sed=1"], "saga:\n  seed: 1\n", "compose: conf: saga.sed=1: unknown key 'saga.sed'"),
    ([], "saga:\n  sed: 1\n", "check: params.yaml: saga.sed: unknown key"),
])
def test_wrong_settings_end_it_before_any_stage(workspace, monkeypatch, capsys, arguments, settings, said):
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(run, "_interruptible", lambda command: pytest.fail("a command was started"))
    (workspace / "params.yaml").write_text(settings)
    assert run.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_the_table_follows_a_study_that_ended_well_and_statuses_stay(workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    (workspace / "params.yaml").write_text("saga:\n  seed: 1\n")
    commands, statuses = [], [0, 5]
    monkeypatch.setattr(run, "_interruptible", lambda command: commands.append(command) or statuses[len(commands) - 1])
    assert run.main([]) == 5 and commands == [run.REPRODUCE, run.TABLE]
    commands, statuses = [], [3]
    assert run.main([]) == 3 and commands == [run.REPRODUCE]


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(9)", 9), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_a_step_keeps_its_status(code, status):
    assert _step(code).returncode == status


def _step(code: str, before: str = "") -> subprocess.CompletedProcess:
    """A step in a process of its own: what a killed one leaves is looked for among that process's descendants."""
    script = f"{before}\nimport sys\nfrom pipelines import run\nsys.exit(run._interruptible(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", script, sys.executable, "-c", code], env=ENVIRONMENT, text=True,
                          stdout=subprocess.PIPE, timeout=60)


def test_a_stage_does_not_outlive_a_killed_dvc(tmp_path):
    stage = f"import time; time.sleep(300)  # {tmp_path}"
    done = _step(f"import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', {stage!r}], "
                 "stdout=subprocess.DEVNULL); os.kill(os.getpid(), 9)")
    left = [process for process in psutil.process_iter(["cmdline"]) if stage in (process.info["cmdline"] or [])]
    for process in left:
        process.kill()
    assert done.returncode == 137 and not left


@pytest.mark.parametrize(("before", "ignored"), [("import signal; signal.signal(2, signal.SIG_IGN)", "True"),
                                                 ("import signal; signal.signal(2, signal.SIG_DFL)", "False")])
def test_an_interruption_that_is_ignored_in_the_background_stays_so(before, ignored):
    done = _step("import signal; print(signal.getsignal(2) == signal.SIG_IGN)", before)
    assert done.stdout.strip() == ignored
