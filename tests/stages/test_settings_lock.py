"""params.yaml belongs to one run at a time."""

import json
import os
import subprocess
import sys

import pytest
from flow_project import ENVIRONMENT, training_project

from stages.compose import write_settings
from stages.settings_lock import LOCK, SettingsHeld, settings_lock, unread_settings

pytestmark = pytest.mark.slow

HOLD = """
import sys, time
from pathlib import Path
from stages.settings_lock import settings_lock
with settings_lock(Path.cwd()):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return training_project(tmp_path_factory.mktemp("settings"))


@pytest.fixture
def holder(workspace):
    """Another process that owns the settings."""
    with subprocess.Popen([sys.executable, "-c", HOLD, "profile=x"], cwd=workspace, env=ENVIRONMENT, text=True,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_compose_is_refused_while_another_run_owns_the_settings(workspace, holder, monkeypatch, capsys):
    from stages import compose

    monkeypatch.chdir(workspace)
    before = (workspace / "params.yaml").read_text()
    assert compose.main(["saga.seed=7"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"compose: params.yaml: process {holder.pid} (-c profile=x) is at work")
    assert "let it end" in said and said.count("\n") == 1 and (workspace / "params.yaml").read_text() == before
    assert compose.main([]) == 0  # nothing would change
    holder.kill()
    holder.wait()
    assert compose.main(["saga.seed=7"]) == 0 and "seed: 7" in (workspace / "params.yaml").read_text()
    assert compose.main([]) == 0
    assert (workspace / LOCK).read_text() == ""


def test_the_owner_may_compose_and_frees_the_settings_after_an_error(workspace):
    with pytest.raises(ZeroDivisionError), settings_lock(workspace):
        assert write_settings(workspace, ["saga.seed=3"])
        with settings_lock(workspace):
            pass
        held = subprocess.run([sys.executable, "-m", "stages.compose"], cwd=workspace, env=ENVIRONMENT, text=True,
                              capture_output=True)
        assert held.returncode == 2 and str(os.getpid()) in held.stderr  # the inner context has not freed them
        raise ZeroDivisionError
    assert write_settings(workspace, [])


def test_settings_are_not_changed_under_a_stage(workspace):
    """DVC would note the new ones for what the stage made with the old."""
    (workspace / "stage.pid").unlink(missing_ok=True)
    with subprocess.Popen([sys.executable, "-m", "dvc", "repro"], cwd=workspace, env=ENVIRONMENT,
                          stdout=subprocess.DEVNULL, start_new_session=True) as repro:
        try:
            while not (workspace / "stage.pid").is_file():
                assert repro.poll() is None
            with pytest.raises(SettingsHeld, match=rf"process {repro.pid} \(.*dvc.* repro\) is at work"):
                write_settings(workspace, ["saga.seed=8"])
        finally:
            os.killpg(repro.pid, 9)
    assert (workspace / "params.yaml").read_text() == "saga:\n  seed: 1\n"
    assert write_settings(workspace, ["saga.seed=8"])  # DVC's note of the dead process does not count
    assert write_settings(workspace, [])


def test_a_killed_dvcs_number_that_another_process_has_now_is_no_dvc(workspace):
    rwlock = workspace / ".dvc/tmp/rwlock"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "dvc.yaml"]) as other:
        notes = [{"pid": pid, "cmd": "dvc repro"} for pid in (os.getpid(), other.pid)]
        rwlock.write_text(json.dumps({"read": {"training.py": notes}, "write": {"trained.txt": notes[1]}}))
        try:
            with unread_settings(workspace):
                pass
        finally:
            rwlock.unlink()
            other.kill()


def test_a_dvc_between_two_stages_is_waited_for_or_named(workspace, monkeypatch):
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0)
    with unread_settings(workspace), pytest.raises(SettingsHeld, match="another dvc command is at work"):
        write_settings(workspace, ["saga.seed=9"])
    assert "seed: 1" in (workspace / "params.yaml").read_text()


def test_a_folder_without_dvc_has_nothing_to_protect(tmp_path):
    with settings_lock(tmp_path), unread_settings(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
