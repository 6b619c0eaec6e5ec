"""One method through all conditions: features once per picture, then ranks."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from reanchor.config.sections import Evaluate
from reanchor.evaluation.anchors import anchor_parts
from reanchor.evaluation.conditions import DISTRACTOR, Condition, Study
from reanchor.evaluation.embedder import Embedder, Embedding, embed_rows
from reanchor.evaluation.memory import MemoryPlan, plan_memory
from reanchor.evaluation.preprocessing import refuse_other_images
from reanchor.evaluation.ranker import Ranker, Side
from reanchor.evaluation.ranking import Ranking
from reanchor.evaluation.tokens import LABELS, patch_shares, weight_shares

SAMPLE_QUERIES = 64  # queries whose top ranks and token weights are kept for the report
SAMPLE_RANKS = 20


@dataclass
class Measured:
    """What one row yields: rankings by condition, sample galleries, token shares, sample token weights, and where the
    attention of its anchors falls."""

    rankings: dict[str, Ranking] = field(default_factory=dict)
    galleries: list[dict] = field(default_factory=list)
    token_shares: list[dict] = field(default_factory=list)
    token_maps: list[dict] = field(default_factory=list)
    anchor_parts: list[dict] = field(default_factory=list)


def measure_method(name: str, embedder: Embedder, study: Study, config: Evaluate,
                   say: Callable[[str], None] = print) -> dict[str, Measured]:
    """Embed the gallery once and every query set, then rank the gallery for each; {row of the tables: outcome}.

    Raises:
        ReanchorError: the method reads images of another size or resize than the study's, the memory budget is
            too small, or no query has a match.
    """
    refuse_other_images(name, getattr(embedder, "preprocessing", None), study.preprocessing)
    gallery = _embed(embedder, study.images, study.gallery_rows, study.gallery_rows, study, config,
                     "gallery").rows(name)
    ranker = Ranker(study, config, _plan(gallery, study, config))
    say(f"{name}: {ranker.plan.sentence()}")
    measured = {row: Measured() for row in gallery}
    sampled = sample_rows(study.query_rows, study.labels.pids, config.seed)
    for condition in study.conditions():
        _measure_condition(name, embedder, condition, gallery, ranker, sampled, measured)
    measured[name].anchor_parts += anchor_parts(name, embedder, study, config.batch)
    return measured


def _plan(gallery: dict[str, np.ndarray], study: Study, config: Evaluate) -> MemoryPlan:
    copied = int((study.labels.pids[study.gallery_rows] <= DISTRACTOR).any()) * len(study.gallery_rows)
    return plan_memory(config, max(len(c.rows) for c in study.conditions()), len(study.gallery_rows),
                       [features.shape[1] for features in gallery.values()], copied=copied,
                       pooled=study.galleries > 1)


def _measure_condition(name: str, embedder: Embedder, condition: Condition, gallery: dict[str, np.ndarray],
                       ranker: Ranker, sampled: np.ndarray, measured: dict[str, Measured]) -> None:
    study, config = ranker.study, ranker.config
    queries = _embed(embedder, condition.images, condition.index, condition.rows, study, config,
                     f"{name} {condition.name}")
    chosen = np.flatnonzero(np.isin(condition.rows, sampled))
    for row, features in queries.rows(name).items():
        sides = Side(features, condition.rows), Side(gallery[row], study.gallery_rows)
        found = ranker.rank_whole(*sides) if condition.kind == "whole" else {condition.name: ranker.rank(*sides)}
        measured[row].rankings |= found
        drawn = condition.kind == "whole" and study.galleries > 1  # samples are of the manifest's own gallery
        ranked = ranker.rank(*sides) if drawn else found[condition.name]
        measured[row].galleries += _galleries(row, condition, chosen, *sides, ranked, ranker)
    if queries.token_weights is not None and condition.masks is not None:
        shares, maps = _tokens(name, embedder, condition, chosen, queries.token_weights, study, config)
        measured[name].token_shares.append(shares)
        measured[name].token_maps += maps


def sample_rows(query_rows: np.ndarray, pids: np.ndarray, seed: int) -> np.ndarray:
    """Up to SAMPLE_QUERIES manifest rows, one per identity as far as identities reach, drawn by `seed`."""
    shuffled = np.random.default_rng(seed).permutation(query_rows)
    _, first = np.unique(pids[shuffled], return_index=True)
    return np.sort(shuffled[np.sort(first)[:SAMPLE_QUERIES]])


def _embed(embedder: Embedder, images: np.ndarray, index: np.ndarray, rows: np.ndarray, study: Study,
           config: Evaluate, label: str) -> Embedding:
    seen = study.labels[rows]
    return embed_rows(embedder, images, index, seen.camids, config.batch, label, seen.viewids)


def _galleries(name: str, condition: Condition, chosen: np.ndarray, query: Side, gallery: Side, ranked: Ranking,
               ranker: Ranker) -> list[dict]:
    """The first ranks of the sample queries, as rows of `rankings.parquet`."""
    if len(chosen) == 0:
        return []
    some, pids = Side(query.features[chosen], query.rows[chosen]), ranker.study.labels.pids
    records = []
    for i, row, items in zip(chosen, some.rows, ranker.top(some, gallery, SAMPLE_RANKS), strict=True):
        shown = items[items >= 0]
        records.append({
            "method": name, "condition": condition.name, "query_row": int(row),
            "query_index": int(condition.index[i]), "gallery_rows": shown.tolist(),
            "right": (pids[shown] == pids[row]).tolist(),
            "first_match": int(ranked.first_Q[i]), "average_precision": float(ranked.ap_Q[i])})
    return records


def _tokens(name: str, embedder: Embedder, condition: Condition, chosen: np.ndarray, weights_QT: np.ndarray,
            study: Study, config: Evaluate) -> tuple[dict, list[dict]]:
    """Columns of `token_weights.parquet` for one condition, and the sample queries' weights."""
    patch, stride = getattr(embedder, "patch", None), getattr(embedder, "stride", None)
    weighted, plain = [], []
    for start in range(0, len(weights_QT), config.batch):  # masks are memory-mapped: a batch at a time
        part = slice(start, start + config.batch)
        shares_BTL = patch_shares(condition.masks[condition.index[part]], embedder.grid, patch, stride)
        weighted.append(weight_shares(weights_QT[part], shares_BTL))
        plain.append(shares_BTL.mean(1))
    queries = len(weights_QT)
    columns = {"method": [name] * queries, "condition": [condition.name] * queries,
               "kind": [condition.kind] * queries, "ratio": [condition.ratio] * queries,
               "query_row": condition.rows, "pid": study.labels.pids[condition.rows]}
    for prefix, values in (("weight", np.concatenate(weighted)), ("area", np.concatenate(plain))):
        columns |= {f"{prefix}_{label}": values[:, i] for i, label in enumerate(LABELS)}
    maps = [{"method": name, "condition": condition.name, "query_row": int(condition.rows[i]),
             "query_index": int(condition.index[i]), "grid_rows": embedder.grid[0],
             "grid_cols": embedder.grid[1], "patch": patch, "stride": stride,
             "weights": weights_QT[i].tolist(), "on_target": float(columns["weight_target"][i]),
             "target_area": float(columns["area_target"][i])} for i in chosen]
    return columns, maps
