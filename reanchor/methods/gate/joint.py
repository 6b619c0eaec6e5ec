"""Stage 2 and the visibility network at once, where both read the same tokens.

Shapes: B images, T patch tokens.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from reanchor.clip.model import ClipSpec
from reanchor.formats.occlusion import OBJECT
from reanchor.methods.clip_reid.finetune import finetune_job, stage2_terms
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.settings import FinetuneRecipe, LossWeights
from reanchor.methods.clip_reid.texts import Texts
from reanchor.methods.gate.generator import GeneratedImages
from reanchor.methods.gate.targets import targets
from reanchor.training.augment import draw_geometry, normalise, random_erase
from reanchor.training.loop import Job


def joint_job(recipe: FinetuneRecipe, weights: LossWeights, visibility_weight: float, model: ReidModel,
              data: GeneratedImages, texts: Texts | None, spec: ClipSpec, validate: Callable[[], dict[str, float]]
              ) -> Job:
    """Stage 2 as a `Job`, its loss + `visibility_weight` x soft cross entropy of every token's visibility.

    Images are occluded with chance `finetune.recipe.occluded` and augmented as in stage 2; what random erasing covers
    is not visible.
    """
    job = finetune_job("gate: stage 2", recipe, weights, model, data, texts, spec, validate)
    device = next(model.parameters()).device
    margin = None if recipe.soft_margin else recipe.margin

    def losses(chosen: np.ndarray, generator: Generator) -> dict[str, Tensor]:
        images, masks = visible_batch(data, chosen, recipe, spec, generator)
        labels, sides = torch.from_numpy(data.labels[chosen]).to(device), None
        if model.side is not None:
            sides = model.side.index(data.cameras[chosen], data.views[chosen]).to(device)
        out = model(images.to(device), sides)
        terms = stage2_terms(model, out, labels, weights, texts, recipe.label_smoothing, margin,
                             recipe.early_triplet, recipe.heads)
        target = targets(masks, model.encoder).to(device)
        visibility = F.binary_cross_entropy_with_logits(out.encoded.visibility.float(), target)
        return {**terms, "visibility": visibility, "loss": terms["loss"] + visibility_weight * visibility}

    return dataclasses.replace(job, losses=losses)


def visible_batch(data: GeneratedImages, chosen: np.ndarray, recipe: FinetuneRecipe, spec: ClipSpec,
                  generator: Generator) -> tuple[Tensor, np.ndarray]:
    """Normalised images [B, 3, H, W] and the labels of their pixels [B, H, W] behind stage 2's augmentation."""
    images, masks = data.stream.batch(data.rows[chosen], recipe.occluded, generator)
    geometry = draw_geometry(len(images), recipe.flip, recipe.pad, generator)
    pixels = normalise(geometry.apply(torch.from_numpy(images)), spec.mean, spec.std)
    erased = random_erase(pixels, recipe.erase, generator)
    masks = geometry.apply(torch.from_numpy(masks))
    return erased, torch.where((erased != pixels).any(1), OBJECT, masks).to(torch.uint8).numpy()
