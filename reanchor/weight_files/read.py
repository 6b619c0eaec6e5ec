"""One door to all weight files: which format a file has, and which of its content is the state dict."""

from pathlib import Path

import psutil
import torch
from torch import Tensor

from reanchor.errors import ReanchorError
from reanchor.weight_files.archive import Archive, is_archive
from reanchor.weight_files.legacy import Legacy
from reanchor.weight_files.names import check_names
from reanchor.weight_files.records import Module, Storage, View
from reanchor.weight_files.safe import read_safetensors
from reanchor.weight_files.script import state_of

WRAPPERS = ("state_dict", "model")
PREFIX = "module."  # of DataParallel
# Tied tensors share a storage, and half precision is widened; a thousand names over one storage would fill memory.
MOST_SHARING, FREE_BYTES, FP32_BYTES = 4, 2**22, 4


def read_state(path: Path, setting: str, allowed: str) -> dict[str, Tensor]:
    """A state dict from .safetensors, TorchScript (OpenAI's files), or a file of `torch.save`, old or new.

    It may lie under "state_dict" or "model"; `module.` of DataParallel is taken off the names. Nothing that the file
    holds is run.

    Args:
        setting, allowed: what a message names: where the path comes from, and what may lie there.

    Raises:
        ReanchorError: no file, or one that holds anything but named tensors, or claims what it does not hold.
    """
    if not path.is_file():
        raise ReanchorError(f"{setting}: no file at {path}; allowed are {allowed}")
    try:
        _check_size(path)
        return _unprefixed(read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path))
    except Exception as error:  # safetensors and the system raise classes of their own
        raise ReanchorError(f"{setting}: {path} is no readable checkpoint ({first_line(error)}); "
                            f"allowed are {allowed}") from error


def first_line(error: Exception) -> str:
    """What an error says, in one line that can be shown."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _check_size(path: Path) -> None:
    """A file with holes takes no disk, and all the memory there is."""
    size, memory = path.stat().st_size, psutil.virtual_memory().available
    if size > memory:
        raise ValueError(f"it has {size} bytes, and this machine {memory} of free memory")


def _read_torch(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        source = Archive(file) if is_archive(path) else Legacy(file)
        state = _named(source.content)
        _check_elements(state)
        for storage in _storages(state):
            source.check(storage)
        return _tensors(state, source)


def _named(content: object) -> dict[str, View | int | float]:
    """The state dict among the content."""
    if isinstance(content, Module):
        state = state_of(content)
    else:
        state = _unwrapped(content)
        for name, value in state.items():
            if not isinstance(value, View | int | float):
                raise ValueError(f"it holds more than plain tensors: {name[:80]}")
    check_names(state)
    for name, value in state.items():
        if isinstance(value, View):
            value.check(name)
    return state


def _unwrapped(content: object) -> dict[str, object]:
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        kind = "Tensor" if isinstance(content, View) else type(content).__name__
        raise ValueError(f"it holds a {kind} and no names")
    return content


def _storages(state: dict[str, View | int | float]) -> list[Storage]:
    """Each once."""
    return list({id(value.storage): value.storage for value in state.values() if isinstance(value, View)}.values())


def _check_elements(state: dict[str, View | int | float]) -> None:
    """Raise ValueError where tensors together have far more elements than their storages: repeated, or overlapping."""
    held = sum(storage.nbytes for storage in _storages(state))
    views = [value for value in state.values() if isinstance(value, View)]
    asked = sum(view.elements * max(view.dtype.itemsize, FP32_BYTES) for view in views)  # they are widened next
    if asked > MOST_SHARING * held + FREE_BYTES:
        raise ValueError(f"its tensors repeat the {held} bytes that it holds into {asked}")


def _tensors(state: dict[str, View | int | float], source: Archive | Legacy) -> dict[str, Tensor]:
    """By name; tensors of one storage share memory, as torch has it."""
    blocks: dict[int, Tensor] = {}
    found = {}
    for name, value in state.items():
        if isinstance(value, View):
            key = id(value.storage)
            if key not in blocks:
                blocks[key] = _block(value.storage, source)
            value = _tensor(blocks[key], value)
        found[name] = torch.as_tensor(value)
    return found


def _unprefixed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without DataParallel's prefix."""
    found = {name.removeprefix(PREFIX): value for name, value in state.items()}
    if len(found) < len(state):
        raise ValueError(f"it holds tensors with and without {PREFIX!r} before the same name")
    return found


def _block(storage: Storage, source: Archive | Legacy) -> Tensor:
    content = source.read(storage)
    return torch.frombuffer(content, dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)


def _tensor(block: Tensor, view: View) -> Tensor:
    if not view.elements:
        return torch.empty(view.size, dtype=view.dtype)
    return block.view(view.dtype).as_strided(view.size, view.stride, view.offset)
