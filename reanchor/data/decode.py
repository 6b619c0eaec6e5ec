"""One file, distrusted: from a path in a dataset to RGB pixels of the stored size, or a reason why not."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "TIFF", "BMP")  # Pillow would run Ghostscript for others
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV")  # 8 bits a channel
BYTES_PER_PIXEL = 16  # no file of an allowed image is larger than that


class Rejected(Exception):
    """Why an image cannot be used: a reason of quarantine.parquet and a detail."""

    def __init__(self, reason: str, detail: str):
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Decoded:
    """Pixels [H, W, 3] uint8 at the stored size; the file's own width, height and SHA-256."""

    pixels: np.ndarray
    width: int
    height: int
    checksum: str


def inside(root: Path, relative: str) -> Path:
    """The file a dataset's relative path names; `root` is resolved already.

    Raises:
        Rejected: the path leaves the root, by itself or through a symbolic link, or is no file.
    """
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts:
        raise Rejected("path_escape", "absolute, or has '..'; a path must stay inside the dataset's root")
    try:
        path = (root / pure).resolve()
        if not path.is_relative_to(root):
            raise Rejected("path_escape", f"a symbolic link leads to {path}, outside the dataset's root")
        if not path.is_file():
            raise Rejected("missing", "there is no such file")
    except (OSError, RuntimeError, ValueError) as error:  # name too long, loop of links, NUL byte
        raise Rejected("missing", str(error)) from error
    return path


RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def decode_image(path: Path, height: int, width: int, max_pixels: int, interpolation: str = "bicubic") -> Decoded:
    """Read, check, turn upright (EXIF) and resize (`RESAMPLING`) one image.

    Raises:
        Rejected: unreadable, truncated or oversized; the size is read before any pixel.
    """
    data = _read(path, max_pixels)
    pixels, size = _fitted(_open(data, max_pixels), height, width, interpolation)
    return Decoded(pixels, *size, hashlib.sha256(data).hexdigest())


def fit_image(image: Image.Image, height: int, width: int, max_pixels: int, interpolation: str = "bicubic") -> (
        np.ndarray):
    """What `decode_image` makes of an image that Pillow has opened, or that was never a file: uint8 [H, W, 3].

    Raises:
        Rejected: as there.
    """
    return _fitted(_bounded(image, max_pixels), height, width, interpolation)[0]


def decode_mask(path: Path, size: tuple[int, int], height: int, width: int, max_pixels: int) -> np.ndarray:
    """Read a label mask of an image of `size` (width, height), resized to nearest: [H, W] uint8.

    Raises:
        Rejected: bad_mask, whatever is wrong with it.
    """
    try:
        mask = _open(_read(path, max_pixels), max_pixels)
        if mask.mode not in ("L", "P"):
            raise Rejected("bad_mask", f"mask has mode {mask.mode}; expected 8-bit labels (L or P)")
        if mask.size != size:
            raise Rejected("bad_mask", f"mask's size is {mask.size}, its image's {size}")
        return np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))
    except Rejected as error:
        raise Rejected("bad_mask", error.detail) from error
    except Exception as error:  # as above
        raise Rejected("bad_mask", _damaged(error).detail) from error


def _read(path: Path, max_pixels: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > max_pixels * BYTES_PER_PIXEL + 2**20:
            raise Rejected("oversized", f"the file has {size} bytes, too many for max_pixels = {max_pixels}")
        return path.read_bytes()
    except OSError as error:
        raise Rejected("unreadable", error.strerror or str(error)) from error


def _open(data: bytes, max_pixels: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise Rejected("oversized", f"{error}; max_pixels = {max_pixels}") from error
    except Exception as error:  # as above, for headers
        raise Rejected("unreadable", f"no {', '.join(FORMATS)} header: {type(error).__name__}") from error
    return _bounded(image, max_pixels)


def _bounded(image: Image.Image, max_pixels: int) -> Image.Image:
    if image.width * image.height > max_pixels:
        raise Rejected("oversized", f"{image.width} x {image.height} pixels; max_pixels = {max_pixels}")
    if image.mode not in MODES:
        raise Rejected("unreadable", f"mode {image.mode} is not supported; save it with 8 bits per channel")
    return image


def _fitted(image: Image.Image, height: int, width: int, interpolation: str) -> tuple[np.ndarray, tuple[int, int]]:
    """Upright RGB pixels [H, W, 3] and the upright image's own (width, height)."""
    try:
        image = ImageOps.exif_transpose(image)
        return np.asarray(image.convert("RGB").resize((width, height), RESAMPLING[interpolation])), image.size
    except Exception as error:  # Pillow's decoders raise nearly any type on damaged pixels
        raise _damaged(error) from error


def _damaged(error: Exception) -> Rejected:
    if isinstance(error, MemoryError):
        raise error
    text = str(error).strip() or type(error).__name__
    return Rejected("truncated" if "truncated" in text else "unreadable", text)
