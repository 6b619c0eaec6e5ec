"""Where to compute."""

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
