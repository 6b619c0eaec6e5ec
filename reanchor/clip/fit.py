"""A network around a state dict. Sizes that only a file claims are held against its tensors before they cost memory.

The network is first built on torch's meta device, where a tensor is a shape and costs nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from reanchor.errors import ReanchorError

M = TypeVar("M", bound=nn.Module)
# Beside what a file holds: OpenAI's text tower (63 million numbers in 150 tensors) is built though a fine-tuned
# model keeps its image tower only.
FREE_NUMBERS, FREE_TENSORS = 2**27, 1000


def fitted(build: Callable[[], M], state: dict[str, Tensor], culprit: str, claimed: bool = True) -> M:
    """The network that `build` makes, with the tensors of `state`, strictly by name and shape.

    Args:
        culprit: what a message names first, such as the file.
        claimed: whether the file itself says the sizes; then they may not go far beyond its tensors.

    Raises:
        ReanchorError: names, shapes or sizes do not fit.
    """
    compare(sketch(build, state, culprit) if claimed else _on_meta(build), state, culprit)
    network = build()
    counted = any(name.endswith("num_batches_tracked") for name in network.state_dict())
    network.load_state_dict(state, strict=not counted)
    return network


def sketch(build: Callable[[], M], state: dict[str, Tensor], culprit: str) -> M:
    """What `build` makes, on the meta device.

    Raises:
        ReanchorError: sizes that make no network, or one far larger than `state`.
    """
    tensors = FREE_TENSORS + 4 * len(state)
    numbers = FREE_NUMBERS + 2 * sum(value.numel() for value in state.values())
    try:
        with _budget(tensors, numbers):
            return _on_meta(build)
    except ReanchorError:
        raise
    except _Exceeded as error:
        raise ReanchorError(f"{culprit}: weights do not fit: the sizes that it claims ask for more than {tensors} "
                            f"tensors or {numbers} numbers, and it holds {len(state)} tensors; get another copy"
                            ) from error
    except Exception as error:  # open_clip's and torch's layers refuse sizes in classes of their own
        reason = " ".join(f"{type(error).__name__} {error}".split())[:160]
        raise ReanchorError(f"{culprit}: weights do not fit: the sizes that it claims make no network ({reason}); get "
                            "another copy") from error


def compare(module: nn.Module, state: dict[str, Tensor], culprit: str) -> None:
    """Raise ReanchorError where names or shapes differ from the module's; counts of batches may be absent."""
    wanted = module.state_dict()
    missing = sorted(name for name in wanted.keys() - state.keys() if not name.endswith("num_batches_tracked"))
    extra = sorted(state.keys() - wanted.keys())
    wrong = sorted(k for k in wanted.keys() & state.keys() if wanted[k].shape != state[k].shape)
    if missing or extra or wrong:
        first = wrong[0] if wrong else (missing or extra)[0]
        detail = f"{tuple(state[first].shape)} instead of {tuple(wanted[first].shape)}" if wrong else (
            "missing" if missing else "unknown to this architecture")
        raise ReanchorError(
            f"{culprit}: weights do not fit: {len(missing)} missing, {len(extra)} unknown, {len(wrong)} of another "
            f"shape; first: {first} is {detail}; give the file the model name it was made with (backbone.model)"
        )


def _on_meta(build: Callable[[], M]) -> M:
    with torch.device("meta"):
        return build()


class _Exceeded(Exception):
    """A network grows beyond its budget."""


@contextmanager
def _budget(tensors: int, numbers: int) -> Iterator[None]:
    """Stop a network's construction at its first parameter or buffer too many: ten million layers take hours."""
    left = [tensors, numbers]

    def count(module: nn.Module, name: str, value: Tensor | None) -> None:
        left[0] -= 1
        left[1] -= 0 if value is None else value.numel()
        if min(left) < 0:
            raise _Exceeded

    handles = [hooks.register_module_parameter_registration_hook(count),
               hooks.register_module_buffer_registration_hook(count)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
