"""A small made-up study for the tests of evaluation and report: coloured figures on a street."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from reanchor.config.sections.judging import Evaluate
from reanchor.files import write_json
from reanchor.formats.embedder import Embedder, Embedding
from reanchor.formats.labels import Labels
from reanchor.formats.occluded_set import OccludedSet
from reanchor.formats.overlay import Overlay
from reanchor.methods.histogram.embedder import ColourHistogram
from reanchor.retrieval.judge import judge
from reanchor.retrieval.study import Condition, Study

HEIGHT, WIDTH, GRID = 96, 48, (12, 6)
RATIOS = (0.1, 0.3, 0.5)


def draw_person(pid: int, camid: int, rng: np.random.Generator) -> np.ndarray:
    """One figure, uint8 [H, W, 3]: the identity's shirt and trousers on the camera's ground."""
    colours = np.random.default_rng(1000 + pid).integers(30, 226, (2, 3))
    ground = np.random.default_rng(50 + camid).integers(90, 170, 3)
    image = np.tile(ground, (HEIGHT, WIDTH, 1)).astype(np.float64)
    image += np.linspace(-25, 25, HEIGHT)[:, None, None]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    image[(rows - 16) ** 2 + (columns - 24) ** 2 < 60] = (214, 170, 140)
    image[24:56, 12:36] = colours[0]
    image[56:92, 14:23] = colours[1]
    image[56:92, 25:34] = colours[1]
    return np.clip(image + rng.normal(0, 9, image.shape), 0, 255).astype(np.uint8)


def person_mask() -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    mask = ((rows - 16) ** 2 + (columns - 24) ** 2 < 60).astype(np.uint8)
    mask[24:56, 12:36] = 1
    mask[56:92, 14:23] = mask[56:92, 25:34] = 1
    return mask


def make_study(identities: int = 12, cameras: int = 3, distractors: int = 10, seed: int = 0) -> Study:
    """One query and two gallery images per identity and camera, distractors, junk, suites of three kinds."""
    rng = np.random.default_rng(seed)
    people = [(pid, cam) for pid in range(1, identities + 1) for cam in range(1, cameras + 1)]
    gallery = [each for each in people for _ in range(2)]
    gallery += [(0, 1 + i % cameras) for i in range(distractors)] + [(-1, 1)] * 2
    labels = np.array(people + gallery)
    images = np.stack(
        [draw_person(pid if pid > 0 else 500 + i, cam, rng) for i, (pid, cam) in enumerate(labels)]
    )
    query_rows = np.arange(len(people))
    suites = [_suite(kind, ratio, images, query_rows, rng)
              for kind, ratio in [("ogor", None)] + [(k, r) for k in ("masking", "people") for r in RATIOS]]
    return Study(images, Labels(labels[:, 0], labels[:, 1]), query_rows,
                 np.arange(len(people), len(labels)), suites)


def _suite(kind: str, ratio: float | None, images: np.ndarray, rows: np.ndarray,
           rng: np.random.Generator) -> Condition:
    occluded = images[rows].copy()
    masks = np.repeat(person_mask()[None], len(rows), axis=0)
    height = round(HEIGHT * (0.35 if ratio is None else ratio))
    label = 3 if kind == "people" else 2
    for image, mask in zip(occluded, masks, strict=True):
        top = int(rng.integers(0, HEIGHT - height + 1))
        image[top : top + height] = rng.integers(0, 256, 3)
        mask[top : top + height] = label
    name = kind if ratio is None else f"{kind}-{ratio:.2f}"
    return Condition(name, kind, ratio, occluded, masks, np.arange(len(rows)), rows, sha256="ab" * 32)


@dataclass
class FakeEmbedder(Embedder):
    """Colours down the figure with noise of a chosen strength; optionally with token weights."""

    name: str
    noise: float = 0.0
    tokens: bool = False
    robust: float = 0.0  # how far tokens of the figure's box are preferred
    grid: tuple[int, int] | None = GRID

    def embed(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> Embedding:
        figure = images[:, 24:92, 14:34].reshape(len(images), 17, 4, 20, 3)
        features = figure.mean((2, 3)).reshape(len(images), -1) - 128
        noise = np.random.default_rng(int(images[0].sum())).standard_normal(features.shape)
        features = features + self.noise * noise
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        if not self.tokens:
            return Embedding(features.astype(np.float32))
        weights = np.ones((len(images), *GRID))
        weights[:, 1:, 1:5] += self.robust
        weights = weights.reshape(len(images), -1)
        return Embedding(features.astype(np.float32),
                         (weights / weights.sum(1, keepdims=True)).astype(np.float32))


class AnchoredEmbedder(FakeEmbedder):
    """The same with anchors."""

    anchored = True

    def anchor_attention(self, images: np.ndarray, camids: np.ndarray, viewids: np.ndarray | None = None) -> np.ndarray:
        """Two anchors: one sees rows 2 and 3 of the grid alone, the other everything alike."""
        attention = np.zeros((len(images), 2, *GRID), np.float32)
        attention[:, 0, 2:4], attention[:, 1] = 1 / (2 * GRID[1]), 1 / (GRID[0] * GRID[1])
        return attention.reshape(len(images), 2, -1)


def fill_workspace(root: Path, study: Study) -> None:
    """Everything the report reads, as the stages leave it below `root`."""
    methods = {"histogram": ColourHistogram, "zero_shot": lambda: FakeEmbedder("zero_shot", noise=130.0),
               "baseline": lambda: FakeEmbedder("baseline", noise=70.0),
               "clip_reid": lambda: FakeEmbedder("clip_reid", noise=60.0),
               "saga": lambda: AnchoredEmbedder("saga", noise=52.0, tokens=True, robust=2.0),
               "saga_refined": lambda: FakeEmbedder("saga_refined", noise=65.0, tokens=True, robust=0.5)}
    judge(Evaluate(bootstrap=200, batch=64), study, methods, root / "reports/evaluate")
    for stage in ("backbone", "prompts", "baseline", "clip_reid", "saga"):
        _write_curves(root / "reports" / stage)
        write_json(root / "reports" / stage / "metrics.json", {"val_mAP": 61.25, "images_per_second": 310})
    sheet = np.concatenate([np.concatenate(list(study.images[i : i + 12]), axis=1) for i in (0, 12, 24)])
    for folder in ("data/prepared", "data/occluded"):
        (root / folder).mkdir(parents=True)
        Image.fromarray(sheet).save(root / folder / "contact_sheet.png")
    write_json(root / "data/prepared/statistics.json",
               {"images": len(study.images), "splits": {"query": {"images": len(study.query_rows)}},
                "note": "<script>alert('not run')</script>"})


def _write_curves(folder: Path) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["step,epoch,loss,loss_id,loss_triplet,lr,val_mAP"]
    for step in range(0, 1200, 10):
        fall = 4 * np.exp(-step / 300)
        validation = f"{62 - 30 * np.exp(-step / 250):.3f}" if step % 200 == 0 else ""
        noise = rng.random(2) / 4
        lines.append(
            f"{step},{step // 100},{2 * fall + noise.sum():.4f},{fall + noise[0]:.4f},{fall + noise[1]:.4f},"
            f"1e-3,{validation}"
        )
    (folder / "curves.csv").write_text("\n".join(lines) + "\n")


def replaced(study, rows, seed):
    """An occluded set of these rows: stripes of noise."""
    images = study.images[rows].copy()
    images[:, 20:70] = np.random.default_rng(seed).integers(0, 256, images[:, 20:70].shape)
    return OccludedSet(images, np.zeros(images.shape[:3], np.uint8), rows, pa.table({"row": rows}))


def with_galleries(study):
    """Two suites of the study on all sides."""
    suites = []
    for seed, one in enumerate(c for c in study.suites if c.name in ("ogor", "masking-0.30", "masking-0.50")):
        overlay = Overlay(study.images, replaced(study, study.gallery_rows[seed::3], seed))
        gallery = dataclasses.replace(study.whole, name=f"gallery-{one.name}", kind=f"gallery-{one.kind}",
                                      ratio=one.ratio, gallery=overlay)
        suites += [one, gallery, dataclasses.replace(one, name=f"both-{one.name}", kind=f"both-{one.kind}",
                                                     gallery=overlay)]
    return dataclasses.replace(study, suites=suites)
