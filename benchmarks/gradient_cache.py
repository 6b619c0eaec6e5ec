"""Memory and time of one TBPS-CLIP step (four views) against its batch, plain and with gradient caching.

Each figure is of a fresh process, so that the largest resident set is that step's; what the process held before
the step (weights, the batch itself) is taken off. Memory is measured with an allocator that gives back what is
freed, time (the processor's, all threads together) with the usual one. Towers as the shipped CLIP's, dropout 0:
loss and gradient of both ways must agree.
Run: python -m benchmarks.gradient_cache
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import torch

from reanchor.backbone.pretrain import blank_clip
from reanchor.config.sections.backbone import Pretrain
from reanchor.methods.tbps.job import text_losses
from reanchor.methods.tbps.model import TbpsModel
from reanchor.methods.tbps.settings import TbpsRecipe, TbpsTerms
from reanchor.text.towers import DualEncoder
from reanchor.training.gradient_cache import encode_in_chunks

SIZE = (96, 48)
WORDS = [f"{first}{second}" for first in "abcdefghijklmn" for second in "abcdefghijklmn"]  # 196, as Streetfolk's
GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}  # glibc's
RECIPE = TbpsTerms(nitc=1.0, ritc=1.0, citc=0.1, ss=0.4, multi_view=True)


def measure(batch: int, chunk: int, repeats: int) -> dict[str, float]:
    """One process's figures: MiB above rest, median processor seconds per step, loss and the norm of the gradient."""
    torch.manual_seed(0)
    model = TbpsModel(DualEncoder(blank_clip(Pretrain(), SIZE, WORDS)), RECIPE, 1).train()
    inputs = {name: torch.randn(batch, 3, *SIZE) for name in ("image", "second", "simclr_1", "simclr_2")}
    inputs["tokens"] = torch.randint(2, 190, (batch, 40))
    inputs["tokens"][:, -1] = 199
    labels, seconds = torch.arange(batch) // 2, []
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    rest = resident_kib()
    for _ in range(repeats):
        model.zero_grad(set_to_none=False)
        started = time.process_time()
        loss = text_losses(model, encode_in_chunks(model.encode, inputs, chunk), labels, RECIPE, TbpsRecipe(),
                           0.3)["loss"]
        loss.backward()
        seconds.append(time.process_time() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    norm = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
    return {"mib": (peak - rest) / 1024, "seconds": statistics.median(seconds), "loss": loss.item(),
            "norm": norm.item()}


def resident_kib() -> int:
    """The process's resident set now."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def child(batch: int, chunk: int, options: argparse.Namespace) -> dict[str, float]:
    """`measure` in two processes of their own: memory of one step, then the time of several."""
    def run(repeats: int, variables: dict[str, str]) -> dict[str, float]:
        command = [sys.executable, "-m", "benchmarks.gradient_cache", "--child", str(batch), str(chunk),
                   "--repeats", str(repeats), "--threads", str(options.threads)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True,
                                         env={**os.environ, **variables}).stdout)

    return {**run(options.repeats, {}), "mib": run(1, GIVES_BACK)["mib"]}


def main() -> None:
    """Print one row per batch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[40, 80, 160, 320])
    parser.add_argument("--chunk", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.child:
        print(json.dumps(measure(*options.child, options.repeats)))
        return
    print(f"{'batch':>6}{'plain MiB':>11}{'cached MiB':>12}{'ratio':>8}{'plain s':>9}{'cached s':>10}{'ratio':>8}"
          f"{'loss gap':>10}{'grad gap':>10}   (chunks of {options.chunk}, {options.threads} threads, "
          f"{options.repeats} repeats, median processor seconds)")
    for batch in options.batches:
        plain, cached = child(batch, 0, options), child(batch, options.chunk, options)
        gaps = (abs(cached[name] - plain[name]) / plain[name] for name in ("loss", "norm"))
        print(f"{batch:>6}{plain['mib']:>11.0f}{cached['mib']:>12.0f}{cached['mib'] / plain['mib']:>8.2f}"
              f"{plain['seconds']:>9.2f}{cached['seconds']:>10.2f}{cached['seconds'] / plain['seconds']:>8.2f}"
              f"{''.join(f'{gap:>10.1e}' for gap in gaps)}", flush=True)


if __name__ == "__main__":
    main()
