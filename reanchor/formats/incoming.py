"""What callers hand to a model: pictures and camera numbers as it reads them, or one line that says what is wrong.

Only dtypes and shapes are looked at; values are read for the message alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reanchor.errors import ReanchorError


class _Fault(NamedTuple):
    what: str
    remedy: str


def checked_images(images: np.ndarray, size: tuple[int, int] | None, who: str) -> np.ndarray:
    """The images as torch takes them: uint8 [N, H, W, 3], C-contiguous and writable; copied only where they are not.

    Args:
        size: (height, width) that `who` reads; None: any.
        who: the method, for the message.

    Raises:
        ReanchorError: another dtype, layout or size.
    """
    try:
        given = np.asarray(images)
    except (TypeError, ValueError) as error:  # pictures of several sizes, a tensor on a GPU
        raise _refused(who, size, "what makes no array", _Fault(
            " ".join(str(error).split())[:120], "give one array on the CPU, its pictures resized alike")) from error
    fault = _layout(given.shape) or _kind(given) or _size(given.shape[1:3], size)
    if fault:
        raise _refused(who, size, f"{given.dtype} {list(given.shape)}", fault)
    if not given.size:  # numpy calls any empty array contiguous, torch does not
        return np.empty(given.shape, np.uint8)
    return np.require(given, requirements=["C", "W"])


def checked_numbers(numbers: Sequence[int] | np.ndarray, what: str, count: int | None = None) -> np.ndarray:
    """Cameras or views, one of each image, as int64 [N].

    Raises:
        ReanchorError: no integers, not one axis, or not `count` of them.
    """
    try:
        given = np.asarray(numbers)
    except (TypeError, ValueError) as error:  # of several lengths, a tensor on a GPU
        raise ReanchorError(f"{what}: got what makes no array ({' '.join(str(error).split())[:120]}); allowed are "
                            "integers [N], one for each image: give np.array([1, ...])") from error
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise ReanchorError(f"{what}: got {given.dtype} {list(given.shape)}; allowed are integers [N], one for each "
                            f"image: give np.array([1, ...])")
    if count is not None and len(given) != count:
        raise ReanchorError(f"{what}: got {len(given)} for {count} images; allowed is one for each image: give "
                            f"{count} integers")
    return given.astype(np.int64, copy=False)  # in this machine's byte order too


def _refused(who: str, size: tuple[int, int] | None, got: str, fault: _Fault) -> ReanchorError:
    height, width = size or ("H", "W")
    return ReanchorError(f"{who}: images: got {got} ({fault.what}); allowed is uint8 [N, {height}, {width}, 3], RGB: "
                         f"{fault.remedy}")


def _layout(shape: tuple[int, ...]) -> _Fault | None:
    if len(shape) == 4 and shape[3] == 3:
        return None
    if len(shape) == 4 and shape[1] == 3:
        return _Fault("channels come first", "use images.transpose(0, 2, 3, 1)")
    if len(shape) == 4 and shape[3] == 4:
        return _Fault("a fourth channel", "leave it out, images[..., :3], or read with Pillow's convert('RGB')")
    if len(shape) == 4 and shape[3] == 1:
        return _Fault("grey", "use np.repeat(images, 3, axis=3)")
    if len(shape) == 3 and shape[2] == 3:
        return _Fault("a single picture", "make a batch of it, images[None]")
    if len(shape) == 3 and shape[0] == 3:
        return _Fault("a single picture, channels first", "use images.transpose(1, 2, 0)[None]")
    if len(shape) == 3:
        return _Fault("grey pictures without channels", "use np.repeat(images[..., None], 3, axis=3)")
    return _Fault("no batch of RGB pictures", "read files with reanchor.data.photographs.read_images")


def _kind(given: np.ndarray) -> _Fault | None:
    if given.dtype == np.uint8:
        return None
    if given.dtype.kind == "b":
        return _Fault("true and false", "use images.astype(np.uint8) * 255")
    values = given[np.isfinite(given)] if given.dtype.kind in "fiu" else given[:0]
    if not values.size:
        return _Fault("no pixels of one byte", "use images.astype(np.uint8)")
    low, high = values.min(), values.max()
    span = f"values from {low:.4g} to {high:.4g}"
    if low < 0 or high > 255:
        return _Fault(span, "give pixels from 0 to 255; the model normalises them itself")
    if given.dtype.kind == "f" and high <= 1:
        return _Fault(f"floats from 0 to 1: {span}", "use np.round(images * 255).astype(np.uint8)")
    return _Fault(span, "use np.round(images).astype(np.uint8)")


def _size(found: tuple[int, int], size: tuple[int, int] | None) -> _Fault | None:
    if size is None:
        return None if min(found) else _Fault("pictures without pixels", "give whole pictures")
    height, width = size
    if found == (height, width):
        return None
    swapped = found == (width, height)
    what = "height and width are swapped" if swapped else f"{found[0]} x {found[1]}, height x width"
    turn = ", or images.transpose(0, 2, 1, 3) where they lie on their side" if swapped else ""
    return _Fault(what, f"resize with Pillow's image.resize(({width}, {height})), width first, or read files with "
                        f"reanchor.data.photographs.read_images{turn}")
