"""What the gate gains on held-out identities, and what exact masks would.

Shapes: N images, H rows, W columns.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from reanchor.clip.model import ClipSpec
from reanchor.config.sections.data import Occlude
from reanchor.formats.labels import Labels
from reanchor.formats.occlusion import BACKGROUND, visible_mask
from reanchor.methods.clip_reid.model import ReidModel, retrieval_feature
from reanchor.methods.gate.feature import gated_feature, look
from reanchor.methods.gate.gates import Gates
from reanchor.methods.gate.targets import ExactGates
from reanchor.occlusion.plan import suite_name
from reanchor.retrieval.validation import CONDITIONS, Validation
from reanchor.training.augment import normalise

OWN = "own"


def chosen_conditions(config: Occlude) -> tuple[str, ...]:
    """Whole bodies, OGor, and the middle ratio of masks and of pasted people."""
    middle = [suite_name(kind, sorted(set(ratios))[len(set(ratios)) // 2])
              for kind, ratios in (("masking", config.masking_ratios), ("people", config.people_ratios)) if ratios]
    return (*CONDITIONS, *middle)


def compare_gates(model: ReidModel, spec: ClipSpec, prepared: Path, occluded: Path,
                  conditions: tuple[str, ...]) -> dict[str, float]:
    """mAP of one gated model by "<gates>_mAP_<condition>": its plain [CLS], its own gates, and exact ones.

    The last need person masks and are left out without them.
    """
    view, figures = Validation.open(prepared, occluded, conditions), {}
    masks = validation_masks(view)
    sources: dict[str, Gates | str | None] = {"plain": None, "gated": OWN}
    if masks is not None:
        sources["exact"] = ExactGates(model.encoder.plain)
    for source, gates in sources.items():
        features = {name: embed(model, spec, images, view.query_labels, gates, masks and masks[name])
                    for name, images in view.queries.items()}
        gallery = embed(model, spec, view.gallery, view.gallery_labels, gates, masks and masks["gallery"])
        found = view.score_features(gallery, features)
        figures |= {name.replace("val_", f"{source}_"): round(value, 2) for name, value in found.items()
                    if name != "score"}
    return figures


@torch.inference_mode()
def embed(model: ReidModel, spec: ClipSpec, images: np.ndarray, labels: Labels, gates: Gates | str | None,
          masks: np.ndarray | None, batch: int = 256) -> np.ndarray:
    """Unit features of images [N, H, W, 3] by these gates; OWN: the model's; None: by the plain [CLS]."""
    device, encoder, parts = next(model.parameters()).device, model.encoder, []
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        pixels = normalise(torch.from_numpy(np.array(images[part])), spec.mean, spec.std).to(device)
        side, seen = None, labels[part]
        if model.side is not None:
            side = model.side(model.side.index(seen.camids, seen.viewids).to(device))
        if gates is None:
            parts.append(F.normalize(retrieval_feature(encoder.plain(pixels, side).features), dim=1))
        elif gates is OWN:
            parts.append(look(encoder, pixels, side)[1])
        else:
            known = None if masks is None else torch.from_numpy(np.array(masks[part]))
            out = encoder.replay(pixels, gates(pixels, known), side, both=True)
            parts.append(gated_feature(out, encoder.plain_weight))
    return torch.cat(parts).cpu().numpy()


def validation_masks(view: Validation) -> dict[str, np.ndarray] | None:
    """Labels [N, H, W] of the validation gallery ("gallery") and of the queries of each condition, row by row as
    `Validation` has them; None where the dataset has no person masks."""
    study = view.study
    if study.parts is None:
        return None

    def whole(rows: np.ndarray) -> np.ndarray:
        people = study.parts[rows]
        return visible_mask(people, np.zeros(people.shape, bool), BACKGROUND)

    return {"gallery": whole(study.gallery_rows)} | {
        one.name: whole(one.rows) if one.masks is None else one.masks[one.index] for one in view.conditions}
