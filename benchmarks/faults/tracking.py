"""MLflow's store fails while a model is trained or judged, or the workspace is not where the store says.

Held: the stage ends well, with the weights of an undisturbed run and one line about the trouble; when the trouble has
passed, `python -m stages.log_pending` brings the run with its curve and model.
"""

import functools
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.faults.case import Case, Ended, NotTried, Outcome, digest, python, running, went_on
from benchmarks.faults.small_disk import mounted, small_disk, unmounted_after

Trouble = Callable[[Path], AbstractContextManager[dict[str, str]]]  # yields environment variables for the stage
EXTRA_SECONDS = 90.0  # that trouble may cost: 30 for a call, on a busy machine
URI = "MLFLOW_TRACKING_URI"
ASKED = """
import json, pathlib
from stages.tracking.store import connect
client = connect(pathlib.Path.cwd())
experiment = client.get_experiment_by_name("reanchor").experiment_id
runs = client.search_runs([experiment], "tags.`reanchor.model` = 'prompts'")
print(json.dumps([[run.info.status, len(client.get_metric_history(run.info.run_id, "loss")),
                   len(client.search_logged_models([experiment], f"source_run_id = '{run.info.run_id}'")),
                   run.info.artifact_uri] for run in runs]))
"""


def _case(name: str, trouble: Trouble) -> Case:
    return Case("tracking", name, lambda folder: _disturbed(folder, trouble))


def _disturbed(folder: Path, trouble: Trouble) -> Outcome:
    """Train in trouble, then log what was kept."""
    expected, seconds = _undisturbed(folder)
    with trouble(folder) as variables:
        ended = python(folder, "-m", "stages.train", "prompts", **variables)
    outcome = went_on(ended, expected, _weights(folder))
    if not outcome.held:
        return outcome
    if ended.seconds > seconds + EXTRA_SECONDS or len(_said(ended)) != 1:
        return Outcome(False, f"{ended.seconds:.0f} s, {len(_said(ended))} lines: {_said(ended)}")
    later = python(folder, "-m", "stages.log_pending")
    logged = _logged(folder)
    held = later.status == 0 and len(logged) == 1 and _whole(folder, logged[0])
    return Outcome(held, f"{ended.seconds - seconds:+.0f} s; {_said(ended)[0].partition('; ')[0]}; later: {logged}")


@functools.cache
def _reference() -> dict:
    return {}


def _undisturbed(folder: Path) -> tuple[str, float]:
    """(weights, seconds) of a run without trouble, made once."""
    known = _reference()
    if not known:
        beside = shutil.copytree(folder, folder.with_name("undisturbed"), symlinks=True)
        ended = python(beside, "-m", "stages.train", "prompts")
        assert ended.status == 0, ended.output
        known["made"] = _weights(beside), ended.seconds
        shutil.rmtree(beside)
    return known["made"]


def _weights(folder: Path) -> str:
    return digest(*sorted((folder / "models/prompts").glob("*.safetensors")))


def _said(ended: Ended) -> list[str]:
    """Lines about trouble; that a copy's addresses were mended is none."""
    lines = [line for line in ended.output.splitlines() if line.startswith("tracking: ")]
    return [line for line in lines if "now name this workspace" not in line]


def _logged(folder: Path, **variables: str) -> list:
    """[[status, points of the curve, models, address of its files]] of the runs of `prompts`."""
    return json.loads(python(folder, "-c", ASKED, **variables).last_line)


def _whole(folder: Path, run: list) -> bool:
    status, points, models, address = run
    return status == "FINISHED" and points > 1 and models == 1 and address.startswith(folder.as_uri())


@contextmanager
def _holder(folder: Path, seconds: float) -> Iterator[dict[str, str]]:
    """Another process holds the database."""
    script = ("import pathlib, sqlite3, time\nheld = sqlite3.connect('mlruns/mlflow.db', isolation_level=None)\n"
              f"held.execute('BEGIN EXCLUSIVE'); pathlib.Path('is-held').touch(); time.sleep({seconds})")
    with running(folder, "-c", script) as other:
        while not (folder / "is-held").exists() and other.poll() is None:
            time.sleep(0.02)
        yield {}


@contextmanager
def _held_in_the_middle(folder: Path) -> Iterator[dict[str, str]]:
    """The database is locked as soon as the run has begun."""
    watched = sqlite3.connect(folder / "mlruns/mlflow.db", isolation_level=None, check_same_thread=False, timeout=30)
    done = threading.Event()

    def lock() -> None:
        while not done.wait(0.02):
            if watched.execute("SELECT 1 FROM runs WHERE name = 'prompts' AND status = 'RUNNING'").fetchone():
                watched.execute("BEGIN EXCLUSIVE")
                return

    thread = threading.Thread(target=lock)
    thread.start()
    try:
        yield {}
    finally:
        done.set()
        thread.join()
        watched.close()


@contextmanager
def _bytes(folder: Path, made: Callable[[bytes], bytes]) -> Iterator[dict[str, str]]:
    """The database holds something else."""
    database = folder / "mlruns/mlflow.db"
    whole = database.read_bytes()
    database.write_bytes(made(whole))
    yield {}
    database.write_bytes(whole)


