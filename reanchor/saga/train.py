"""SAGA stages 3a and 3b: the head is trained on cached patch tokens of the frozen backbone."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor
from tqdm import tqdm

from reanchor.clip.model import ClipSpec
from reanchor.clip.text import TextEncoder
from reanchor.clip.tokenizer import Tokenizer
from reanchor.clip.vision import ImageEncoder
from reanchor.clipreid.data import TrainingImages, augment
from reanchor.clipreid.model import ReidModel
from reanchor.config.sections import Finetune, Saga
from reanchor.data.sampler import IdentitySampler
from reanchor.errors import ReanchorError
from reanchor.files import atomic_path
from reanchor.losses import batch_hard_triplet, identity_cross_entropy, off_diagonal_cosine
from reanchor.saga.anchors import DomainAnchors, FreeAnchors, TextAnchors
from reanchor.saga.head import Aggregated, SagaHead
from reanchor.training.loop import Job
from reanchor.training.schedule import warmup_then


def build_head(config: Saga, model: ReidModel, identities: int, text: TextEncoder, tokenizer: Tokenizer) -> SagaHead:
    """A seeded head whose refinement starts from the CLIP block at the token layer."""
    encoder = model.encoder
    check_fits(config, encoder)
    torch.manual_seed(config.seed)  # before the first layer that draws its own initial values
    if config.anchors == "text":
        anchors = TextAnchors(config.text_anchors, config.context_slots, config.frozen_slots, encoder.width,
                              encoder.embed, text, tokenizer)
    else:
        anchors = FreeAnchors(config.text_anchors, encoder.width)
    domain = DomainAnchors(config.domain_anchors, encoder.width) if config.domain == "mlp" else None
    head = SagaHead(anchors, domain, config.refine_layers, config.refine_heads, encoder.width, identities,
                    config.classifiers)
    head.initialise(Generator().manual_seed(config.seed))
    for block in head.refine:
        block.start_from(encoder.visual.transformer.resblocks[config.token_block - 1])
    return head


def check_fits(config: Saga, encoder: ImageEncoder) -> None:
    """Raise ReanchorError where SAGA's settings ask for what this backbone does not have."""
    if encoder.grid is None:
        raise ReanchorError("saga.train: SAGA reads patch tokens, which a ResNet has not; use a ViT or "
                            "method=clip_reid")
    if config.token_block > encoder.depth:
        raise ReanchorError(f"saga.token_block: got {config.token_block}; allowed: 1 to {encoder.depth}, "
                            "the blocks of this backbone")
    if encoder.width % config.refine_heads:
        raise ReanchorError(f"saga.refine_heads: got {config.refine_heads}; allowed: a divisor of {encoder.width}, "
                            "this backbone's token width")


def stage3_losses(out: Aggregated, labels: Tensor, head: SagaHead, config: Saga) -> dict[str, Tensor]:
    """Mean ID loss over classifiers + triplet + diversity of anchors and of classifiers."""
    terms = {
        "id": torch.stack([identity_cross_entropy(score, labels, config.label_smoothing)
                           for score in out.scores]).mean(),
        "triplet": batch_hard_triplet(out.feature, labels, config.margin),
        "anchor_diversity": off_diagonal_cosine(out.anchors),
    }
    total = terms["id"] + terms["triplet"] + config.anchor_diversity * terms["anchor_diversity"]
    if len(head.classifiers) > 1:
        terms["classifier_diversity"] = off_diagonal_cosine(
            torch.stack([classifier.weight.flatten() for classifier in head.classifiers]))
        total = total + config.classifier_diversity * terms["classifier_diversity"]
    return {**terms, "loss": total}


@torch.inference_mode()
def cache_tokens(path: Path, model: ReidModel, data: TrainingImages, finetune: Finetune, config: Saga,
                 spec: ClipSpec, batch: int = 256) -> np.ndarray:
    """Patch tokens of augmented views, fp16 [n, views, T, D], memory-mapped at `path`.

    Each batch draws from its own generator, so the cache does not depend on where it was cut short.
    """
    if path.is_file():
        return np.load(path, mmap_mode="r")
    device = next(model.parameters()).device
    count, tokens = len(data.rows), model.encoder.grid[0] * model.encoder.grid[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        shape = (count, config.views, tokens, model.encoder.width)
        with open(temporary, "wb") as file:  # a full disk is an error now, not a SIGBUS while mapped
            os.posix_fallocate(file.fileno(), 0, 2 * math.prod(shape) + 4096)
        cache = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
        for start in tqdm(range(0, count, batch), desc="saga: token cache", disable=None):
            chosen = np.arange(start, min(start + batch, count))
            sides = model.side.index(data.cameras[chosen], data.views[chosen]).to(device) if model.side else None
            for view in range(config.views):
                generator = Generator().manual_seed(hash_seed(config.seed, start, view))
                images = augment(data.take(chosen, finetune.occluded, generator), finetune, spec, generator)
                out = model.encode(images.to(device), sides, (config.token_block,))
                cache[chosen, view] = out.taps[config.token_block][:, 1:].half().cpu().numpy()
        cache.flush()
        del cache
    return np.load(path, mmap_mode="r")


def hash_seed(*parts: int) -> int:
    """One 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def saga_job(phase: str, config: Saga, head: SagaHead, text: TextEncoder, tokens: np.ndarray, labels: np.ndarray,
             validate: Callable[[], dict[str, float]] | None) -> Job:
    """Phase "3a" (constant rate after warm-up) or "3b" (cosine) as a `Job`; one cached view per sample."""
    first = phase == "3a"
    epochs, rate = (config.epochs_a, config.lr_a) if first else (config.epochs_b, config.lr_b)
    sampler = IdentitySampler(labels, config.identities, config.images, config.seed + (0 if first else 1))
    classifiers = list(head.classifiers.parameters())
    heavy = {id(parameter) for parameter in classifiers}
    rest = [p for p in head.parameters() if p.requires_grad and id(p) not in heavy]
    optimizer = torch.optim.AdamW([{"params": rest}, {"params": classifiers, "lr": rate * config.classifier_lr_factor}],
                                  lr=rate, weight_decay=config.weight_decay)
    device = next(head.parameters()).device

    def losses(chosen: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        view = torch.randint(tokens.shape[1], (len(chosen),), generator=generator).numpy()
        batch = torch.from_numpy(tokens[chosen, view]).float().to(device)
        return stage3_losses(head(batch, head.anchors(text)), torch.from_numpy(labels[chosen]).to(device), head, config)

    def lr_factor(epoch: int, step: int, steps: int) -> float:
        return warmup_then(epoch, config.warmup_epochs, epochs, 1.0 if first else config.min_lr_ratio)

    return Job(f"saga {phase}", head, optimizer, epochs, sampler.batches, losses, lr_factor, config.seed,
               config.identities * config.images, validate)
