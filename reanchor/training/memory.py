"""Freed memory stays with the process while it trains.

A training step frees and asks for the same hundreds of megabytes again. glibc gives large blocks back to the system in
between, which then hands out every page anew, zeroed: a tenth of a small network's step on a CPU.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# mallopt(3)'s parameters
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
NEVER = -1  # as a threshold
LARGEST_THRESHOLD = 32 << 20  # where glibc's own adjustment ends; it trims at twice that
BLOCKS = 65536  # glibc's default of MMAP_MAX


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within, free memory is used again and not given back; at the end it is. Nothing happens without glibc.

    Not to be nested. Afterwards glibc's thresholds are fixed where its own adjustment would have taken them.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(TRIM_THRESHOLD, NEVER)
    libc.mallopt(MMAP_MAX, 0)
    try:
        yield
    finally:
        libc.mallopt(MMAP_MAX, BLOCKS)
        libc.mallopt(MMAP_THRESHOLD, LARGEST_THRESHOLD)
        libc.mallopt(TRIM_THRESHOLD, 2 * LARGEST_THRESHOLD)
        libc.malloc_trim(0)
