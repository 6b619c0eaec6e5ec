"""Ranks manifest rows by their features, under the study's camera rule and within its memory."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reanchor.config.sections.judging import Evaluate
from reanchor.evaluation.conditions import DISTRACTOR, Study
from reanchor.evaluation.distance import Measure, block_distance
from reanchor.evaluation.draws import Draw, gallery_draws, own_rows
from reanchor.evaluation.extras import extra_measures
from reanchor.evaluation.memory import MemoryPlan
from reanchor.evaluation.ranking import Ranking, rank_features, top_ranks

NO_DISTRACTORS = "whole-no-distractors"


@dataclass(frozen=True)
class Side:
    """Features [N, D] of N manifest rows."""

    features: np.ndarray
    rows: np.ndarray

    def only(self, keep: np.ndarray) -> "Side":
        """The rows of a mask; itself, without a copy, where that is all of them."""
        return self if keep.all() else Side(self.features[keep], self.rows[keep])


@dataclass(frozen=True)
class Ranker:
    """How one method's features are ranked."""

    study: Study
    config: Evaluate  # its camera rule is market or none
    plan: MemoryPlan

    def rank(self, query: Side, gallery: Side, measure: Measure | None = None) -> Ranking:
        """Rank the gallery for each query, by the plain distance unless another is given."""
        labels, memory = self.study.labels, self.plan.plain if measure is None else self.plan.extra // 8
        return rank_features(query.features, gallery.features, labels[query.rows], labels[gallery.rows],
                             measure=measure or self._plain(), rule=self.config.camera_rule,
                             own_Q=own_rows(query.rows, gallery.rows), memory=memory)

    def top(self, query: Side, gallery: Side, ranks: int) -> np.ndarray:
        """Manifest rows of each query's first `ranks` gallery items, int64 [Q, ranks]; -1 pads."""
        labels = self.study.labels
        top = top_ranks(query.features, gallery.features, labels[query.rows], labels[gallery.rows], ranks,
                        measure=self._plain(), rule=self.config.camera_rule,
                        own_Q=own_rows(query.rows, gallery.rows))
        return np.where(top >= 0, gallery.rows[top], -1)

    def _plain(self) -> Measure:
        return functools.partial(block_distance, kind=self.config.distance)

    def rank_whole(self, query: Side, gallery: Side, parts: Sequence[int] = ()) -> dict[str, Ranking]:
        """Rankings of the whole-body condition by name: plain, without distractors, each extra.

        With several random galleries the queries of all of them stand one after the other. `parts`: see
        `extra_measures`.
        """
        if self.study.galleries == 1:
            return self._rank_draw(query, gallery, parts)
        draws = gallery_draws(self.study, self.config.seed)
        found = [self._rank_draw(*_drawn(draw, query, gallery), parts) for draw in draws]
        return {name: Ranking.join([one[name] for one in found]) for name in found[0]}

    def _rank_draw(self, query: Side, gallery: Side, parts: Sequence[int]) -> dict[str, Ranking]:
        keep = self.study.labels.pids[gallery.rows] != DISTRACTOR
        whole = self.rank(query, gallery)
        rankings = {"whole": whole,
                    NO_DISTRACTORS: whole if keep.all() else self.rank(query, gallery.only(keep))}
        for name, measure in extra_measures(self.config, self.plan.extra, parts).items():
            rankings[name] = self.rank(query, gallery, measure)
        return rankings


def _drawn(draw: Draw, query: Side, gallery: Side) -> tuple[Side, Side]:
    """The draw's sides, out of the features of the manifest's own query and gallery."""
    rows, first = np.unique(np.concatenate([query.rows, gallery.rows]), return_index=True)
    features = np.concatenate([query.features, gallery.features])
    return tuple(Side(features[first[np.searchsorted(rows, chosen)]], chosen)
                 for chosen in (draw.query_rows, draw.gallery_rows))
