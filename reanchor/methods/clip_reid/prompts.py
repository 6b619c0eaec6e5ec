"""CLIP-ReID stage 1: learnable prompt context per identity on a frozen CLIP.

Shapes: N identities, M context vectors, W text width, L slots up to [EOS], E joint width, B batch.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Generator, Tensor, nn

from reanchor.clip.model import Clip, freeze
from reanchor.clip.text import TextEncoder
from reanchor.clip.tokenizer import Tokenizer
from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory
from reanchor.methods.clip_reid.settings import Prompts
from reanchor.training import checkpoint
from reanchor.training.device import choose_device
from reanchor.training.images import TrainingImages, average_features, plain_features
from reanchor.training.loop import Job, Trainer
from reanchor.training.losses import supervised_contrastive, text_to_average_cross_entropy
from reanchor.training.recorder import Recorder
from reanchor.training.schedule import warmup_cosine_lr
from reanchor.weight_files.safe import read_metadata, read_safetensors


class PromptLearner(nn.Module):
    """[SOS] `before` [X]_1 ... [X]_M `after` [EOS], with one context per identity (CLIP-ReID section 3.2).

    Slots behind [EOS] are left out: a causal encoder never reads them.

    Args:
        zeros: slots of zeros between context and `after` (SAGA's code learns 8 of 16 slots).
    """

    def __init__(self, identities: int, context: int, before: str, after: str, text: TextEncoder,
                 tokenizer: Tokenizer, zeros: int = 0):
        super().__init__()
        prefix = [tokenizer.sos, *tokenizer.encode(before)]
        suffix = [*tokenizer.encode(after), tokenizer.eos]
        length = len(prefix) + context + zeros + len(suffix)
        if length > text.context_length:
            raise ReanchorError(
                f"prompts.context: {context + zeros} slots make a prompt of {length} tokens; the text encoder reads "
                f"{text.context_length}; lower it by {length - text.context_length}"
            )
        device = text.token_embedding.weight.device
        with torch.no_grad():
            self.register_buffer("prefix", text.token_embedding(torch.tensor(prefix, device=device)))
            words = text.token_embedding(torch.tensor(suffix, device=device))
            self.register_buffer("suffix", torch.cat([words.new_zeros(zeros, text.width), words]))
        self.context = nn.Parameter(torch.empty(identities, context, text.width))

    def initialise(self, generator: Generator) -> None:
        """N(0, .02), as the authors' code."""
        with torch.no_grad():
            self.context.normal_(0, 0.02, generator=generator)

    def forward(self, labels: Tensor) -> Tensor:
        """Prompts of these identities as word embeddings [B, L, W]."""
        return torch.cat([self.prefix.expand(len(labels), -1, -1), self._tail(labels)], dim=1)

    def encode(self, labels: Tensor, text: TextEncoder) -> Tensor:
        """Text features [B, E] of these identities; the prefix they share is read once."""
        return text.continue_from(text.read_prefix(self.prefix), self._tail(labels))

    def identities(self) -> Tensor:
        """The label of every identity, [N]."""
        return torch.arange(len(self.context), device=self.context.device)

    def _tail(self, labels: Tensor) -> Tensor:
        return torch.cat([self.context[labels], self.suffix.expand(len(labels), -1, -1)], dim=1)


def stage1_losses(images: Tensor, labels: Tensor, learner: PromptLearner, text: TextEncoder,
                  temperature: float = 1.0, normalised: bool = False) -> dict[str, Tensor]:
    """L_i2t + L_t2i (CLIP-ReID eq. 5) of image features [B, E].

    Each identity of the batch is encoded once and its text feature repeated: same values and
    gradients as one prompt per image, for the price of the distinct identities.
    """
    unique, inverse = labels.unique(return_inverse=True)
    texts = learner.encode(unique, text)[inverse]
    if normalised:
        images, texts = F.normalize(images, dim=1), F.normalize(texts, dim=1)
    images = images / temperature
    i2t = supervised_contrastive(images, texts, labels, labels)
    t2i = supervised_contrastive(texts, images, labels, labels)
    return {"i2t": i2t, "t2i": t2i, "loss": i2t + t2i}


def average_losses(averages: Tensor, labels: Tensor, learner: PromptLearner, text: TextEncoder,
                   temperature: float = 1.0, normalised: bool = False) -> dict[str, Tensor]:
    """L_t2ice of these identities [B] over all identities' mean image features [N, E] (CLIP-ReID eq. 10)."""
    texts = learner.encode(labels, text)
    if normalised:
        averages, texts = F.normalize(averages, dim=1), F.normalize(texts, dim=1)
    return {"loss": text_to_average_cross_entropy(texts, averages / temperature, labels)}


@torch.inference_mode()
def text_features(learner: PromptLearner, text: TextEncoder, batch: int = 256) -> Tensor:
    """The text feature of every identity, [N, E]: the frozen classifier of stage 2."""
    return torch.cat([learner.encode(part, text) for part in learner.identities().split(batch)]).clone()


def prompts_job(config: Prompts, learner: PromptLearner, text: TextEncoder, images: Tensor, labels: Tensor) -> Job:
    """Stage 1 as a `Job` over cached image features [I, E] and labels [I].

    Where the identities' averages are asked for, a batch is one of identities.
    """
    average = config.features == "average"
    if average:
        images = average_features(images, labels)
        labels = torch.arange(len(images), device=images.device)
    optimizer = torch.optim.Adam([learner.context], lr=config.lr, weight_decay=config.weight_decay)

    def batches(epoch: int) -> list[Tensor]:
        order = np.random.default_rng([config.seed, epoch]).permutation(len(images))
        return list(torch.from_numpy(order).split(config.batch))

    def losses(rows: Tensor, generator: Generator) -> dict[str, Tensor]:
        rows = rows.to(images.device)
        if average:
            return average_losses(images, rows, learner, text, config.temperature, config.normalise)
        return stage1_losses(images[rows], labels[rows], learner, text, config.temperature, config.normalise)

    def lr_factor(epoch: int, step: int, steps: int) -> float:
        return stage1_lr(config, epoch) / config.lr

    return Job("prompts", learner, optimizer, config.epochs, batches, losses, lr_factor, config.seed, config.batch)


def stage1_lr(config: Prompts, epoch: int) -> float:
    """The rate of an epoch, 0-based. SAGA's code begins at the first rate, its cosine behind the warm-up."""
    ends = config.lr, config.warmup_epochs, config.warmup_lr, config.min_lr
    if config.schedule == "clip_reid":
        return warmup_cosine_lr(epoch + 1, config.epochs, *ends)
    if epoch < config.warmup_epochs:
        return warmup_cosine_lr(epoch, config.epochs, *ends)
    return warmup_cosine_lr(epoch - config.warmup_epochs, config.epochs - config.warmup_epochs, config.lr, 0, *ends[2:])


def train_prompts(name: str, params: Params, root: Path, out: Path, recorder: Recorder) -> dict[str, float]:
    """Stage 1 from the workspace's data and backbone; writes the context and every identity's text feature."""
    config, runtime = params.prompts, params.runtime
    device = choose_device(runtime.device)
    clip, data = Clip.load(root / "models/backbone"), TrainingImages.open(root / "data/prepared")
    text = clip.text_encoder().to(device)
    images = plain_features(freeze(clip.image_encoder()).to(device), data, clip.spec, device)
    learner = PromptLearner(data.identities, config.context, config.before, config.after, text,
                            clip.spec.tokenizer(), config.zero_slots)
    learner.initialise(Generator().manual_seed(config.seed))
    learner.to(device)
    mark = checkpoint.fingerprint(__name__, asdict(config), checkpoint.inputs(
        root / "data/prepared/manifest.parquet", root / "models/backbone/weights.safetensors",
        root / "models/backbone/model.json"))
    job = prompts_job(config, learner, text, images, torch.from_numpy(data.labels).to(device))
    figures = {}
    if config.epochs:
        figures = Trainer(job, root / f".checkpoints/prompts-{mark}.pt", mark, runtime.checkpoint_steps,
                          recorder).run().figures()
    with atomic_directory(out) as folder:
        state = {"context": learner.context.detach(), "text_features": text_features(learner, text)}
        words = json.dumps([config.before, config.after, config.zero_slots])  # several keys have no fixed order
        save_file({name: value.cpu().contiguous() for name, value in state.items()}, folder / "prompts.safetensors",
                  metadata={"words": words})
    return figures


def read_text_features(folder: Path) -> Tensor:
    """Every identity's text feature, [N, E], as `train_prompts` wrote them."""
    return read_safetensors(folder / "prompts.safetensors")["text_features"]


def read_prompts(folder: Path, text: TextEncoder, tokenizer: Tokenizer) -> PromptLearner:
    """The prompts that `train_prompts` wrote."""
    path = folder / "prompts.safetensors"
    context, words = read_safetensors(path)["context"], read_metadata(path)["words"]
    before, after, zeros = json.loads(words)
    learner = PromptLearner(len(context), context.shape[1], before, after, text, tokenizer, zeros)
    learner.context.data.copy_(context)
    return learner
