"""MGCC's similarity of all pairs against the formula written with broadcasts: time per pair, peak memory, agreement.

    python -m benchmarks.mgcc_similarity [--images 3074] [--sentences 6148] [--repeats 3] [--threads 1]

Sizes are those of CUHK-PEDES' test split with the paper's 15 patches and 10 words. The broadcast version takes
its pairs in one piece, so it is measured on a subset that memory can hold; this project's on that subset too, and
at full size. Versions take turns on the subset, in one process; medians. Each full-size run has a process of its
own, whose peak memory includes Python, PyTorch, features and result.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from reanchor.methods.mgcc.blocks import all_pairs
from reanchor.methods.mgcc.similarity import ImageSide, Similarity, TextSide

PATCHES, WORDS, WIDTH, TAU = 15, 10, 512, 0.01
SUBSET = 192, 384


def problem(images: int, sentences: int) -> tuple[ImageSide, TextSide]:
    """Unit features with a common part, as encoders give them; a third of the sentences lack words."""
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(WIDTH, generator=generator)

    def unit(*shape: int) -> Tensor:
        return F.normalize(torch.randn(*shape, WIDTH, generator=generator).add_(common, alpha=0.6), dim=-1)

    present = torch.arange(WORDS) < torch.randint(5, 3 * WORDS, (sentences, 1), generator=generator)
    sides = ImageSide(unit(images), unit(images, PATCHES)), TextSide(unit(sentences), unit(sentences, WORDS), present)
    sides[1].words.mul_(present.unsqueeze(2))
    return sides


def broadcast(images: ImageSide, texts: TextSide) -> Tensor:
    """The equations word for word, [B, N]."""
    def attend(scores: Tensor, dim: int, there: Tensor | None = None) -> Tensor:
        logits = scores / TAU if there is None else (scores / TAU).masked_fill(~there, float("-inf"))
        return (torch.softmax(logits, dim) * scores).sum(dim)

    there = texts.present[None]
    scores = images.patches[:, None] @ texts.words[None].transpose(2, 3)  # [B, N, P, W]
    patch_word = (attend(attend(scores, 2), 2, there) + attend(attend(scores, 3, there[:, :, None]), 2)) / 2
    patch_text = attend((images.patches[:, None] * texts.whole[None, :, None]).sum(3), 2)
    image_word = attend((images.whole[:, None, None] * texts.words[None]).sum(3), 2, there)
    return (patch_word + images.whole @ texts.whole.T + patch_text + image_word) / 4


def ours(images: ImageSide, texts: TextSide) -> Tensor:
    """This project's, [B, N]."""
    return all_pairs(Similarity(TAU), images, texts)


def timed(work: Callable[[], Tensor]) -> tuple[float, float, Tensor]:
    """Seconds by the clock, seconds of the processor, and the result."""
    start, processor = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - start, time.process_time() - processor, result


def full_size(images: int, sentences: int) -> None:
    """One run in this process; its figures to stdout."""
    sides = problem(images, sentences)
    seconds, processor, _ = timed(lambda: ours(*sides))
    print(json.dumps({"seconds": seconds, "processor": processor, "bytes": peak_bytes()}))


def peak_bytes() -> int:
    """Highest resident memory of this process; getrusage would count what its parent held at the start too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Compare on the subset, then measure at full size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3074)
    parser.add_argument("--sentences", type=int, default=6148)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.worker:
        return full_size(options.images, options.sentences)
    sides, runs = problem(*SUBSET), {"broadcast": [], "reanchor": []}
    for _ in range(options.repeats):
        for name, version in (("broadcast", broadcast), ("reanchor", ours)):
            runs[name].append(timed(lambda version=version: version(*sides)))
    print(f"{SUBSET[0]} images x {SUBSET[1]} sentences, medians of {options.repeats}, {options.threads} thread(s)")
    pairs = SUBSET[0] * SUBSET[1]
    medians = {name: [statistics.median(run[k] for run in rows) / pairs * 1e6 for k in (0, 1)]
               for name, rows in runs.items()}
    for name, (seconds, processor) in medians.items():
        print(f"{name:10}{seconds:9.2f} us a pair{processor:9.2f} us of processor"
              f"{medians['broadcast'][1] / processor:8.1f}x")
    print(f"largest difference: {(runs['broadcast'][0][2] - runs['reanchor'][0][2]).abs().max():.1e}")
    command = [sys.executable, "-m", "benchmarks.mgcc_similarity", "--worker", "--images", str(options.images),
               "--sentences", str(options.sentences), "--threads", str(options.threads)]
    whole = [json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
             for _ in range(options.repeats)]
    middle = {key: statistics.median(run[key] for run in whole) for key in whole[0]}
    each = middle["processor"] / options.images / options.sentences * 1e6
    print(f"{options.images} x {options.sentences}: "
          f"{middle['seconds']:.1f} s, {middle['processor']:.1f} s of processor, "
          f"{each:.2f} us a pair, peak memory {middle['bytes'] / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
