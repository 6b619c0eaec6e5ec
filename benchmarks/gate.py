"""The price of the gated [CLS] at test time, as a ratio to the plain one, in one process.

    python -m benchmarks.gate [--model ViT-B-16-quickgelu] [--batch 16] [--repeats 7] [--device cpu] [--streetfolk]

Random weights, random pixels, fp32, no gradients. Four passes take turns: the plain encoder; the replay with weights
that are given, so that it alone is counted; with weights read from the encoder's own tokens; and with a visibility
network of `--network-blocks` blocks of its own. The last two give both [CLS] tokens, as the default test feature has.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Generator
from torch.utils.flop_counter import FlopCounterMode

from reanchor.backbone.load import architecture_of
from reanchor.clip.model import ClipSpec, freeze
from reanchor.clip.vision import ImageEncoder, ImageTokens
from reanchor.methods.gate.gates import NetworkGates, OnesGates
from reanchor.methods.gate.replay import GatedEncoder
from reanchor.methods.gate.settings import Gate
from reanchor.methods.gate.shared import SharedGatedEncoder, SharedNetwork
from reanchor.methods.gate.visibility import VisibilityNetwork

SMALL = {  # the shape of the small CLIP that comes with the repository; its text tower is not read
    "embed_dim": 128, "quick_gelu": False,
    "vision_cfg": {"layers": 6, "width": 128, "head_width": 32, "patch_size": 8, "image_size": 96},
    "text_cfg": {"context_length": 8, "vocab_size": 16, "width": 32, "heads": 1, "layers": 1},
}


class Both(torch.nn.Module):
    """Replayed and plain [CLS] in one pass."""

    def __init__(self, gated: GatedEncoder | SharedGatedEncoder):
        super().__init__()
        self.gated = gated

    def forward(self, images: torch.Tensor) -> ImageTokens:
        """Of normalised images [B, 3, H, W]."""
        return self.gated.look(images, both=True)[1]


def encoder_of(model: str, small: bool) -> tuple[ImageEncoder, tuple[int, int]]:
    """A random image encoder and the (height, width) it reads."""
    torch.manual_seed(0)
    size = (96, 48) if small else (256, 128)
    spec = ClipSpec(SMALL if small else architecture_of(model), size)
    return freeze(spec.image_encoder()), size


def passes(encoder: ImageEncoder, network_blocks: int, device: str) -> dict[str, torch.nn.Module]:
    """The four passes by name."""
    network = VisibilityNetwork(encoder, network_blocks)
    network.initialise(Generator().manual_seed(0))
    ones = OnesGates(encoder.grid[0] * encoder.grid[1])
    shared = SharedNetwork(encoder, Gate().shared_blocks, Gate().shared_own)
    shared.initialise(Generator().manual_seed(0))
    made = {"plain [CLS]": encoder, "replay, weights given": GatedEncoder(encoder, ones, 0.1),
            "replay, shared network": Both(SharedGatedEncoder(shared, 0.1)),
            "replay, own network": Both(GatedEncoder(encoder, NetworkGates(network), 0.1))}
    return {name: module.eval().to(device) for name, module in made.items()}


def seconds(run: Callable[[], object], device: str) -> float:
    """Processor time of one pass, which other programs on the machine lengthen little; wall time on a GPU."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


def products(run: Callable[[], object]) -> int:
    """Floating-point operations of one pass, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@torch.inference_mode()
def measure(modules: dict[str, torch.nn.Module], images: torch.Tensor, repeats: int, device: str
            ) -> dict[str, list[float]]:
    """Processor seconds of every repeat; the passes take turns, so that a busy machine slows all of them."""
    times: dict[str, list[float]] = {name: [] for name in modules}
    for repeat in range(repeats + 1):
        for name, module in modules.items():
            taken = seconds(lambda module=module: module(images), device)
            if repeat:  # the first turn warms up
                times[name].append(taken)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-16-quickgelu")
    parser.add_argument("--streetfolk", action="store_true", help="the small CLIP's shape at 96 x 48 in its place")
    parser.add_argument("--network-blocks", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    encoder, size = encoder_of(given.model, given.streetfolk)
    images = torch.randn(given.batch, 3, *size, generator=Generator().manual_seed(1)).to(given.device)
    modules = passes(encoder, given.network_blocks, given.device)
    times = measure(modules, images, given.repeats, given.device)
    with torch.inference_mode():
        counts = {name: products(lambda module=module: module(images)) for name, module in modules.items()}
    plain = times["plain [CLS]"]
    for name, taken in times.items():
        ratios = [one / other for one, other in zip(taken, plain, strict=True)]
        print(f"{name:24} {1e3 * statistics.median(taken) / given.batch:8.2f} ms an image   "
              f"{statistics.median(ratios):.3f} x [{min(ratios):.3f}, {max(ratios):.3f}]   "
              f"operations {counts[name] / counts['plain [CLS]']:.3f} x")


if __name__ == "__main__":
    main()
