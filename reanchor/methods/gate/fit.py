"""Training the visibility network, and how well it tells the person from all else.

Shapes: B images, T patch tokens, H rows, W columns.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Generator, Tensor

from reanchor.clip.model import ClipSpec
from reanchor.errors import ReanchorError
from reanchor.formats.suites import open_set, read_suites
from reanchor.methods.clip_reid.settings import FinetuneRecipe
from reanchor.methods.gate.anchors import AnchorNetwork
from reanchor.methods.gate.generator import OcclusionGenerator
from reanchor.methods.gate.settings import Gate
from reanchor.methods.gate.shared import SharedNetwork
from reanchor.methods.gate.targets import PLACE, targets, visible_share
from reanchor.methods.gate.visibility import VisibilityNetwork
from reanchor.retrieval.tokens import patch_shares
from reanchor.training.augment import draw_geometry, normalise
from reanchor.training.loop import Job
from reanchor.training.schedule import warmup_then

# What a token shows by the label that fills at least half of it; `person` is a pasted one.
OTHERS = {"stranger": "person", "mask": "occluder", "background": "background"}
MOST_VALIDATED = 1000  # images
Network = VisibilityNetwork | SharedNetwork | AnchorNetwork


def visibility_job(config: Gate, recipe: FinetuneRecipe, network: Network, spec: ClipSpec,
                   stream: OcclusionGenerator, rows: np.ndarray, validate: Callable[[], dict[str, float]]) -> Job:
    """Soft binary cross entropy between each token's logit and its share of visible person, as a `Job`.

    Images are flipped and cropped as in stage 2; their labels go the same way.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay)
    device = next(network.parameters()).device

    def losses(chosen: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        images, masks = stream.batch(rows[chosen], config.occluded, generator)
        geometry = draw_geometry(len(images), recipe.flip, recipe.pad, generator)
        pixels = normalise(geometry.apply(torch.from_numpy(images)), spec.mean, spec.std)
        target = targets(geometry.apply(torch.from_numpy(masks)).numpy(), network.trunk)
        logits = network(pixels.to(device))
        return {"loss": F.binary_cross_entropy_with_logits(logits.float(), target.to(device))}

    def lr_factor(epoch: int, step: int, steps: int) -> float:
        return warmup_then(epoch + step / steps, config.warmup_epochs, config.epochs, 0.01)

    batches = functools.partial(shuffled_batches, len(rows), config.batch, config.seed)
    return Job("gate: visibility network", network, optimizer, config.epochs, batches, losses, lr_factor, config.seed,
               min(config.batch, len(rows)), validate, config.validate_epochs, recipe.precision)


def shuffled_batches(count: int, batch: int, seed: int, epoch: int) -> list[np.ndarray]:
    """All of `count` positions in random order, cut into equal batches; a remainder is left out."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    batch = min(batch, count)
    return np.split(order[:count // batch * batch], count // batch)


class VisibilityValidation:
    """Occluded images of held-out identities, drawn once."""

    def __init__(self, images: np.ndarray, masks: np.ndarray, chance: float):
        self.images, self.masks, self.chance = images, masks, chance

    @classmethod
    def draw(cls, config: Gate, stream: OcclusionGenerator) -> "VisibilityValidation":
        """Up to 1,000 images of the split `val`, spread evenly, occluded as in training."""
        rows = stream.manifest.rows("val")
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_VALIDATED)).astype(int)]
        return cls(*stream.batch(rows, config.occluded, Generator().manual_seed(config.seed)), config.occluded)

    def score(self, network: Network, spec: ClipSpec) -> dict[str, float]:
        """AUC in % against each kind of token that occurs ("val_auc_<kind>"), and their mean as "score".

        Raises:
            ReanchorError: when no token is occluded.
        """
        figures = visibility_figures(network, spec, self.images, self.masks)
        if not figures:
            raise ReanchorError(f"gate.occluded: got {self.chance}, which covers no token of {len(self.images)} "
                                "held-out images; the network is chosen by telling covered tokens from visible ones: "
                                "raise it, or prepare.validation_share")
        named = {f"val_{name}": value for name, value in figures.items()}
        return {**named, "score": sum(figures.values()) / len(figures)}


@torch.inference_mode()
def visibility_figures(network: Network, spec: ClipSpec, images: np.ndarray, masks: np.ndarray,
                       batch: int = 256) -> dict[str, float]:
    """AUC in %, person against stranger, mask (or object) and background, over the tokens of all images.

    A token counts for the label that fills at least half of it; the kinds that do not occur are left out.

    Args:
        images: uint8 [B, H, W, 3]; masks: uint8 [B, H, W], labels of `reanchor.occlusion`.
    """
    device, trunk, logits, shares = next(network.parameters()).device, network.trunk, [], []
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        pixels = normalise(torch.from_numpy(np.array(images[part])), spec.mean, spec.std)
        logits.append(network(pixels.to(device)).float().cpu().numpy())
        shares.append(patch_shares(masks[part], trunk.grid, trunk.patch, trunk.stride))
    logits, shares = np.concatenate(logits), np.concatenate(shares)
    person = logits[visible_share(shares) >= 0.5]
    others = {kind: logits[shares[..., PLACE[label]] >= 0.5] for kind, label in OTHERS.items()}
    return {f"auc_{kind}": 100 * auc(person, other) for kind, other in others.items() if len(person) and len(other)}


def auc(above: np.ndarray, below: np.ndarray) -> float:
    """Chance that a value of `above` exceeds one of `below`; a tie counts half.

    >>> auc(np.array([3.0, 1.0]), np.array([2.0, 1.0]))
    0.625
    """
    ranks = stats.rankdata(np.concatenate([above, below]))
    return float((ranks[:len(above)].sum() - len(above) * (len(above) + 1) / 2) / (len(above) * len(below)))


def suite_figures(network: Network, spec: ClipSpec, occluded: Path) -> dict[str, float]:
    """AUC on every occluded suite of the validation queries, by "auc_<kind>_<suite>"."""
    figures: dict[str, float] = {}
    for entry in (one for one in read_suites(occluded)["val"] if one.get("side", "query") == "query"):
        suite = open_set(occluded, "val", entry["name"])
        found = visibility_figures(network, spec, suite.images, suite.masks)
        figures |= {f"{name}_{entry['name']}": round(value, 2) for name, value in found.items()}
    return figures
