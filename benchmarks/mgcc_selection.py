"""What token selection saves (MGCC's Table 4): time per sentence and memory against the shares of tokens.

    python -m benchmarks.mgcc_selection [--backbone small|vit_b32] [--gallery 3074] [--queries 64] [--repeats 3]

Random weights: neither time nor memory depends on them. `small` has the size of this repository's CLIP (72 patches of
width 128), `vit_b32` that of the paper's (49 of width 768). Each row has a process of its own for searching and one
for a training step. Searching: a batch of sentences is encoded and compared with a gallery that was encoded before.
Memory is the process's peak, with Python, PyTorch, weights and gallery; medians over the repeats.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

from benchmarks.mgcc_similarity import peak_bytes
from reanchor.clip.model import Clip, ClipSpec
from reanchor.methods.mgcc.blocks import all_pairs
from reanchor.methods.mgcc.losses import info_nce
from reanchor.methods.mgcc.model import Mgcc
from reanchor.methods.mgcc.settings import MgccModel
from reanchor.methods.mgcc.similarity import ImageSide

SHARES = ((1.0, 1.0), (0.5, 0.5), (0.4, 0.5), (0.3, 0.4), (0.2, 0.4), (0.1, 0.1))
WORDS, TRAINING_BATCH = 24, 32  # of a sentence; pairs of a training step
SPECS = {
    "small": ClipSpec({"embed_dim": 128, "vision_cfg": {"image_size": [96, 48], "patch_size": 8, "width": 128,
                                                        "layers": 6, "head_width": 32},
                       "text_cfg": {"context_length": 40, "vocab_size": 194, "width": 128, "heads": 4, "layers": 3}},
                      (96, 48)),
    "vit_b32": ClipSpec({"embed_dim": 512, "quick_gelu": True,
                         "vision_cfg": {"image_size": 224, "patch_size": 32, "width": 768, "layers": 12},
                         "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8,
                                      "layers": 12}}, (224, 224)),
}


def sentences(spec: ClipSpec, count: int) -> torch.Tensor:
    """Random token ids of sentences with `WORDS` words."""
    text, generator = spec.architecture["text_cfg"], torch.Generator().manual_seed(0)
    tokens = torch.zeros(count, text["context_length"], dtype=torch.int64)
    tokens[:, : WORDS + 1] = torch.randint(1, text["vocab_size"] - 1, (count, WORDS + 1), generator=generator)
    tokens[:, WORDS + 1] = text["vocab_size"] - 1
    return tokens


@torch.inference_mode()
def search(model: Mgcc, spec: ClipSpec, gallery: int, queries: int) -> Callable[[], None]:
    """Encode sentences and compare them with a gallery of random features."""
    kept = model.images(torch.zeros(1, 3, *spec.image_size)).side.patches.shape[1]
    generator, width = torch.Generator().manual_seed(0), model.towers.image.width
    side = ImageSide(*(torch.randn(*shape, width, generator=generator) for shape in ((gallery,), (gallery, kept))))
    for features in (side.whole, side.patches):
        features.div_(features.norm(dim=-1, keepdim=True))  # in place: the peak is to be the search's own
    tokens = sentences(spec, queries)

    @torch.inference_mode()
    def run() -> None:
        all_pairs(model.similarity, side, model.sentences(tokens).side)

    return run


def training(model: Mgcc, spec: ClipSpec) -> Callable[[], None]:
    """One step without the optimiser, whose memory does not depend on selection."""
    pixels, tokens = torch.randn(TRAINING_BATCH, 3, *spec.image_size), sentences(spec, TRAINING_BATCH)

    def run() -> None:
        info_nce(model(pixels, tokens))["loss"].backward()

    return run


def worker(options: argparse.Namespace) -> None:
    """One row's search or training step in this process; its figures to stdout."""
    spec = SPECS[options.backbone]
    torch.manual_seed(0)
    settings = MgccModel(patch_share=options.shares[0], word_share=options.shares[1])
    model = Mgcc(Clip(spec, spec.network()), settings)
    if options.worker == "train":
        run = training(model.train(), spec)
    else:
        run = search(model.eval(), spec, options.gallery, options.queries)
    seconds = []
    for _ in range(1 if options.worker == "train" else options.repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    print(json.dumps({"seconds": statistics.median(seconds), "bytes": peak_bytes()}))


def figures(options: argparse.Namespace, shares: tuple[float, float], what: str) -> dict[str, float]:
    """Medians over processes."""
    command = [sys.executable, "-m", "benchmarks.mgcc_selection", "--worker", what, "--shares", *map(str, shares),
               "--backbone", options.backbone, "--gallery", str(options.gallery), "--queries", str(options.queries)]
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(options.repeats)]
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def main() -> None:
    """One row per pair of shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=SPECS, default="small")
    parser.add_argument("--gallery", type=int, default=3074)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", choices=("search", "train"), help=argparse.SUPPRESS)
    parser.add_argument("--shares", type=float, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.worker:
        return worker(options)
    print(f"{options.backbone}: {options.queries} sentences over {options.gallery} images, training steps of "
          f"{TRAINING_BATCH} pairs; milliseconds of one processor; medians of {options.repeats}")
    print(f"{'rho_i':>6}{'rho_t':>6}{'ms a sentence':>15}{'search MB':>11}{'ms a step':>11}{'step MB':>9}")
    for shares in SHARES:
        found, step = figures(options, shares, "search"), figures(options, shares, "train")
        print(f"{shares[0]:6.1f}{shares[1]:6.1f}{found['seconds'] / options.queries * 1e3:15.2f}"
              f"{found['bytes'] / 1e6:11.0f}{step['seconds'] * 1e3:11.0f}{step['bytes'] / 1e6:9.0f}", flush=True)


if __name__ == "__main__":
    main()
