"""One method through all conditions: every query set and every picture is encoded once, then ranked.

Of an occluded gallery only the replaced pictures are encoded; they change places with the whole ones.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from reanchor.config.sections.judging import Evaluate, Search
from reanchor.formats.embedder import Embedder
from reanchor.formats.preprocessing import refuse_other_images
from reanchor.formats.searcher import Encoded, Searcher
from reanchor.retrieval.anchors import anchor_parts
from reanchor.retrieval.cost import measure_cost
from reanchor.retrieval.encode import TOKEN_WEIGHTS, exchange
from reanchor.retrieval.encoder import Encoder, PictureEncoder, SentenceEncoder
from reanchor.retrieval.ranker import Ranker, Sides
from reanchor.retrieval.ranking import Ranking
from reanchor.retrieval.study import BOTH, GALLERY, Condition, Study
from reanchor.retrieval.token_tables import token_columns, token_maps

SAMPLE_RANKS = 20


@dataclass
class Measured:
    """What one row yields: rankings by condition, the first ranks of sample queries; of pictures where token weights
    and the attention of anchors fall; of sentences what searching costs, and how many lost their end."""

    rankings: dict[str, Ranking] = field(default_factory=dict)
    samples: list[dict] = field(default_factory=list)
    token_shares: list[dict] = field(default_factory=list)
    token_maps: list[dict] = field(default_factory=list)
    anchor_parts: list[dict] = field(default_factory=list)
    cost: dict = field(default_factory=dict)
    cut: int = 0


def measure_method(name: str, method: Embedder | Searcher, study: Study, config: Evaluate | Search,
                   say: Callable[[str], None] = print, conditions: list[Condition] | None = None
                   ) -> dict[str, Measured]:
    """Encode queries and gallery once, then rank under each condition; {row of the tables: outcome}.

    Args:
        method: an embedder, or a searcher where sentences are the queries.
        conditions: all of the study's unless some are given.

    Raises:
        ReanchorError: the method reads images of another size or resize than the study's, the memory budget is
            too small, a distance is not finite, or no query has a match.
    """
    refuse_other_images(name, method.preprocessing, study.preprocessing)
    conditions = study.conditions() if conditions is None else conditions
    encoder = (SentenceEncoder if study.by_sentence else PictureEncoder)(name, method, study, config)
    ranker = Ranker(study, config, encoder.plan(conditions))
    say(f"{name}: {ranker.plan.sentence()}")
    cut = encoder.warn(say) if study.by_sentence else 0
    gallery = encoder.pictures(study.images, study.gallery_rows, study.gallery_rows, "gallery")
    passage = Passage(name, encoder, ranker, gallery)
    for condition in conditions:
        passage.judge(condition)
    own = passage.measured[name]
    if study.by_sentence:
        own.cut = cut
        own.cost = measure_cost(method, study, passage.queries(study.whole), gallery, ranker.plan, config)
    else:
        own.anchor_parts += anchor_parts(name, method, study, config.batch)
    return passage.measured


@dataclass
class Passage:
    """A method on its way through the conditions. Where galleries are occluded too, the whole queries, the last query
    set and the last replaced pictures are kept, encoded."""

    name: str
    encoder: Encoder
    ranker: Ranker
    gallery: Encoded
    measured: dict[str, Measured] = field(default_factory=dict)
    _query_sets: dict[str, Encoded] = field(default_factory=dict)
    _replaced: dict[str, Encoded] = field(default_factory=dict)

    def judge(self, condition: Condition) -> None:
        """Rank every row of the method under a condition."""
        study, queries = self.ranker.study, self.queries(condition)
        chosen = self.encoder.chosen(condition)
        with self._occluded(condition):
            for row, sides in self.encoder.sides(queries, condition.rows, self.gallery, self.ranker.plan).items():
                measured = self.measured.setdefault(row, Measured())
                whole = condition.kind == "whole"
                found = self.ranker.rank_whole(sides) if whole else {condition.name: self.ranker.rank(sides)}
                measured.rankings |= found
                # samples are of the manifest's own gallery
                ranked = self.ranker.rank(sides) if whole and study.galleries > 1 else found[condition.name]
                measured.samples += self._samples(row, condition, chosen, sides, ranked, queries)
        if TOKEN_WEIGHTS in queries and condition.masks is not None and condition.gallery is None:
            weights, embedder = queries[TOKEN_WEIGHTS].numpy(), self.encoder.embedder
            columns = token_columns(self.name, embedder, condition, weights, study.labels.pids,
                                    self.ranker.config.batch)
            self.measured[self.name].token_shares.append(columns)
            self.measured[self.name].token_maps += token_maps(embedder, condition, weights, columns, chosen)

    def queries(self, condition: Condition) -> Encoded:
        """The condition's queries; encoded once for conditions that differ in the gallery."""
        wanted, kept = condition.query_set, self._query_sets
        if wanted in kept:
            return kept[wanted]
        for old in [name for name in kept if name != "whole"]:
            del kept[old]
        found = self.encoder.queries(condition)
        if self.ranker.study.by_sentence or any(one.gallery is not None for one in self.ranker.study.suites):
            kept[wanted] = found
        return found

    @contextmanager
    def _occluded(self, condition: Condition) -> Iterator[None]:
        """The condition's occluded pictures in their places of the gallery, meanwhile."""
        if condition.gallery is None:
            yield
            return
        wanted, kept = condition.name.removeprefix(f"{GALLERY}-").removeprefix(f"{BOTH}-"), self._replaced
        if wanted not in kept:
            kept.clear()
            copies = condition.gallery.copies.images
            kept[wanted] = self.encoder.pictures(copies, np.arange(len(copies)), condition.gallery.rows,
                                                 f"{GALLERY}-{wanted}")
        places = self.ranker.study.places(condition)
        exchange(self.gallery, places, kept[wanted])
        yield
        exchange(self.gallery, places, kept[wanted])

    def _samples(self, row: str, condition: Condition, chosen: np.ndarray, sides: Sides, ranked: Ranking,
                 queries: Encoded) -> list[dict]:
        """The first ranks of the sample queries, as rows of `rankings.parquet`."""
        if not len(chosen):
            return []
        pids, records = self.ranker.study.labels.pids, []
        top = self.ranker.top(sides.chosen(chosen), SAMPLE_RANKS)
        for number, query_row, places in zip(chosen, condition.rows[chosen], top, strict=True):
            places = places[places >= 0]
            shown = sides.gallery.rows[places]
            records.append({
                "method": row, "condition": condition.name, "query_row": int(query_row),
                "gallery_rows": shown.tolist(), "right": (pids[shown] == pids[query_row]).tolist(),
                "first_match": int(ranked.first_Q[number]), "average_precision": float(ranked.ap_Q[number]),
                **self.encoder.told(condition, int(number), places, queries, self.gallery)})
        return records
