"""Patch tokens of augmented training views: cached on disk, or computed for each batch.

Both take the same draws: images are augmented in blocks of `saga.draw_block` neighbours, and
(seed, block, view) seeds a block's generator.

Shapes: n training images, V views, B images of a batch, P token paths, T patch tokens a path,
D token width, E joint width.
"""

import contextlib
import hashlib
import io
import json
import math
import mmap
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor
from tqdm import tqdm

from reanchor.clip.model import ClipSpec
from reanchor.errors import ReanchorError
from reanchor.files import plain_disk_errors, write_json
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.settings import FinetuneRecipe
from reanchor.methods.saga.batch import TokenBatch, tapped_blocks, token_batch
from reanchor.methods.saga.settings import Saga
from reanchor.training.images import TrainingImages, augment


class TokenSource(Protocol):
    """Where stage 3 takes its batches from."""

    views: int

    def take(self, chosen: np.ndarray, view: np.ndarray) -> TokenBatch:
        """The tokens of training images `chosen` [B], each in its view [B]."""


@dataclass
class AugmentedViews:
    """V augmented views of every training image, each a function of (seed, block, view)."""

    data: TrainingImages
    recipe: FinetuneRecipe
    spec: ClipSpec
    seed: int
    views: int
    size: int  # images a block

    def block(self, start: int, view: int) -> Tensor:
        """The normalised images [<= size, 3, H, W] of the block that begins at image `start`."""
        generator = Generator().manual_seed(hash_seed(self.seed, start, view))
        chosen = np.arange(start, min(start + self.size, len(self.data.rows)))
        return augment(self.data.take(chosen, self.recipe.occluded, generator), self.recipe, self.spec, generator)

    def take(self, chosen: np.ndarray, view: np.ndarray) -> Tensor:
        """Single images [B, 3, H, W]; the whole block of each is drawn again."""
        starts, images = chosen // self.size * self.size, {}
        for start, one in sorted({*zip(starts.tolist(), view.tolist(), strict=True)}):
            block = self.block(start, one)
            for place in np.flatnonzero((starts == start) & (view == one)):
                images[int(place)] = block[chosen[place] - start]
        return torch.stack([images[place] for place in range(len(chosen))])


class FreshTokens:
    """`saga.cache: none`: the frozen backbone reads the views as they are needed; nothing is stored."""

    def __init__(self, model: ReidModel, views: AugmentedViews, blocks: tuple[int, ...]):
        self.model, self.augmented, self.blocks, self.views = model, views, blocks, views.views

    @torch.no_grad()
    def take(self, chosen: np.ndarray, view: np.ndarray) -> TokenBatch:
        """The tokens of training images `chosen` [B], each in its view [B]."""
        return self.encode(self.augmented.take(chosen, view), chosen)

    def encode(self, images: Tensor, chosen: np.ndarray) -> TokenBatch:
        """Tokens of normalised images [B, 3, H, W] of the training rows `chosen`."""
        data, device = self.augmented.data, next(self.model.parameters()).device
        side = self.model.side
        sides = None if side is None else side.index(data.cameras[chosen], data.views[chosen]).to(device)
        cameras = torch.from_numpy(data.cameras[chosen]).to(device)
        return token_batch(self.model.encode(images.to(device), sides, self.blocks), self.blocks, cameras)


class CachedTokens:
    """`saga.cache: disk`: fp16 tokens in a memory map [n, V]."""

    def __init__(self, cache: np.ndarray, cameras: np.ndarray, device: torch.device | str):
        self.cache, self.cameras, self.device, self.views = cache, cameras, device, cache.shape[1]

    def take(self, chosen: np.ndarray, view: np.ndarray) -> TokenBatch:
        """The tokens of training images `chosen` [B], each in its view [B]."""
        rows = self.cache[chosen, view]
        let_go(self.cache)
        read = {name: torch.from_numpy(rows[name].astype(np.float32)).to(self.device) for name in rows.dtype.names}
        return TokenBatch(cameras=torch.from_numpy(self.cameras[chosen]).to(self.device), **read)


def open_tokens(path: Path, model: ReidModel, data: TrainingImages, recipe: FinetuneRecipe, config: Saga,
                spec: ClipSpec) -> TokenSource:
    """The source that `saga.cache` names; a cache is made at `path`, or continued."""
    fresh = FreshTokens(model, AugmentedViews(data, recipe, spec, config.seed, config.views, config.draw_block),
                        tapped_blocks(config.token_blocks, model.encoder.depth))
    if config.cache == "none":
        return fresh
    cache = cache_tokens(path, fresh, config.domain == "clip")
    return CachedTokens(cache, data.cameras, next(model.parameters()).device)


