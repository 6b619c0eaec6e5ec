"""Query and gallery rows of the whole-body condition: the manifest's own, or several random galleries.

VehicleID's protocol (Liu et al., "Deep Relative Distance Learning: Tell the Difference Between Similar Vehicles",
CVPR 2016): one random image of each test identity is the gallery, all others are queries; ten times, averaged.
"""

from dataclasses import dataclass

import numpy as np

from reanchor.config.sections.judging import Evaluate
from reanchor.errors import ReanchorError
from reanchor.retrieval.ranking import lost_to_rule, require_matches
from reanchor.retrieval.study import DISTRACTOR, Study, own_rows


@dataclass(frozen=True)
class Draw:
    """Manifest rows of one ranking."""

    query_rows: np.ndarray
    gallery_rows: np.ndarray


def gallery_draws(study: Study, seed: int) -> list[Draw]:
    """The manifest's own query and gallery, or `study.galleries` random ones of the same images.

    Each gallery is drawn by (seed, its number). Identities with one image have no query.

    Raises:
        ReanchorError: when random galleries leave no query.
    """
    if study.galleries == 1:
        return [Draw(study.query_rows, study.gallery_rows)]
    rows = np.union1d(study.query_rows, study.gallery_rows)
    draws = [_random_draw(rows, study.labels.pids[rows], np.random.default_rng([seed, number]))
             for number in range(study.galleries)]
    if not len(draws[0].query_rows):
        raise ReanchorError(f"data/prepared: {study.galleries} random galleries of one image per identity leave no "
                            "query; give identities of at least two images, or another protocol card")
    return draws


def _random_draw(rows: np.ndarray, pids: np.ndarray, rng: np.random.Generator) -> Draw:
    order = rng.permutation(len(rows))
    _, first = np.unique(pids[order], return_index=True)
    chosen = np.zeros(len(rows), bool)
    chosen[order[first]] = True
    chosen |= pids <= DISTRACTOR  # distractors and junk are nobody's query
    return Draw(rows[~chosen], rows[chosen])


def ranked_rows(study: Study, condition: str, seed: int) -> np.ndarray:
    """Manifest rows of the queries of a condition, by name, in the order they are ranked in."""
    for suite in study.suites:
        if suite.name == condition:
            return suite.rows
    return np.concatenate([draw.query_rows for draw in gallery_draws(study, seed)])


def lost_queries(study: Study, config: Evaluate) -> str:
    """What the camera rule costs, and the rule that fits; empty where it costs no query its last match.

    Raises:
        ReanchorError: when it leaves no query any.
    """
    lost = free = total = 0
    for draw in gallery_draws(study, config.seed):
        sides = study.labels[draw.query_rows], study.labels[draw.gallery_rows]
        own_Q = own_rows(draw.query_rows, draw.gallery_rows)
        require_matches(*sides, config.camera_rule, own_Q)
        counts = lost_to_rule(*sides, config.camera_rule, own_Q)
        lost, free, total = lost + counts[0], free + counts[1], total + len(draw.query_rows)
    if not free:
        return ""
    return (f"{lost} of {total} queries have no match under camera rule {config.camera_rule} and are left out; "
            f"evaluate.camera_rule=none gives {free} of them one")
