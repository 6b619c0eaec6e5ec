"""Freed memory stays with the process while it trains, and goes back to the system afterwards."""

import ctypes
import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

MEASURE = """
import json
from pathlib import Path
from resource import getpagesize

import numpy as np

from reanchor.training.memory import freed_memory_kept

def left():  # MiB more than at first, once a large block and many of a size that glibc's heap holds are freed
    blocks = [np.ones(size << 20, np.uint8) for size in [256] + [24] * 10]
    del blocks
    return resident() - first

def left_below():  # the same of a block larger than all before, with another behind it if both are on the heap
    large, behind = np.ones(700 << 20, np.uint8), np.ones(1 << 20, np.uint8)
    del large
    return resident() - first

def resident():
    return (int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()) >> 20

first = resident()
found = {"before": left()}
with freed_memory_kept():
    found["within"] = left()
found["given back"] = resident() - first
found["afterwards"] = max(left(), left_below())
try:
    with freed_memory_kept():
        left()
        raise ValueError
except ValueError:
    found["after an error"] = resident() - first
print(json.dumps(found))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")
def test_freed_memory_is_kept_within_and_given_back_afterwards():
    run = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)  # of a heap that no other test has used
    assert found.pop("within") > 400, found
    assert max(found.values()) < 100, found
