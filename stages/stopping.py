"""A stage that is told to stop: SIGTERM, SIGINT (Ctrl-C) and SIGHUP (its terminal has gone) become
`reanchor.interruption` requests."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

from reanchor.interruption import Interrupted, request

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ECHO_SECONDS = 1.0  # `timeout` and torchrun send to a process and to its group: the same request twice


@contextlib.contextmanager
def stop_requests() -> Iterator[None]:
    """Within, the first signal is a request; a later one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _Handler()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, earlier in before.items():
        if earlier is not signal.SIG_IGN:  # `nohup` and `command &` of a script mean it
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def end_stopped(label: str, told: Interrupted) -> NoReturn:
    """One line, and the exit status that shells give a process ended by this signal."""
    kept = f"; {told.kept} is kept: run it again to go on" if told.kept else "; run it again"
    with contextlib.suppress(OSError):  # whoever read it may have been stopped too
        print(f"{label}: {told}{kept}", file=sys.stderr, flush=True)
    sys.exit(128 + told.number)


class _Handler:
    def __init__(self):
        self.first: float | None = None

    def __call__(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if self.first is None:
            self.first = now
            request(number)
        elif now - self.first > ECHO_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
