"""Worker processes: what they compute, and that a Ctrl-C or an error ends them without a word."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from places import ROOT

from reanchor.workers import ending

pytestmark = pytest.mark.slow

WORK = """
    import os, time
    from pathlib import Path

    def prepare(value):
        global VALUE
        VALUE = value

    def work(number):
        if VALUE == "slow":
            Path(f"busy-{os.getpid()}").touch()
            time.sleep(60)
        return number * number, VALUE
"""
MAIN = """
    import sys
    from reanchor.interruption import Interrupted
    from reanchor.workers import Processes, ending
    from stages.runner import run_stage
    from work import prepare, work

    def body(run):
        with ending(Processes(2, prepare, (sys.argv[1],))) as pool:
            print(*(each for each in pool.map(work, range(3))))
        return {}

    if __name__ == "__main__":
        run_stage("prepare", body)
"""


def start(folder: Path, how: str) -> subprocess.Popen:
    (folder / "params.yaml").write_text("{}\n")
    for name, text in (("work.py", WORK), ("main.py", MAIN)):
        (folder / name).write_text(textwrap.dedent(text))
    return subprocess.Popen([sys.executable, "main.py", how], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_workers_are_prepared_and_their_results_come_in_order(tmp_path):
    said, errors = start(tmp_path, "quick").communicate(timeout=60)
    assert "(0, 'quick') (1, 'quick') (4, 'quick')" in said and errors == ""


@pytest.mark.parametrize("moment", ["busy-*", "work.py"])  # at work; while they start
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_is_one_line(tmp_path, moment, number):
    process = start(tmp_path, "slow")
    assert process.stdout.readline() == "[prepare] started\n"
    while not list(tmp_path.glob(moment)):
        time.sleep(0.01)
    os.killpg(process.pid, number)
    errors = process.communicate(timeout=50)[1]
    assert process.returncode == 128 + number and errors == f"prepare: stopped by {number.name}; run it again\n"


def test_an_error_cancels_what_has_not_begun():
    begun, go = [], threading.Event()

    def work(number):
        begun.append(number)
        go.wait(10)

    with pytest.raises(ZeroDivisionError), ending(ThreadPoolExecutor(1)) as pool:
        pool.map(work, range(5))
        while not begun:
            time.sleep(0.01)
        threading.Timer(0.05, go.set).start()
        raise ZeroDivisionError
    assert begun == [0]