@contextmanager
def _server(folder: Path, kind: str) -> Iterator[dict[str, str]]:
    """A server that is not there, never answers, or always answers 500."""
    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        do_POST = do_GET

        def log_message(self, *arguments: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    if kind == "failing":
        threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    if kind == "dead":
        server.server_close()
    try:
        yield {URI: f"http://127.0.0.1:{port}"}
    finally:
        if kind == "failing":
            server.shutdown()
        server.server_close()


@contextmanager
def _read_only(folder: Path) -> Iterator[dict[str, str]]:
    """Nothing can be written below mlruns; without the right to mount, a file stands in its place."""
    place, aside = folder / "mlruns", folder / "aside"
    if mounted(place, "mount", "--bind", place):
        with unmounted_after(place):
            if not mounted(place, "mount", "-o", "remount,ro,bind"):
                raise NotTried("a mount cannot be made read-only here")
            yield {}
    else:
        place.rename(aside)
        place.touch()
        yield {}
        place.unlink()
        aside.rename(place)


@contextmanager
def _full(folder: Path) -> Iterator[dict[str, str]]:
    """mlruns lies on a disk that is full but for some 40 KB."""
    place, aside = folder / "mlruns", folder / "aside"
    size = sum(file.stat().st_size // 4096 + 1 for file in place.rglob("*")) * 4096 + 40960
    place.rename(aside)
    place.mkdir()
    with small_disk(place, size):
        shutil.copytree(aside, place, dirs_exist_ok=True)
        yield {}
        shutil.rmtree(aside)
        shutil.copytree(place, aside)
    place.rmdir()
    aside.rename(place)


def _emptied(folder: Path) -> Outcome:
    """A database of no bytes is a new one."""
    expected, _ = _undisturbed(folder)
    (folder / "mlruns/mlflow.db").write_bytes(b"")
    ended = python(folder, "-m", "stages.train", "prompts")
    outcome, logged = went_on(ended, expected, _weights(folder)), _logged(folder)
    return Outcome(outcome.held and not _said(ended) and len(logged) == 1 and _whole(folder, logged[0]), outcome.said)


def _judged(folder: Path) -> Outcome:
    """`evaluate` of the backbone under a held lock: its figures come to a run later."""
    composed = python(folder, "-m", "stages.compose", "profile=smoke", "method=zero_shot")
    with _holder(folder, 600):
        ended = python(folder, "-m", "stages.evaluate")
    later = python(folder, "-m", "stages.log_pending")
    figures = (folder / "reports/evaluate/metrics.json").is_file() and composed.status == 0
    held = ended.status == later.status == 0 and not ended.tracebacks and figures and len(_said(ended)) == 1
    held = held and "logged" in later.last_line
    return Outcome(held, f"exit {ended.status}, {ended.seconds:.0f} s; {ended.last_line}; {later.last_line}")


def _elsewhere(folder: Path, name: str, gone: bool) -> Outcome:
    """Train, move or copy the workspace, train again: both models lie in the new place, the old one is as it was."""
    expected, _ = _undisturbed(folder)
    first = python(folder, "-m", "stages.train", "prompts")
    place = folder.with_name(f"{folder.name} {name}")
    shutil.copytree(folder, place, symlinks=True)
    if gone:
        shutil.rmtree(folder)
        folder.touch()  # nor can it be made again
    before = _tree(folder)
    try:
        ended = python(place, "-m", "stages.train", "prompts")
        outcome = went_on(ended, expected, _weights(place))
        logged = _logged(place)
        same = _tree(folder) == before
        held = outcome.held and first.status == 0 and not _said(ended) and same
        held = held and len(logged) == 2 and all(_whole(place, run) for run in logged)
        return Outcome(held, f"{outcome.said}; {len(logged)} runs here; the old place is as it was: {same}")
    finally:
        shutil.rmtree(place)
        folder.unlink() if gone else None


def _tree(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(file), file.stat().st_mtime_ns) for file in folder.rglob("*") if "__pycache__" not in file.parts)


CASES = [
    _case("database held for a minute", lambda folder: _holder(folder, 60)),
    _case("database held throughout", lambda folder: _holder(folder, 600)),
    _case("database held from the middle on", _held_in_the_middle),
    _case("server is down", lambda folder: _server(folder, "dead")),
    _case("server never answers", lambda folder: _server(folder, "silent")),
    _case("server answers 500", lambda folder: _server(folder, "failing")),
    _case("database of random bytes", lambda folder: _bytes(folder, lambda whole: bytes(range(256)) * 100)),
    _case("database cut off", lambda folder: _bytes(folder, lambda whole: whole[:len(whole) // 2])),
    _case("database is a text", lambda folder: _bytes(folder, lambda whole: b"a letter to a friend\n" * 200)),
    Case("tracking", "database of no bytes", _emptied),
    _case("mlruns is read-only", _read_only),
    _case("mlruns lies on a full disk", _full),
    Case("tracking", "database held while models are judged", _judged),
    Case("tracking", "workspace is a copy", lambda folder: _elsewhere(folder, "copy", gone=False)),
    Case("tracking", "workspace was moved, the old place is gone", lambda folder: _elsewhere(folder, "new", gone=True)),
    Case("tracking", "workspace has a ? in its path", lambda folder: _elsewhere(folder, "what? #1", gone=True)),
]
