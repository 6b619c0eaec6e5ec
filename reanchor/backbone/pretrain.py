"""Pre-training the small CLIP on rendered people who occur in no later split.

Besides CLIP's contrast on [CLS], a second contrast asks the *pooled patch tokens* of one
block to match the caption: pooled over a random subset, so that every region must carry the
person and no region can lean on [CLS]. Aggregating such tokens is then worth something.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from reanchor.clip.model import Clip, ClipSpec
from reanchor.clip.text import TextEncoder
from reanchor.clip.tokenizer import tokenize
from reanchor.clip.vision import ImageEncoder
from reanchor.config.params import Runtime
from reanchor.config.sections.backbone import Pretrain
from reanchor.streetfolk.captions import vocabulary
from reanchor.streetfolk.people import People, render_people
from reanchor.training import checkpoint
from reanchor.training.augment import normalise, random_flip
from reanchor.training.device import choose_device
from reanchor.training.loop import Job, Trainer
from reanchor.training.losses import clip_contrastive
from reanchor.training.recorder import Recorder

EPOCH_STEPS = 50
HELD_OUT = 100  # identities


@dataclass
class Pairs:
    """Images with captions, in memory."""

    images: np.ndarray  # uint8 [N, H, W, 3]
    tokens: Tensor  # int64 [N, captions per image, context]
    pids: np.ndarray  # int64 [N]


def blank_clip(config: Pretrain, image_size: tuple[int, int], vocabulary: list[str]) -> Clip:
    """A randomly initialised network of open_clip's own classes, seeded."""
    spec = ClipSpec(
        architecture={
            "embed_dim": config.embed,
            "quick_gelu": False,
            "vision_cfg": {"image_size": list(image_size), "patch_size": config.patch, "width": config.vision_width,
                           "layers": config.vision_layers, "head_width": config.vision_width // config.heads},
            "text_cfg": {"context_length": config.context, "vocab_size": 0, "width": config.text_width,
                         "heads": config.heads, "layers": config.text_layers},
        },
        image_size=image_size, vocabulary=vocabulary, origin="pre-trained on rendered people",
    )
    spec.architecture["text_cfg"]["vocab_size"] = spec.tokenizer().size
    torch.manual_seed(config.seed)
    return Clip(spec, spec.network())


def encode_captions(clip: Clip, captions: list[list[str]]) -> Tensor:
    """[N, captions per image, context] token ids; images have equally many captions."""
    each = len(captions[0])
    flat = [caption for per_image in captions for caption in per_image]
    context = clip.spec.architecture["text_cfg"]["context_length"]
    return tokenize(clip.spec.tokenizer(), flat, context).view(len(captions), each, context)


class PretrainModule(nn.Module):
    """Both towers, CLIP's temperature and the projection of pooled patch tokens."""

    def __init__(self, clip: Clip, token_block: int):
        super().__init__()
        self.image = ImageEncoder(clip.network.visual, tuple(clip.spec.image_size))
        self.text = TextEncoder(clip.network)
        self.log_scale = clip.network.logit_scale
        self.token_block = token_block
        self.token_norm = nn.LayerNorm(self.image.width)
        self.token_projection = nn.Linear(self.image.width, self.image.embed, bias=False)

    def scale(self) -> Tensor:
        """CLIP's temperature, at most 100."""
        return self.log_scale.clamp(max=math.log(100)).exp()

    def losses(self, images: Tensor, tokens: Tensor, token_weight: float, keep: Tensor | None,
               generator: Generator) -> dict[str, Tensor]:
        """Contrast of [CLS] and of pooled patch tokens with the captions."""
        out = self.image(images, taps=(self.token_block,), keep=keep)
        texts = self.text.encode_tokens(tokens)
        terms = {"cls": clip_contrastive(out.projected, texts, self.scale())}
        if token_weight:
            pooled = pool_random_subset(self.token_norm(out.taps[self.token_block][:, 1:]), generator)
            terms["token"] = clip_contrastive(self.token_projection(pooled), texts, self.scale())
        terms["loss"] = terms["cls"] + token_weight * terms.get("token", 0.0)
        return terms


def pool_random_subset(tokens: Tensor, generator: Generator) -> Tensor:
    """Mean over a random half of the tokens [B, T, D] -> [B, D]."""
    score = torch.rand(tokens.shape[:2], generator=generator, device="cpu").to(tokens.device)
    chosen = (score >= score.median(dim=1, keepdim=True).values).to(tokens.dtype)
    return (tokens * chosen.unsqueeze(-1)).sum(1) / chosen.sum(1, keepdim=True)


def random_keep(batch: int, tokens: int, dropout: float, generator: Generator) -> Tensor | None:
    """Patch dropout: sorted indices [batch, kept] of the tokens that stay; None keeps all."""
    if not dropout:
        return None
    kept = max(1, round(tokens * (1 - dropout)))
    order = torch.rand(batch, tokens, generator=generator).argsort(dim=1)
    return order[:, :kept].sort(dim=1).values


class PretrainRun:
    """Batches, losses and rates of one pre-training; an "epoch" is `EPOCH_STEPS` steps."""

    def __init__(self, config: Pretrain, clip: Clip, pairs: Pairs):
        self.config, self.pairs = config, pairs
        self.module = PretrainModule(clip, config.token_block)
        self.epochs = math.ceil(config.steps / EPOCH_STEPS)
        self.tokens = self.module.image.grid[0] * self.module.image.grid[1]
        self.dropout = config.patch_dropout

    def job(self) -> Job:
        """The training as a `Job`."""
        config = self.config
        optimizer = torch.optim.AdamW(_groups(self.module, config.weight_decay), lr=config.lr, betas=(0.9, 0.98))
        return Job("backbone", self.module, optimizer, self.epochs, self.batches, self.losses, self.lr_factor,
                   config.seed, config.batch)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Rows of one image each of `batch` different identities, `EPOCH_STEPS` times."""
        # the last fifth sees whole images, as evaluation will
        self.dropout = self.config.patch_dropout if epoch < 0.8 * self.epochs else 0.0
        rng = np.random.default_rng([self.config.seed, epoch])
        return [one_image_per_identity(self.pairs.pids, self.config.batch, rng) for _ in range(EPOCH_STEPS)]

    def losses(self, rows: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        """Contrastive terms of one batch, with one of each image's captions."""
        images = random_flip(torch.from_numpy(self.pairs.images[rows]), 0.5, generator)
        pick = torch.randint(self.pairs.tokens.shape[1], (len(rows),), generator=generator)
        keep = random_keep(len(rows), self.tokens, self.dropout, generator)
        tokens = self.pairs.tokens[torch.from_numpy(rows), pick]
        device = self.module.log_scale.device
        keep = None if keep is None else keep.to(device)
        return self.module.losses(normalise(images).to(device), tokens.to(device), self.config.token_weight, keep,
                                  generator)

    def lr_factor(self, epoch: int, step: int, steps: int) -> float:
        """Linear warm-up over the first twentieth, then a cosine to 0."""
        progress = (epoch * steps + step) / (self.epochs * steps)
        return min(1.0, progress / 0.05 + 1e-3) * 0.5 * (1 + math.cos(math.pi * progress))


def pretrain(config: Pretrain, image_size: tuple[int, int], checkpoints: Path, runtime: Runtime,
             recorder: Recorder) -> Clip:
    """Render people, train the towers on their images and captions, measure on people held out."""
    def people(first: int, count: int) -> People:
        return render_people(config.seed, "pretrain", range(first, first + count), config.images, config.cameras,
                             *image_size, supersample=2, processes=runtime.processes)

    clip = blank_clip(config, image_size, vocabulary())
    seen = people(0, config.identities)
    pairs = Pairs(seen.images, encode_captions(clip, seen.captions), seen.pids)
    run = PretrainRun(config, clip, pairs)
    run.module.to(choose_device(runtime.device))
    job = run.job()
    mark = checkpoint.fingerprint(__name__, asdict(config), image_size)
    outcome = Trainer(job, checkpoints / f"backbone-{mark}.pt", mark, runtime.checkpoint_steps, recorder).run()
    held_out = people(config.identities, HELD_OUT)
    fresh = Pairs(held_out.images, encode_captions(clip, held_out.captions), held_out.pids)
    clip.network.cpu().eval()
    clip.recipe = {**asdict(config), "image_size": list(image_size)}
    clip.figures = {**retrieval(clip, fresh), **outcome.figures()}
    return clip


def one_image_per_identity(pids: np.ndarray, batch: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of `batch` different identities, one random image each, so that no pair is a false negative."""
    unique, start, count = np.unique(pids, return_index=True, return_counts=True)
    chosen = rng.choice(len(unique), size=min(batch, len(unique)), replace=False)
    return start[chosen] + rng.integers(0, count[chosen])


def _groups(module: nn.Module, weight_decay: float) -> list[dict]:
    decayed = [p for p in module.parameters() if p.ndim >= 2]
    rest = [p for p in module.parameters() if p.ndim < 2]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


@torch.inference_mode()
def retrieval(clip: Clip, pairs: Pairs) -> dict[str, float]:
    """Text -> image on held-out people: share of captions whose own person is ranked first / in ten."""
    encoder, text = clip.image_encoder().eval(), clip.text_encoder()
    images = torch.cat([encoder(normalise(torch.from_numpy(pairs.images[i:i + 256]))).projected
                        for i in range(0, len(pairs.images), 256)])
    texts = torch.cat([text.encode_tokens(pairs.tokens[i:i + 256, 0]) for i in range(0, len(pairs.tokens), 256)])
    score = F.normalize(texts, dim=1) @ F.normalize(images, dim=1).T
    pids = torch.from_numpy(pairs.pids)
    hit = pids[score.topk(10, dim=1).indices] == pids[:, None]
    return {"text_R1": hit[:, 0].float().mean().item() * 100, "text_R10": hit.any(1).float().mean().item() * 100}
