"""Being told to stop: at once, or where work is in hand, as soon as that is safe.

    with held():                     # requests wait in here ...
        step()
        if number := waiting():      # ... until they are looked for
            save()
            raise Interrupted(number, "a checkpoint")
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupted(BaseException):
    """The process was told to stop by the signal `number`; `kept` names what a later run goes on from.

    No `Exception`: no handler of failures is meant.
    """

    def __init__(self, number: int, kept: str | None = None):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number, self.kept = number, kept


class _Requests:
    held = False
    waiting = 0


def request(number: int) -> None:
    """Ask for a stop, as a signal's handler does.

    Raises:
        Interrupted: outside of `held`.
    """
    if not _Requests.held:
        raise Interrupted(number)
    _Requests.waiting = number


def waiting() -> int:
    """The signal of a request that waits, or 0."""
    return _Requests.waiting


@contextmanager
def held() -> Iterator[None]:
    """Within, requests wait; one that nobody looked for is raised at the end."""
    with _switched(True):
        yield
    _raise_waiting()


@contextmanager
def let_through() -> Iterator[None]:
    """Within `held`, a part in which requests are raised at once."""
    with _switched(False):
        _raise_waiting()
        yield


@contextmanager
def _switched(held: bool) -> Iterator[None]:
    before, _Requests.held = _Requests.held, held
    try:
        yield
    except BaseException:  # which ends the work too
        _Requests.waiting = 0
        raise
    finally:
        _Requests.held = before


def _raise_waiting() -> None:
    number, _Requests.waiting = _Requests.waiting, 0
    if number:
        raise Interrupted(number)
