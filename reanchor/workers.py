"""Processes and threads that end with the work they were started for, and quietly.

Processes are spawned: a fork of one that has threads (a training library's) may hang.
"""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker


class Processes(ProcessPoolExecutor):
    """A pool whose processes a Ctrl-C ends without a word; only their parent speaks.

    Args:
        prepare, arguments: called in each process before its first task.
    """

    def __init__(self, count: int, prepare: Callable | None = None, arguments: tuple = ()):
        super().__init__(count, get_context("spawn"), _begin, (prepare, arguments))
        resource_tracker.ensure_running()  # its start would unblock what `submit` blocks

    def submit(self, work: Callable, /, *arguments, **named) -> Future:
        """As the base's, which starts a process for it if none is free; one that starts hears no signal yet."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(work, *arguments, **named)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ending(pool: Executor) -> Iterator[Executor]:
    """`pool`; an exception in the block cancels the tasks that have not begun."""
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(prepare: Callable | None, arguments: tuple) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler prints a traceback
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if prepare is not None:
        prepare(*arguments)
