"""Where to compute, and how precisely."""

from pathlib import Path

import torch

from reanchor.errors import ReanchorError


def choose_device(wanted: str) -> str:
    """"auto" is the first GPU, or the CPU where there is none.

    Raises:
        ReanchorError: when a GPU is asked for that is not there.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = wanted.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise ReanchorError(f"runtime.device: got '{wanted}', allowed are auto, cpu, cuda and cuda:N")
    count = torch.cuda.device_count()
    if kind == "cuda" and int(number or 0) >= count:
        raise ReanchorError(f"runtime.device: got '{wanted}', but this machine has {count} GPUs; use auto or cpu")
    return wanted


def uses_bf16(precision: str, device: str) -> bool:
    """Whether `precision` (fp32, bf16 or auto) means bf16 autocast on this device.

    "auto" is bf16 where the processor computes in it: CPUs without it emulate, several times slower than fp32.
    """
    if precision != "auto":
        return precision == "bf16"
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    facts = Path("/proc/cpuinfo")
    return facts.is_file() and any(flag in facts.read_text() for flag in ("avx512_bf16", "amx_bf16"))
