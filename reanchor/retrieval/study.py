"""What is judged: pictures or sentences search a gallery, and both sides may be partly occluded."""

from dataclasses import dataclass

import numpy as np

from reanchor.formats.labels import Labels
from reanchor.formats.occlusion import RATIO_TOLERANCE
from reanchor.formats.overlay import Overlay
from reanchor.formats.preprocessing import Preprocessing
from reanchor.formats.sentences import SentenceQueries
from reanchor.retrieval.ranking import JUNK

DISTRACTOR = 0
GALLERY, BOTH = "gallery", "both"  # what names of conditions begin with


@dataclass(frozen=True)
class Condition:
    """A state of the queries and of the gallery. `images[index]` are the queries' pictures; `rows` their manifest rows.

    Sentences have no state of their own: of theirs only the gallery differs.
    """

    name: str  # "whole", "ogor", "masking-0.30", "gallery-masking-0.30", "both-masking-0.30", ...
    kind: str  # the name without its ratio: whole, ogor, masking, people, gallery-masking ...
    ratio: float | None  # occluded share of the image, None where it varies
    images: np.ndarray  # uint8 [N, H, W, 3]
    masks: np.ndarray | None  # uint8 [N, H, W], labels of the occluded sets
    index: np.ndarray  # int64 [Q]
    rows: np.ndarray  # int64 [Q]
    sha256: str = ""
    gallery: Overlay | None = None  # where some of its rows are occluded
    covered: float | None = None  # mean share of its occluded images that is covered, where it is known

    @property
    def on_ratio(self) -> bool:
        """Whether `covered` is `ratio`, within the generator's tolerance: people behind may find no room for it."""
        return self.ratio is None or self.covered is None or abs(self.covered - self.ratio) <= RATIO_TOLERANCE

    @property
    def query_set(self) -> str:
        """Conditions of one query set have the same query features."""
        return "whole" if self.name.startswith(f"{GALLERY}-") else self.name.removeprefix(f"{BOTH}-")


@dataclass(frozen=True)
class Study:
    """Everything judging reads: the prepared dataset, its queries, and occluded copies of queries and gallery.

    Without `sentences` the queries are pictures. With them the query rows are those of the pictures that the sentences
    describe, one for each sentence.
    """

    images: np.ndarray  # uint8 [N, H, W, 3], by manifest row
    labels: Labels  # by manifest row
    query_rows: np.ndarray  # int64 [Q]
    gallery_rows: np.ndarray  # int64 [G]
    suites: list[Condition]
    sentences: SentenceQueries | None = None
    junk_left_out: int = 0  # before this gallery, already
    card: str = ""  # the dataset's protocol card, and what it says:
    kind: str = ""  # person or vehicle
    card_rule: str = "auto"  # camera rule
    galleries: int = 1  # random galleries that whole-body figures are means over
    interpolation: str = ""  # of the images' resize, where it is known
    parts: np.ndarray | None = None  # uint8 [N, H, W] body parts by manifest row: `reanchor.retrieval.anchors`
    held_out: bool = True  # False: every training identity is trained on, so nothing can be chosen
    untrainable: str = ""  # why no method can be trained on the captions; "": they suffice

    @property
    def whole(self) -> Condition:
        return Condition("whole", "whole", 0.0, self.images, None, self.query_rows, self.query_rows)

    @property
    def by_sentence(self) -> bool:
        """Whether sentences are the queries."""
        return self.sentences is not None

    @property
    def preprocessing(self) -> Preprocessing:
        """How the images were prepared."""
        return Preprocessing(*self.images.shape[1:3], self.interpolation)

    @property
    def query(self) -> Labels:
        """Labels of the queries (of sentences: of the pictures they describe), [Q]."""
        return self.labels[self.query_rows]

    @property
    def gallery(self) -> Labels:
        """Labels of the gallery, [G]."""
        return self.labels[self.gallery_rows]

    @property
    def unmatched(self) -> int:
        """Queries about people who are not in the gallery."""
        return int((~np.isin(self.query.pids, self.gallery.pids)).sum())

    def conditions(self) -> list[Condition]:
        """Whole bodies first."""
        return [self.whole, *self.suites]

    def camera_rule(self, wanted: str) -> str:
        """What "auto" stands for here: the card's rule; else market, or none where all images have one camera."""
        if wanted != "auto":
            return wanted
        if self.card_rule != "auto":
            return self.card_rule
        rows = np.concatenate([self.query_rows, self.gallery_rows])
        return "market" if len(np.unique(self.labels.camids[rows])) > 1 else "none"

    def own(self, query_rows: np.ndarray, gallery_rows: np.ndarray) -> np.ndarray:
        """Gallery position of each query itself, which is no match of it; -1 where it is not there.

        A sentence may be answered by the picture it was written for.
        """
        return np.full(len(query_rows), -1) if self.by_sentence else own_rows(query_rows, gallery_rows)

    def places(self, condition: Condition) -> np.ndarray:
        """Gallery positions of the condition's occluded pictures, int64 [R]."""
        overlay = condition.gallery
        return np.empty(0, np.int64) if overlay is None else own_rows(overlay.rows, self.gallery_rows)

    def picture(self, condition: Condition, place: int) -> np.ndarray:
        """The gallery's picture at `place` under a condition, uint8 [H, W, 3]."""
        images = self.images if condition.gallery is None else condition.gallery
        return images[self.gallery_rows[place]]

    def gallery_counts(self, gallery_rows: np.ndarray) -> dict[str, int]:
        """Sizes of a gallery of these manifest rows."""
        pids = self.labels.pids[gallery_rows]
        return {"gallery": int((pids != JUNK).sum()), "distractors": int((pids == DISTRACTOR).sum()),
                "junk_dropped": int((pids == JUNK).sum()) + self.junk_left_out,
                "gallery_identities": len(np.unique(pids[(pids != JUNK) & (pids != DISTRACTOR)]))}


def own_rows(rows: np.ndarray, gallery_rows: np.ndarray) -> np.ndarray:
    """Gallery position of each row, -1 where it is not in the gallery."""
    order = np.argsort(gallery_rows, kind="stable")
    place = np.minimum(np.searchsorted(gallery_rows[order], rows), len(order) - 1)
    return np.where(gallery_rows[order[place]] == rows, order[place], -1)
