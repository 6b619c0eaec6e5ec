"""SAGA's token cache on disk against the same tokens held in memory: steps of stage 3 and resident memory.

    python -m benchmarks.saga_cache [--images 12936] [--views 2] [--repeats 9]

Random fp16 tokens of a ViT-B/16 at 256 x 128 (128 patch tokens of width 768), batches of 64, SAGA's own head. The two
sources take turns step by step in one process; then a fresh process trains from the disk alone and tells by how
much its resident memory grew beyond what it was before the first step. `cold`: the file is thrown out of
the system's page cache before every step.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from reanchor.methods.saga.batch import TokenBatch
from reanchor.methods.saga.domain import make_domain
from reanchor.methods.saga.frozen import FrozenAnchors, random_vectors
from reanchor.methods.saga.head import SagaHead
from reanchor.methods.saga.losses import stage3_losses
from reanchor.methods.saga.settings import Saga
from reanchor.methods.saga.tokens import CachedTokens

TOKENS, WIDTH, BATCH, IMAGES, IDENTITIES = 128, 768, 64, 4, 751
ROW = np.dtype([("tokens", np.float16, (TOKENS, WIDTH))])


def write_cache(path: Path, images: int, views: int) -> None:
    """A file in the cache's form; a block of random numbers repeated, as fast as the disk takes it."""
    cache = np.lib.format.open_memmap(path, "w+", ROW, (images, views))
    noise = np.random.default_rng(0).standard_normal((256, TOKENS, WIDTH)).astype(np.float16)
    for start in tqdm(range(0, images, 256), desc="cache", disable=None):
        part = cache["tokens"][start:start + 256]
        part[:] = noise[: len(part), None]
        cache.flush()


class Step:
    """Forward, backward and update of one batch from a source of tokens."""

    def __init__(self, source: CachedTokens, seed: int = 0):
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        anchors = FrozenAnchors(random_vectors(24, WIDTH, 1.0, generator))
        domain = make_domain("none", 1, WIDTH, 512, 8, 1)
        self.config, self.source = Saga(anchors="random_frozen", domain="none"), source
        self.head = SagaHead(anchors, domain, 2, 8, WIDTH, IDENTITIES, 1, 1, 0)
        self.head.initialise(generator)
        self.optimizer = torch.optim.AdamW(self.head.parameters(), lr=1e-4)
        self.rng = np.random.default_rng(seed)
        self.labels = torch.arange(BATCH // IMAGES).repeat_interleave(IMAGES)

    def take(self) -> TokenBatch:
        """A random batch."""
        chosen = self.rng.integers(0, len(self.source.cache), BATCH)
        return self.source.take(chosen, self.rng.integers(0, self.source.views, BATCH))

    def __call__(self) -> float:
        """Seconds of one step."""
        start = time.perf_counter()
        out = self.head(self.take(), self.head.anchors(None))
        terms = stage3_losses(out, self.labels, self.head, self.config)
        self.optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        self.optimizer.step()
        return time.perf_counter() - start


class InMemory(CachedTokens):
    """The authors' way: all tokens in one array."""

    def take(self, chosen: np.ndarray, view: np.ndarray) -> TokenBatch:
        """The same tokens."""
        rows = torch.from_numpy(self.cache["tokens"][chosen, view].astype(np.float32))
        return TokenBatch(cameras=torch.from_numpy(self.cameras[chosen]), tokens=rows)


def resident() -> float:
    """This process' resident memory in GB, mapped pages included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9


def forget(path: Path) -> None:
    """Throw a file out of the system's page cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def worker(path: Path, repeats: int) -> None:
    """Train from the disk alone; print the growth of resident memory over the first step's."""
    torch.set_num_threads(2)
    cache = np.load(path, mmap_mode="r")
    step = Step(CachedTokens(cache, np.ones(len(cache), np.int64), "cpu"))
    before, most = resident(), 0.0
    for _ in range(repeats):
        step()
        most = max(most, resident())
    print(f"{most - before:.3f}")


def main() -> None:
    """Time both, then measure memory in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12936, help="Market-1501's training images by default")
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="where the cache is written (a temporary folder by default)")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(options.worker, options.repeats)
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        path = Path(scratch) / "tokens.npy"
        write_cache(path, options.images, options.views)
        size = path.stat().st_size / 1e9
        command = [sys.executable, "-m", "benchmarks.saga_cache", "--worker", str(path), "--repeats", "12"]
        grown = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        disk = np.load(path, mmap_mode="r")
        cameras = np.ones(options.images, np.int64)
        steps = [Step(InMemory(np.load(path), cameras, "cpu")), Step(CachedTokens(disk, cameras, "cpu"))]
        times = [[step() for step in steps] + [(forget(path), steps[1]())[1]] for _ in range(options.repeats + 1)][1:]
    memory, warm, cold = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{options.images} images x {options.views} views: {size:.1f} GB; a step from memory {memory:.2f} s, from "
          f"disk {warm:.2f} s ({memory / warm:.2f} of the speed), from a cold disk {cold:.2f} s ({memory / cold:.2f}); "
          f"resident memory grows by {grown:.2f} GB over 12 steps from disk (medians of {options.repeats})")


if __name__ == "__main__":
    main()
