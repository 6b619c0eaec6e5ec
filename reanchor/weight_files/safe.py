"""safetensors files; the library checks that tensors and bytes fit, but reads a header of any length."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from reanchor.weight_files.names import check_names

MOST_HEADER = 16 * 2**20  # bytes; about 100 to a tensor
_LENGTH_BYTES = 8


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        SafetensorError: it is damaged, or its header is longer than weights need.
        ValueError: names that weights do not have.
    """
    _check_header(path)
    with safe_open(path, framework="pt") as stream:
        check_names(list(stream.keys()))
    return load_file(path)


def read_metadata(path: Path) -> dict[str, str]:
    """The texts in a file's header; {} where it has none.

    Raises:
        SafetensorError: as `read_safetensors`.
    """
    _check_header(path)
    with safe_open(path, framework="pt") as stream:
        return stream.metadata() or {}


def _check_header(path: Path) -> None:
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > min(MOST_HEADER, Path(path).stat().st_size):
        raise SafetensorError(f"its header claims {length} bytes; allowed: {MOST_HEADER}, and no more than it has")
