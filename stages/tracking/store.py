"""The one way to MLflow: every call has a bound in time, and after the first failure there are no more calls."""

import os
import queue
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from stages.tracking import moved
from stages.tracking.address import URI_VARIABLE, artifacts, database, home, is_own, tracking_uri
from stages.tracking.quiet import be_patient_and_quiet

WAIT_SECONDS = 30.0  # for one call; SQLite waits 20 for a lock, HTTP requests are tried four times
FIRST_SECONDS = 600.0  # for a new database: MLflow's migrations take seconds, on a busy machine a minute
LATER = "python -m stages.log_pending"
Answer = TypeVar("Answer")


class Unreachable(Exception):
    """MLflow cannot be reached, now and for the rest of this process; the message says why."""


class Store:
    """MLflow as one workspace's runs reach it."""

    def __init__(self, root: Path):
        self.root = root
        self.reason: str | None = None  # why it cannot be reached
        self._client: Any = None
        self._said = False

    def ask(self, question: Callable[[Any], Answer], seconds: float = WAIT_SECONDS) -> Answer:
        """`question(client)`, answered within `seconds`.

        Raises:
            Unreachable: it was not, or an earlier question was not.
        """
        if self.reason is not None:
            raise Unreachable(self.reason)
        try:
            _import_mlflow()  # takes its time, but waits for nobody
            if self._client is None:
                self._client = within(FIRST_SECONDS if _is_new(self.root) else seconds, lambda: connect(self.root))
            return within(seconds, lambda: question(self._client))
        except Exception as error:  # whatever it is, a training does not stop for it
            self.reason = _without_password(f"{_where(self.root)}: {plain(error)}")
            raise Unreachable(self.reason) from error

    def say(self, consequence: str) -> None:
        """One line on stderr about the trouble and what follows from it, once per process."""
        if not self._said:
            tell(f"{self.reason}; {consequence}")
        self._said = True


_stores: dict[tuple[Path, str | None], Store] = {}


def store_of(root: Path) -> Store:
    """The process's only store of a workspace: it remembers that MLflow could not be reached."""
    key = (home(root), None if is_own() else tracking_uri(root))
    return _stores.setdefault(key, Store(root))


def connect(root: Path) -> Any:
    """An MLflow client of the configured store, which also becomes MLflow's own default; raises what MLflow raises."""
    _import_mlflow()
    import mlflow

    uri = tracking_uri(root)
    if is_own():
        database(root).parent.mkdir(parents=True, exist_ok=True)
        if (old := moved.mend(database(root), artifacts(root))):
            tell(f"{database(root)}: addresses in {old} now name this workspace")
    given = os.environ.get(URI_VARIABLE)
    mlflow.set_tracking_uri(uri)
    if given is None:  # MLflow exports its choice, which would then look like the user's
        os.environ.pop(URI_VARIABLE, None)
    return mlflow.MlflowClient()


def within(seconds: float, work: Callable[[], Answer]) -> Answer:
    """`work()` in a thread of its own, which a hanging server keeps and the process does not wait for at its end.

    Raises:
        TimeoutError: no answer within `seconds`; else what `work` raises.
    """
    answers: queue.SimpleQueue = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((work(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, name="mlflow", daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds:.0f} s") from None
    if error is not None:
        raise error
    return answer


def plain(error: BaseException) -> str:
    """The first cause of an error in one line: MLflow wraps SQLite's and the network's in its own."""
    while cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = cause
    if isinstance(error, OSError) and error.strerror:
        place = error.filename2 or error.filename  # what could not be written, where something was copied
        return f"{place}: {error.strerror}" if place else error.strerror
    first = next(iter(str(error).strip().splitlines()), "")
    return " ".join(first.split()) or type(error).__name__


def tell(line: str) -> None:
    """One line on stderr."""
    print(f"tracking: {' '.join(line.split())}", file=sys.stderr, flush=True)


def _import_mlflow() -> None:
    import mlflow  # noqa: F401

    be_patient_and_quiet()


def _is_new(root: Path) -> bool:
    return is_own() and not (database(root).exists() and database(root).stat().st_size)


def _where(root: Path) -> str:
    return str(database(root)) if is_own() else tracking_uri(root)


def _without_password(text: str) -> str:
    """A password may hold "@" and "/", and MLflow's own messages repeat the address."""
    return re.sub(r"://(?!/)\S*@", "://", text)
