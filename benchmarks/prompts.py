"""A CLIP-ReID stage-1 step at ViT-B/16's text-tower size against the textbook version.

Textbook: one 77-token prompt per image. Here: one prompt per identity of the batch, cut at [EOS],
behind a prefix read once. A shuffled batch of 64 of Market-1501 holds about 61 identities, so that is
the first row; batches with several images per identity gain more. Loss and gradient must agree within
1e-5 of their size. Run: python -m benchmarks.prompts
"""

import argparse
import statistics
import time
from collections.abc import Callable

import open_clip
import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from torch import Tensor

from reanchor.clip.model import freeze
from reanchor.clip.text import TextEncoder
from reanchor.clip.tokenizer import BytePairTokenizer, tokenize
from reanchor.methods.clip_reid.prompts import PromptLearner, stage1_losses
from reanchor.training.losses import supervised_contrastive


def textbook_loss(images: Tensor, labels: Tensor, learner: PromptLearner, clip: open_clip.model.CLIP,
                  tokens: Tensor) -> Tensor:
    """Every image has its own full-length prompt, as the published code computes it."""
    words = clip.token_embedding(tokens.expand(len(labels), -1))
    start = len(learner.prefix)
    context = learner.context[labels]
    x = torch.cat([words[:, :start], context, words[:, start + context.shape[1]:]], dim=1)
    x = clip.transformer(x + clip.positional_embedding, attn_mask=clip.attn_mask)
    texts = clip.ln_final(x)[:, int(tokens.argmax())] @ clip.text_projection
    return supervised_contrastive(images, texts, labels, labels) + supervised_contrastive(texts, images, labels, labels)


def step(loss: Callable[[], Tensor], learner: PromptLearner) -> tuple[float, float, Tensor]:
    """Seconds, loss and gradient of one forward and backward pass."""
    learner.context.grad = None
    started = time.perf_counter()
    value = loss()
    value.backward()
    return time.perf_counter() - started, value.item(), learner.context.grad.clone()


def compare(batch: int, identities: int, repeats: int, clip: open_clip.model.CLIP) -> None:
    """Print one row: medians, ratio, and how far loss and gradient differ, relative to their size."""
    tokenizer, text = BytePairTokenizer(), TextEncoder(clip)
    learner = PromptLearner(identities, 4, "A photo of a", "person.", text, tokenizer)
    learner.initialise(torch.Generator().manual_seed(0))
    labels = torch.arange(batch) % identities
    images = torch.randn(batch, 512, generator=torch.Generator().manual_seed(1)) / 4
    tokens = tokenize(tokenizer, ["A photo of a X X X X person."], 77)
    runs = [(step(lambda: textbook_loss(images, labels, learner, clip, tokens), learner),
             step(lambda: stage1_losses(images, labels, learner, text)["loss"], learner)) for _ in range(repeats)]
    slow, fast = (statistics.median(run[side][0] for run in runs) for side in (0, 1))
    (_, their_loss, their_gradient), (_, our_loss, our_gradient) = runs[0]
    gap = ((our_gradient - their_gradient).norm() / their_gradient.norm()).item()
    print(f"{batch:>6}{identities:>12}{slow:>12.2f}{fast:>12.3f}{slow / fast:>9.1f} x"
          f"{abs(our_loss - their_loss) / their_loss:>12.1e}{gap:>12.1e}", flush=True)


def main() -> None:
    """Print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--identities", type=int, nargs="+", default=[61, 16], help="identities in the batch")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(0)
    clip = freeze(open_clip.model.CLIP(512, CLIPVisionCfg(layers=1, width=64, patch_size=16, image_size=32),
                                       CLIPTextCfg(width=512, heads=8, layers=12), quick_gelu=True))
    print(f"{'batch':>6}{'identities':>12}{'textbook s':>12}{'reanchor s':>12}{'ratio':>11}{'loss gap':>12}"
          f"{'grad gap':>12}   ({torch.get_num_threads()} threads, {options.repeats} repeats, medians)")
    for identities in options.identities:
        compare(options.batch, identities, options.repeats, clip)


if __name__ == "__main__":
    main()
