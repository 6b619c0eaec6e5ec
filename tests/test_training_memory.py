"""Freed memory stays with the process while it trains, and goes back to the system afterwards."""

import ctypes
import gc
from pathlib import Path
from resource import getpagesize

import pytest
import torch

from reanchor.training.memory import freed_memory_kept

MIB = 1 << 20


def resident() -> int:
    """MiB of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize() // MIB


def use_and_free() -> None:
    """One large block and many that glibc takes from its heap."""
    large = torch.ones(256 * MIB, dtype=torch.uint8)
    del large
    many = [torch.ones(24 * MIB, dtype=torch.uint8) for _ in range(10)]
    del many


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")
def test_freed_memory_is_kept_within_and_given_back_afterwards():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what earlier tests left free
    before = resident()
    use_and_free()
    assert resident() < before + 64  # glibc's own way with a block of this size
    with freed_memory_kept():
        use_and_free()
        assert resident() > before + 192
    assert resident() < before + 64
    use_and_free()
    assert resident() < before + 64
    with pytest.raises(ValueError), freed_memory_kept():
        use_and_free()
        raise ValueError
    assert resident() < before + 64
