"""Can SAGA's rebuilt feature serve sentences? The workspace's models, a linear map to the text space, three seeds.

    dvc repro saga
    python -m benchmarks.saga_text [--seeds 0 1 2] [--epochs 12]

The authors' code holds a projection of the refined feature to the text space and never trains it. Here one linear
map per row, from unit features of the frozen image models to the backbone's joint space, learns CLIP's contrast with
the training identities' sentences (the text tower is frozen, images with an OGor copy are seen as the copy). Nothing is
selected: the last epoch is judged, on test identities, over the whole gallery and the partly occluded one. The maps
of [CLS] and of the untouched backbone are the controls: same training, another feature.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.text_tables import Found, report
from reanchor.clip.model import Clip
from reanchor.config.load import load
from reanchor.config.sections.judging import Search
from reanchor.formats.searcher import Encoded, Searcher
from reanchor.methods.clip_reid.embedder import seen_by
from reanchor.methods.embedders import load_embedder
from reanchor.methods.searchers import load_searcher
from reanchor.retrieval.measure import measure_method
from reanchor.retrieval.opening import open_search_study
from reanchor.retrieval.study import Study
from reanchor.retrieval.tables import per_sentence
from reanchor.text.pairs import SentencePairs, pair_batches
from reanchor.training.losses import clip_contrastive
from reanchor.training.schedule import warmup_then

BATCH, RATE = 128, 1e-3
REFERENCE = "[CLS] of CLIP-ReID"
ROWS = {  # which parts of `Parts` a row's map reads
    "[CLS] of the untouched backbone": ("zero_shot",),
    REFERENCE: ("cls",),
    "SAGA, refined": ("refined",),
    "SAGA, refined, and its [CLS]": ("refined", "cls"),
    "SAGA, refined, and the untouched [CLS]": ("refined", "zero_shot"),
}


class Parts:
    """Unit features of the frozen models, by name, [B, D] each."""

    def __init__(self, models: Path):
        self.saga = load_embedder(models / "saga", variant="refined")
        self.zero_shot = load_searcher(models / "backbone")

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> dict[str, Tensor]:
        """Of uint8 images [B, H, W, 3] of any camera."""
        refined, cls, _ = self.saga.aggregated(images, seen_by(np.ones(len(images), np.int64), None))[1]
        plain = self.zero_shot.images(images)["feature"]
        return {name: F.normalize(part.float(), dim=1).clone()
                for name, part in (("refined", refined), ("cls", cls), ("zero_shot", plain))}


class Projected(Searcher):
    """Parts of the image models through one linear map, sentences as the backbone reads them."""

    def __init__(self, name: str, parts: Parts, names: Sequence[str], projection: nn.Linear):
        self.name, self.parts, self.names, self.projection = name, parts, names, projection
        self.preprocessing = parts.zero_shot.preprocessing
        self.tokenizer, self.context = parts.zero_shot.tokenizer, parts.zero_shot.context

    @torch.inference_mode()
    def images(self, images: np.ndarray) -> Encoded:
        """{"feature": unit [B, E]}."""
        found = self.parts(images)
        return {"feature": F.normalize(self.projection(side_by_side(found, self.names)), dim=1)}

    def sentences(self, sentences: Sequence[str]) -> Encoded:
        """{"feature": unit [B, E]}."""
        return self.parts.zero_shot.sentences(sentences)

    def similarity(self, sentences: Encoded, images: Encoded) -> Tensor:
        """Cosines [sentences, images]."""
        return sentences["feature"] @ images["feature"].T


def side_by_side(found: dict[str, Tensor], names: Sequence[str]) -> Tensor:
    """The named parts, [B, sum of widths]."""
    return torch.cat([found[name] for name in names], dim=1)


def training_features(parts: Parts, pairs: SentencePairs) -> tuple[dict[str, Tensor], Tensor]:
    """Parts of every training image (of its OGor copy where it has one), and features of every sentence."""
    data, found = pairs.images, []
    for start in tqdm(range(0, len(data.rows), 256), desc="training images", disable=None):
        chosen = np.arange(start, min(start + 256, len(data.rows)))
        found.append(parts(data.take(chosen, 1.0, torch.Generator().manual_seed(0))))
    texts = [parts.zero_shot.sentences(pairs.texts[start:start + 256])["feature"]
             for start in tqdm(range(0, len(pairs), 256), desc="sentences", disable=None)]
    return {name: torch.cat([one[name] for one in found]) for name in found[0]}, torch.cat(texts).clone()


def train(features: Tensor, texts: Tensor, owner: Tensor, scale: float, epochs: int, seed: int) -> nn.Linear:
    """The map [D] -> [E] after the last epoch."""
    torch.manual_seed(seed)
    projection = nn.Linear(features.shape[1], texts.shape[1])
    log_scale = nn.Parameter(torch.tensor(scale))
    optimizer = torch.optim.AdamW([*projection.parameters(), log_scale], lr=RATE, weight_decay=0.01)
    batches = pair_batches(len(texts), BATCH, seed)
    for epoch in tqdm(range(epochs), desc="map", leave=False, disable=None):
        order = batches(epoch)
        for step, chosen in enumerate(order):
            for group in optimizer.param_groups:
                group["lr"] = RATE * warmup_then(epoch + step / len(order), 0, epochs, 0.0)
            pair = torch.from_numpy(chosen)
            loss = clip_contrastive(projection(features[owner[pair]]), texts[pair], log_scale.exp())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return projection.eval()


def main() -> None:
    """Train the maps, judge them, print both galleries' tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    root, config = Path.cwd(), Search(cost_repeats=0)
    torch.set_num_threads(load("params.yaml").runtime.threads)
    parts, clip = Parts(root / "models"), Clip.load(root / "models/backbone")
    study = open_search_study(root / "data/prepared", root / "data/occluded")
    pairs = SentencePairs.open(root / "data/prepared", root / "data/occluded", clip.spec)
    images, texts = training_features(parts, pairs)
    owner, scale = torch.from_numpy(pairs.owner), clip.network.logit_scale.item()
    found: dict[str, list[Found]] = {"zero-shot, no map": [judged(parts.zero_shot, study, config)]}
    for row, names in ROWS.items():
        for seed in options.seeds:
            projection = train(side_by_side(images, names), texts, owner, scale, options.epochs, seed)
            found.setdefault(row, []).append(judged(Projected(row, parts, names, projection), study, config))
    report(REFERENCE, found, study)


def judged(searcher: Searcher, study: Study, config: Search) -> Found:
    """Values of every sentence under each gallery."""
    measured = measure_method(searcher.name, searcher, study, config)[searcher.name]
    return {f"{condition}/{metric}": values for condition, ranking in measured.rankings.items()
            for metric, values in per_sentence(ranking).items()}


if __name__ == "__main__":
    main()