@torch.inference_mode()
def cache_tokens(path: Path, fresh: FreshTokens, projected: bool, batch: int = 256) -> np.ndarray:
    """Write all views' tokens (and projected [CLS]) as fp16 at `path`, memory-mapped [n, V].

    Hashes beside it vouch for every batch of images that reached the disk; the others are made, or made anew.

    Raises:
        ReanchorError: when the disk is full; nothing stays then.
    """
    shape, row = (len(fresh.augmented.data.rows), fresh.views), row_type(fresh, projected)
    size = fresh.augmented.size
    hashes = BatchHashes(path.with_suffix(".sha256.json"), math.ceil(batch / size) * size)
    try:
        with plain_disk_errors(path):
            _fill(path, fresh, shape, row, hashes)
    except ReanchorError:
        path.unlink(missing_ok=True)
        hashes.forget()
        raise
    return _map(path, shape, row, "r")


def _fill(path: Path, fresh: FreshTokens, shape: tuple[int, int], row: np.dtype, hashes: "BatchHashes") -> None:
    if _begin(path, shape, row):
        hashes.forget()
        tqdm.write(describe(shape, row, path))
    cache = _map(path, shape, row, "r+")
    for start in tqdm(range(0, shape[0], hashes.step), desc="saga: token cache", disable=None):
        stop = min(start + hashes.step, shape[0])
        if not hashes.vouch(start, cache[start:stop]):
            if hashes.hold(start):
                tqdm.write(f"{path}: images {start + 1} to {stop} are damaged; they are made anew", file=sys.stderr)
            for view in range(fresh.views):
                _write(cache, fresh, start, stop, view)
            cache.flush()
            hashes.add(start, cache[start:stop])
        let_go(cache)


class BatchHashes:
    """The SHA-256 of every batch of `step` images of a cache, in a file; what cannot be read vouches for nothing."""

    def __init__(self, path: Path, step: int):
        self.path, self.step, self._known = path, step, {}
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            kept = json.loads(path.read_bytes())
            self._known = dict(kept["sha256"]) if kept["step"] == step else {}

    def hold(self, start: int) -> bool:
        """Whether the batch that begins at image `start` was finished once."""
        return str(start) in self._known

    def vouch(self, start: int, rows: np.ndarray) -> bool:
        """Whether `rows` are what that batch was."""
        return self.hold(start) and self._known[str(start)] == _sha256(rows)

    def add(self, start: int, rows: np.ndarray) -> None:
        """Vouch for `rows` from now on."""
        self._known[str(start)] = _sha256(rows)
        write_json(self.path, {"step": self.step, "sha256": self._known})

    def forget(self) -> None:
        """Vouch for nothing, on the disk neither."""
        self._known = {}
        self.path.unlink(missing_ok=True)


def _sha256(rows: np.ndarray) -> str:
    return hashlib.sha256(rows.view(np.uint8)).hexdigest()


def let_go(cache: np.memmap) -> None:
    """Pages of a memory map that were read or flushed stop counting as the process' own; the system may keep them."""
    cache.base.madvise(mmap.MADV_DONTNEED)


def _write(cache: np.ndarray, fresh: FreshTokens, start: int, stop: int, view: int) -> None:
    views = fresh.augmented
    images = torch.cat([views.block(first, view) for first in range(start, stop, views.size)])
    out = fresh.encode(images, np.arange(start, stop))
    for name in cache.dtype.names:
        cache[name][start:stop, view] = getattr(out, name).half().cpu().numpy()


def _begin(path: Path, shape: tuple[int, int], row: np.dtype) -> bool:
    """Make a .npy file of zeros where there is none of this shape; whether that was so."""
    header = _header(shape, row)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        file.seek(0)
        new = file.read(len(header)) != header
        if new:
            file.truncate(0)
            file.write(header)
            file.flush()
        size = len(header) + math.prod(shape) * row.itemsize
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error now, not a SIGBUS while mapped
    return new


def _map(path: Path, shape: tuple[int, int], row: np.dtype, mode: str) -> np.memmap:
    return np.memmap(path, row, mode, len(_header(shape, row)), shape)


def _header(shape: tuple[int, int], row: np.dtype) -> bytes:
    stream = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(row), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def row_type(fresh: FreshTokens, projected: bool) -> np.dtype:
    """One view of one image in the cache: tokens [P T, D], and projected [E] where domain anchors read it."""
    encoder = fresh.model.encoder
    tokens = len(fresh.blocks) * encoder.grid[0] * encoder.grid[1]
    fields = [("tokens", np.float16, (tokens, encoder.width))]
    return np.dtype(fields + ([("projected", np.float16, (encoder.embed,))] if projected else []))


def describe(shape: tuple[int, int], row: np.dtype, path: Path) -> str:
    """What the cache will take, said before it is made."""
    tokens, width = row["tokens"].shape
    return (f"saga: token cache: {shape[0]} images x {shape[1]} views x {tokens} tokens x {width} in fp16 = "
            f"{math.prod(shape) * row.itemsize / 1e9:.2f} GB at {path}; saga.cache=none stores nothing and reads "
            "every batch with the backbone instead")


def hash_seed(*parts: int) -> int:
    """One 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
