"""Patch tokens of augmented training views: cached on disk, or computed for each batch.

Both take the same draws: images are augmented in blocks of `saga.draw_block` neighbours, and
(seed, block, view) seeds a block's generator.

Shapes: n training images, V views, B images of a batch, P token paths, T patch tokens a path,
D token width, E joint width.
"""

import json
import math
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor
from tqdm import tqdm

from reanchor.clip.model import ClipSpec
from reanchor.clipreid.data import TrainingImages, augment
from reanchor.clipreid.model import ReidModel
from reanchor.config.sections import Finetune, Saga
from reanchor.files import resumable_path, write_json
from reanchor.saga.batch import TokenBatch, tapped_blocks, token_batch


class TokenSource(Protocol):
    """Where stage 3 takes its batches from."""

    views: int

    def take(self, chosen: np.ndarray, view: np.ndarray) -> TokenBatch:
        """The tokens of training images `chosen` [B], each in its view [B]."""


@dataclass
class AugmentedViews:
    """V augmented views of every training image, each a function of (seed, block, view)."""

    data: TrainingImages
    finetune: Finetune
    spec: ClipSpec
    seed: int
    views: int
    size: int  # images a block

    def block(self, start: int, view: int) -> Tensor:
        """The normalised images [<= size, 3, H, W] of the block that begins at image `start`."""
        generator = Generator().manual_seed(hash_seed(self.seed, start, view))
        chosen = np.arange(start, min(start + self.size, len(self.data.rows)))
        return augment(self.data.take(chosen, self.finetune.occluded, generator), self.finetune, self.spec, generator)

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


def open_tokens(path: Path, model: ReidModel, data: TrainingImages, finetune: Finetune, config: Saga,
                spec: ClipSpec) -> TokenSource:
    """The source that `saga.cache` names; a cache is made at `path`, or continued."""
    fresh = FreshTokens(model, AugmentedViews(data, finetune, spec, config.seed, config.views, config.draw_block),
                        tapped_blocks(config.token_blocks, model.encoder.depth))
    if config.cache == "none":
        return fresh
    cache = cache_tokens(path, fresh, config.domain == "clip")
    return CachedTokens(cache, data.cameras, next(model.parameters()).device)


@torch.inference_mode()
def cache_tokens(path: Path, fresh: FreshTokens, projected: bool, batch: int = 256) -> np.ndarray:
    """Write all views' tokens (and projected [CLS]) as fp16 at `path`, memory-mapped [n, V].

    A caching that was cut short goes on behind the last batch that reached the disk.
    """
    if path.is_file():
        return np.load(path, mmap_mode="r")
    count, size = len(fresh.augmented.data.rows), fresh.augmented.size
    shape, row = (count, fresh.views), row_type(fresh, projected)
    tqdm.write(describe(shape, row, path))
    progress = path.with_suffix(".progress.json")
    with resumable_path(path) as partial:
        done = json.loads(progress.read_text())["images"] if partial.is_file() and progress.is_file() else 0
        if not done:
            progress.unlink(missing_ok=True)  # of a partial that is gone: it would vouch for the new one's zeros
        cache = _map(partial, shape, row, done)
        step = math.ceil(batch / size) * size
        for start in tqdm(range(done, count, step), desc="saga: token cache", disable=None):
            stop = min(start + step, count)
            for view in range(fresh.views):
                _write(cache, fresh, start, stop, view)
            cache.flush()
            let_go(cache)
            write_json(progress, {"images": stop})
        del cache
    progress.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")


def let_go(cache: np.memmap) -> None:
    """Pages of a memory map that were read or flushed stop counting as the process' own; the system may keep them."""
    cache.base.madvise(mmap.MADV_DONTNEED)


def _write(cache: np.ndarray, fresh: FreshTokens, start: int, stop: int, view: int) -> None:
    views = fresh.augmented
    images = torch.cat([views.block(first, view) for first in range(start, stop, views.size)])
    out = fresh.encode(images, np.arange(start, stop))
    for name in cache.dtype.names:
        cache[name][start:stop, view] = getattr(out, name).half().cpu().numpy()


def _map(partial: Path, shape: tuple[int, int], row: np.dtype, done: int) -> np.ndarray:
    if done:
        tqdm.write(f"saga: token cache: continued at image {done + 1}")
        return np.load(partial, mmap_mode="r+")
    cache = np.lib.format.open_memmap(partial, "w+", row, shape)
    with open(partial, "r+b") as file:  # a full disk is an error now, not a SIGBUS while mapped
        os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
    return cache


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
