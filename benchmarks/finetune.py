"""Stage-2 training against a plain textbook loop: images/s of both, their ratio and peak memory.

    python -m benchmarks.finetune [--model ViT-B-16-quickgelu] [--batch 16] [--turns 9] [--device cpu]

Textbook: every image is decoded from its JPEG file and transformed by PIL and torchvision, fp32 (on a GPU
fp16 autocast with a scaler, files read by worker processes), losses and optimiser as published. Here: pixels from
the memory-mapped store, transforms on whole batches, bf16 autocast where the processor has it, freed memory kept as
in every training. Same network, same losses. Each loop has a process to itself, or it would work in memory that
the other one left; they take turns of a few steps. `--model shipped` is the small CLIP at its own size, 96 x 48.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import numpy as np
import torch
from PIL import Image
from timm.data.random_erasing import RandomErasing
from torch import Generator, Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

from benchmarks.store import decode, make_files
from reanchor.backbone.load import architecture_of, shipped
from reanchor.clip.model import ClipSpec
from reanchor.config.sections.backbone import Backbone
from reanchor.formats.images import ImageStore, write_store
from reanchor.methods.clip_reid.finetune import finetune_job
from reanchor.methods.clip_reid.model import ReidModel, Stage2Output
from reanchor.methods.clip_reid.settings import FinetuneRecipe, LossWeights
from reanchor.methods.clip_reid.texts import FixedTexts
from reanchor.training.device import uses_bf16
from reanchor.training.images import TrainingImages
from reanchor.training.memory import freed_memory_kept
from reanchor.training.sampler import IdentitySampler

IDENTITIES, IMAGES = 128, 4
TURN = 5  # steps; the first, among what the other loop left in the caches, is not counted
RECIPE = FinetuneRecipe(optimizer="adam", lr=5e-6, bias_lr_factor=2.0, head_lr_factor=1.0, weight_decay=1e-4,
                  schedule="multistep", pad=10, occluded=0.0, precision="auto")


class Files(Dataset):
    """Decoded and transformed one by one."""

    def __init__(self, paths: list[Path], labels: np.ndarray, size: tuple[int, int]):
        self.paths, self.labels = paths, labels
        self.transform = T.Compose([
            T.Resize(size, interpolation=T.InterpolationMode.BICUBIC), T.RandomHorizontalFlip(), T.Pad(10),
            T.RandomCrop(size), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3),
            RandomErasing(probability=0.5, mode="pixel", max_count=1, device="cpu")])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.open(self.paths[index]).convert("RGB")), int(self.labels[index])


def textbook_forward(model: ReidModel, images: Tensor) -> Stage2Output:
    """The same weights, every block and the attention pooling as open_clip has them."""
    encoder, visual = model.encoder, model.encoder.visual
    if encoder.grid is None:
        third = visual.layer3(visual.layer2(visual.layer1(visual.stem(images))))
        fourth = visual.layer4(third)
        before_last, last, projected = third.mean((2, 3)), fourth.mean((2, 3)), visual.attnpool(fourth)
    else:
        x = encoder.start(images)
        for block in visual.transformer.resblocks:
            before_last = x[:, 0]
            x = block(x)
        last = visual.ln_post(x)[:, 0]
        projected = last @ visual.proj
    scores = [model.classifier(model.neck(last)), model.classifier_projected(model.neck_projected(projected))]
    return Stage2Output(scores, [before_last, last, projected], None)


def textbook_losses(model: ReidModel, images: Tensor, labels: Tensor, texts: Tensor) -> Tensor:
    """Published losses, as a reader of the paper writes them."""
    out, entropy = textbook_forward(model, images), nn.CrossEntropyLoss(label_smoothing=0.1)
    loss = 0.25 * sum(entropy(score, labels) for score in out.scores)
    for feature in out.features:
        distance = torch.cdist(feature.float(), feature.float())
        same = labels[:, None] == labels[None]
        hardest = (distance * same).max(1).values - (distance + 1e9 * same).min(1).values
        loss = loss + torch.relu(hardest + 0.3).mean()
    return loss + entropy(out.features[2] @ texts.T, labels)


def textbook_step(model: ReidModel, texts: Tensor, files: Files, device: str, batches: list[np.ndarray],
                  workers: int) -> Callable[[], None]:
    """One step of the plain loop."""
    optimizer = torch.optim.Adam([{"params": [p], "lr": 5e-6 * (2 if "bias" in name else 1), "weight_decay": 1e-4}
                                  for name, p in model.named_parameters() if p.requires_grad])
    loader = iter(DataLoader(files, batch_sampler=[b.tolist() for b in batches], num_workers=workers))
    scaler = torch.amp.GradScaler(device, enabled=device == "cuda")

    def step() -> None:
        images, targets = next(loader)
        optimizer.zero_grad()
        with torch.autocast(device, torch.float16, enabled=device == "cuda"):
            loss = textbook_losses(model, images.to(device), targets.to(device), texts)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def our_step(model: ReidModel, texts: Tensor, data: TrainingImages, spec: ClipSpec, device: str,
             batches: list[np.ndarray]) -> Callable[[], None]:
    """One step of `reanchor.training.loop.Trainer`."""
    job = finetune_job("bench", RECIPE, LossWeights(), model, data, FixedTexts(texts), spec, None)
    left, generator = iter(batches), Generator().manual_seed(0)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=uses_bf16(RECIPE.precision, device)):
            terms = job.losses(next(left), generator)
        job.optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        job.optimizer.step()

    return step


def seconds(step: Callable[[], None], device: str) -> float:
    """Wall time of one step, the device's work included."""
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def build(name: str, options: argparse.Namespace, scratch: Path) -> Callable[[], None]:
    """A loop's step; both loops have the same weights and read the same batches."""
    torch.manual_seed(0)
    if options.model == "shipped":
        spec = shipped(Backbone(), (96, 48)).spec
    else:
        spec = ClipSpec(architecture_of(options.model), (256, 128))
    model = ReidModel(spec.image_encoder(), IDENTITIES).to(options.device).train()
    texts = torch.randn(IDENTITIES, model.encoder.embed, device=options.device)
    size, labels = spec.image_size, np.repeat(np.arange(IDENTITIES), IMAGES)
    paths = make_files(scratch, len(labels), np.random.default_rng(0))
    sampler = IdentitySampler(labels, options.batch // IMAGES, IMAGES, seed=0)
    batches = [batch for epoch in range((options.turns + 1) * TURN) for batch in sampler.batches(epoch)]
    if name == "textbook":
        return textbook_step(model, texts, Files(paths, labels, size), options.device, batches, options.workers)
    write_store(scratch / "images.arrow", (decode(path, *size) for path in paths), count=len(paths))
    nobody = np.ones(len(labels), np.int64)
    data = TrainingImages(ImageStore.open(scratch / "images.arrow").images, np.arange(len(labels)), labels, nobody,
                          nobody)
    return our_step(model, texts, data, spec, options.device, batches)


def serve(name: str, options: argparse.Namespace, commands: Connection) -> None:
    """One loop in a process of its own: seconds of a turn's step for every True, peak memory in MB for False."""
    with tempfile.TemporaryDirectory() as scratch, freed_memory_kept() if name == "here" else nullcontext():
        step = build(name, options, Path(scratch))
        while commands.recv():
            commands.send(statistics.mean([seconds(step, options.device) for _ in range(TURN)][1:]))
    cuda = options.device == "cuda"
    commands.send(torch.cuda.max_memory_allocated() / 2**20 if cuda else getrusage(RUSAGE_SELF).ru_maxrss / 2**10)


def ask(loop: Connection, more: bool = True) -> float:
    """What a serving loop answers."""
    loop.send(more)
    return loop.recv()


def main() -> None:
    """The loops take turns; print the medians and the quartiles of the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-16-quickgelu",
                        help="open_clip's name of a ViT or ResNet CLIP, or shipped")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--turns", type=int, default=9, help=f"of each loop, {TURN} steps a turn")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--workers", type=int, default=0,
                        help="processes that read files for the textbook loop, in our turns too")
    options = parser.parse_args()
    context, loops = get_context("spawn"), {}
    for name in ("textbook", "here"):
        loops[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, options, theirs)).start()
        theirs.close()
    try:
        times = np.array([[ask(loop) for loop in loops.values()] for _ in range(options.turns + 1)])[1:]
        peaks = [ask(loop, more=False) for loop in loops.values()]
    finally:
        for loop in loops.values():  # or a loop would wait for ever where the other one fails
            loop.close()
    low, middle, high = np.percentile(times[:, 0] / times[:, 1], (25, 50, 75))
    sides = ", ".join(f"{name} {options.batch / taken:.2f} images/s ({peak:.0f} MB)"
                      for name, taken, peak in zip(loops, np.median(times, 0), peaks, strict=True))
    print(f"{options.model}, batch {options.batch}, {options.device}: {sides}, ratio {middle:.2f} (quartiles {low:.2f} "
          f"and {high:.2f} of {options.turns} turns)")


if __name__ == "__main__":
    main()
