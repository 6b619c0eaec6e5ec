"""Ranks one side of a study by the other, under its camera rule and within its memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reanchor.config.sections.judging import Evaluate, Search
from reanchor.retrieval.distance import Measure, block_distance
from reanchor.retrieval.draws import Draw, gallery_draws
from reanchor.retrieval.extras import extra_measures
from reanchor.retrieval.memory import MemoryPlan
from reanchor.retrieval.ranking import Ranking, rank_features, top_ranks
from reanchor.retrieval.study import DISTRACTOR, Study

NO_DISTRACTORS = "whole-no-distractors"


@dataclass(frozen=True)
class Side:
    """Features [N, D] of N manifest rows, or the items' numbers [N] where a searcher compares them itself."""

    features: np.ndarray
    rows: np.ndarray

    def only(self, keep: np.ndarray) -> "Side":
        """The rows of a mask; itself, without a copy, where that is all of them."""
        return self if keep.all() else Side(self.features[keep], self.rows[keep])


@dataclass(frozen=True)
class Sides:
    """Queries, gallery, and how their distances are made."""

    query: Side
    gallery: Side
    measure: Measure = block_distance
    parts: Sequence[int] = ()  # widths of what a fused feature is made of; empty: it is one

    def chosen(self, numbers: np.ndarray) -> "Sides":
        """Some of the queries."""
        return replace(self, query=Side(self.query.features[numbers], self.query.rows[numbers]))


@dataclass(frozen=True)
class Ranker:
    """How one method's features are ranked."""

    study: Study
    config: Evaluate | Search  # its camera rule is market or none
    plan: MemoryPlan

    @property
    def rule(self) -> str:
        """The camera rule; a sentence is matched by every image of its person."""
        return "none" if self.study.by_sentence else self.config.camera_rule

    def rank(self, sides: Sides, extra: Measure | None = None) -> Ranking:
        """Rank the gallery for each query, by the plain distance unless an extra one is given."""
        labels, memory = self.study.labels, self.plan.plain if extra is None else self.plan.extra // 8
        query, gallery = sides.query, sides.gallery
        return rank_features(query.features, gallery.features, labels[query.rows], labels[gallery.rows],
                             measure=extra or sides.measure, rule=self.rule,
                             own_Q=self.study.own(query.rows, gallery.rows), memory=memory)

    def top(self, sides: Sides, ranks: int) -> np.ndarray:
        """Gallery positions of each query's first `ranks` items, int64 [Q, ranks]; -1 pads."""
        labels, query, gallery = self.study.labels, sides.query, sides.gallery
        return top_ranks(query.features, gallery.features, labels[query.rows], labels[gallery.rows], ranks,
                         measure=sides.measure, rule=self.rule, own_Q=self.study.own(query.rows, gallery.rows))

    def rank_whole(self, sides: Sides) -> dict[str, Ranking]:
        """Rankings of the whole-body condition by name: plain and, of pictures, without distractors and by each extra.

        With several random galleries the queries of all of them stand one after the other.
        """
        if self.study.by_sentence:
            return {"whole": self.rank(sides)}
        if self.study.galleries == 1:
            return self._rank_draw(sides)
        found = [self._rank_draw(_drawn(draw, sides)) for draw in gallery_draws(self.study, self.config.seed)]
        return {name: Ranking.join([one[name] for one in found]) for name in found[0]}

    def _rank_draw(self, sides: Sides) -> dict[str, Ranking]:
        keep = self.study.labels.pids[sides.gallery.rows] != DISTRACTOR
        whole = self.rank(sides)
        rankings = {"whole": whole, NO_DISTRACTORS: whole if keep.all() else self.rank(
            replace(sides, gallery=sides.gallery.only(keep)))}
        for name, measure in extra_measures(self.config, self.plan.extra, sides.parts).items():
            rankings[name] = self.rank(sides, measure)
        return rankings


def _drawn(draw: Draw, sides: Sides) -> Sides:
    """The draw's sides, out of the features of the manifest's own query and gallery."""
    query, gallery = sides.query, sides.gallery
    rows, first = np.unique(np.concatenate([query.rows, gallery.rows]), return_index=True)
    features = np.concatenate([query.features, gallery.features])
    own = (Side(features[first[np.searchsorted(rows, chosen)]], chosen)
           for chosen in (draw.query_rows, draw.gallery_rows))
    return replace(sides, **dict(zip(("query", "gallery"), own, strict=True)))
