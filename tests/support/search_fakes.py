"""A small text-based study on disk, and searchers whose similarities are known."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from evaluation_fakes import GRID, HEIGHT, WIDTH, draw_person, person_mask

from reanchor.clip.tokenizer import WordTokenizer
from reanchor.config.sections.judging import Search
from reanchor.files import write_json
from reanchor.formats.images import write_store
from reanchor.formats.labels import Labels
from reanchor.formats.manifest import Manifest
from reanchor.formats.occluded_set import OccludedSet, record, write_occluded
from reanchor.formats.occlusion import Occlusion
from reanchor.formats.overlay import Overlay
from reanchor.formats.searcher import Searcher
from reanchor.formats.sentences import SentenceQueries
from reanchor.retrieval.judge import judge
from reanchor.retrieval.opening import open_search_study
from reanchor.retrieval.study import Condition, Study

SHIRT, TROUSERS = np.s_[:, 26:54, 14:34], np.s_[:, 58:90, 15:22]


def coded(colour: np.ndarray) -> str:
    """A colour as a word of three letters."""
    return "".join(chr(ord("a") + int(value) // 10) for value in colour)


def sentence(pid: int, which: int) -> str:
    shirt, trousers = np.random.default_rng(1000 + pid).integers(30, 226, (2, 3))
    text = f"A person in a {coded(shirt)} shirt and {coded(trousers)} trousers."
    return text if which == 0 else f"{coded(shirt)} shirt, {coded(trousers)} trousers & a bag"


def write_study(root: Path, identities: int = 8, text_layout: bool = False, captions: bool = True) -> Path:
    """data/prepared and data/occluded below `root`: per person one described query and three gallery images, four
    distractors and one junk image; with `text_layout` no query images, the gallery is described."""
    rng = np.random.default_rng(0)
    people = [("query", pid, 1) for pid in range(1, identities + 1)] * (not text_layout)
    people += [("gallery", pid, cam) for pid in range(1, identities + 1) for cam in (1, 2, 3)]
    people += [("gallery", 0, 1)] * 4 + [("gallery", -1, 1)]
    described = "gallery" if text_layout else "query"
    texts = [[sentence(pid, which) for which in (0, 1)] if captions and split == described else []
             for split, pid, _ in people]
    splits, pids, camids = (np.array(column) for column in zip(*people, strict=True))
    images = [draw_person(int(pid) if pid > 0 else 500 + i, int(cam), rng)
              for i, (pid, cam) in enumerate(zip(pids, camids, strict=True))]
    names, count = [f"{i:03d}" for i in range(len(people))], len(people)
    prepared = root / "data/prepared"
    prepared.mkdir(parents=True)
    Manifest(names, [f"{name}.jpg" for name in names], pids.astype(np.int64), camids.astype(np.int32),
             np.zeros(count, np.int32), splits, texts, np.full(count, WIDTH, np.int32),
             np.full(count, HEIGHT, np.int32), [""] * count,
             {"card": "streetfolk", "kind": "person"}).write(prepared / "manifest.parquet")
    write_store(prepared / "images.arrow", images)
    write_json(prepared / "statistics.json", {"found": {"junk": 2}})
    occlude_gallery(root / "data/occluded", splits, pids, images, names)
    return root


def occlude_gallery(folder: Path, splits, pids, images, names) -> None:
    """gallery-ogor: the first gallery image of each person behind a grey box over the trousers."""
    gallery = np.flatnonzero((splits == "gallery") & (pids > 0))
    _, first = np.unique(pids[gallery], return_index=True)
    copies = []
    for row in gallery[np.sort(first)]:
        image, mask = images[row].copy(), person_mask()
        image[50:], mask[50:] = 128, 2
        one = Occlusion(image, mask, "ogor", "box", "box.png", (0, 50, WIDTH, HEIGHT), 0.5, 46 / HEIGHT, 1)
        copies.append((record(int(row), names[row], int(pids[row]), 1, one), image, mask))
    written = write_occluded(folder / "test/gallery-ogor", copies, len(copies), "labels")
    write_json(folder / "suites.json", {"test": [  # the first is of queries and not there: nobody may open it
        {"name": "ogor", "side": "query", "kind": "ogor", "series": "ogor", "ratio": None, "sha256": "00"},
        {"name": "gallery-ogor", "side": "gallery", "kind": "ogor", "series": "gallery-ogor", "ratio": None,
         "sha256": written.sha256}]})


def open_study(root: Path) -> Study:
    return open_search_study(root / "data/prepared", root / "data/occluded")


@dataclass
class ColourSearcher(Searcher):
    """Colours of shirt and trousers, as a dual encoder's unit features; `noise` on the images'."""

    name: str = "colours"
    noise: float = 0.0
    seen: list[int] = field(default_factory=list)  # images of each call
    grid: tuple[int, int] | None = GRID

    def images(self, images):
        self.seen.append(len(images))
        colours = np.concatenate([images[part].mean((1, 2)) for part in (SHIRT, TROUSERS)], 1) - 128
        noise = np.stack([np.random.default_rng(int(image.sum())).standard_normal(6) for image in images])
        return {"feature": unit(colours + self.noise * noise)}

    def sentences(self, sentences):
        codes = [re.findall(r"([a-z]{3}) (?:shirt|trousers)", text.lower()) for text in sentences]
        values = np.array([[10 * (ord(letter) - ord("a")) + 5 for word in words for letter in word]
                           for words in codes])
        return {"feature": unit(values - 128)}

    def similarity(self, sentences, images):
        return sentences["feature"] @ images["feature"].T


def unit(values: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.as_tensor(values, dtype=torch.float32), dim=1)


class TokenSearcher(ColourSearcher):
    """The same features as two tokens an image and three a sentence, and some tokens kept."""

    context = 11

    def __init__(self, name: str = "tokens"):
        super().__init__(name)
        self.tokenizer = WordTokenizer(["a", "person", "shirt", "trousers", "and", "in"])

    def images(self, images):
        feature = super().images(images)["feature"]
        kept = torch.tensor([[20, 8, 15]]).expand(len(images), -1)
        return {"tokens": torch.stack([feature, 0 * feature], 1), "patch_index": kept}

    def sentences(self, sentences):
        feature = super().sentences(sentences)["feature"]
        return {"tokens": torch.stack([feature, 0 * feature, -feature], 1),
                "word_index": torch.tensor([[4, 0, 30]]).expand(len(sentences), -1)}

    def similarity(self, sentences, images):
        pairs = torch.einsum("sud,gvd->sguv", sentences["tokens"], images["tokens"])
        return pairs.flatten(2).amax(2)


@dataclass
class TableSearcher(Searcher):
    """Similarities out of a table: image and sentence are known by their number."""

    table: np.ndarray  # float32 [S, all images]
    name: str = "table"
    grid: tuple[int, int] | None = None

    def images(self, images):
        return {"number": torch.as_tensor(images[:, 0, 0, 0].astype(np.int64))}

    def sentences(self, sentences):
        return {"number": torch.tensor([int(text) for text in sentences])}

    def similarity(self, sentences, images):
        return torch.as_tensor(self.table)[sentences["number"]][:, images["number"]]


def table_study(query_pids, gallery_pids, suites=()) -> Study:
    """Sentence i is text "i" about a person; image j has pixel value j. Nobody described is in the gallery himself.

    suites: states of the gallery, (numbers of images, their places in it, name).
    """
    pids = np.array([*query_pids, *gallery_pids])
    described, gallery = np.arange(len(query_pids)), np.arange(len(query_pids), len(pids))
    images = np.zeros((len(pids), 4, 2, 3), np.uint8)
    images[gallery] = np.arange(len(gallery), dtype=np.uint8)[:, None, None, None]
    study = Study(images, Labels(pids, np.ones(len(pids), int)), described, gallery, [],
                  SentenceQueries(described, [str(i) for i in described]))
    study.suites.extend(_replaced(study, *suite) for suite in suites)
    return study


def _replaced(study: Study, numbers: list[int], places: list[int], name: str = "gallery-ogor") -> Condition:
    images, rows = np.zeros((len(numbers), 4, 2, 3), np.uint8), study.gallery_rows[places]
    images += np.array(numbers, np.uint8)[:, None, None, None]
    copies = OccludedSet(images, np.zeros(images.shape[:3], np.uint8), rows, pa.table({"row": rows}))
    return dataclasses.replace(study.whole, name=name, kind="ogor", ratio=None, gallery=Overlay(study.images, copies))


def fill_search(root: Path, config: Search | None = None) -> Study:
    """reports/search of a study below `root`, three methods."""
    study = open_study(root)
    methods = {"zero_shot": lambda: ColourSearcher(noise=60.0), "tbps_clip": lambda: ColourSearcher(noise=25.0),
               "mgcc": TokenSearcher}
    metrics = judge(config or Search(bootstrap=100, cost_repeats=1), study, methods, root / "reports/search",
                    lambda line: None)
    (root / "reports/search/metrics.json").write_text(json.dumps(metrics))
    return study
