"""One method through all conditions: features once per picture, then ranks."""

from dataclasses import dataclass, field

import numpy as np

from reanchor.config.sections import Evaluate
from reanchor.evaluation.conditions import Condition, Study
from reanchor.evaluation.embedder import Embedder, Embedding, embed_rows
from reanchor.evaluation.preprocessing import refuse_other_images
from reanchor.evaluation.ranking import Labels, Ranking, rank_features, top_ranks
from reanchor.evaluation.tokens import LABELS, patch_shares, weight_shares

SAMPLE_QUERIES = 64  # queries whose top ranks and token weights are kept for the report
SAMPLE_RANKS = 20
NO_DISTRACTORS = "whole-no-distractors"


@dataclass
class Measured:
    """What one method yields: rankings by condition, sample galleries, token shares, sample token weights."""

    rankings: dict[str, Ranking] = field(default_factory=dict)
    galleries: list[dict] = field(default_factory=list)
    token_shares: list[dict] = field(default_factory=list)
    token_maps: list[dict] = field(default_factory=list)


def measure_method(name: str, embedder: Embedder, study: Study, config: Evaluate) -> Measured:
    """Embed the gallery once and every query set, then rank the gallery for each.

    Raises:
        ReanchorError: the method reads images of another size or resize than the study's.
    """
    refuse_other_images(name, getattr(embedder, "preprocessing", None), study.preprocessing)
    measured = Measured()
    gallery = _embed(embedder, study.images, study.gallery_rows, study.gallery_rows, study, config, "gallery")
    sampled = sample_rows(study.query_rows, study.labels.pids, config.seed)
    for condition in study.conditions():
        queries = _embed(embedder, condition.images, condition.index, condition.rows, study, config,
                         f"{name} {condition.name}")
        ranked = _rank(queries, gallery, condition, study.gallery_rows, study, config)
        measured.rankings[condition.name] = ranked
        chosen = np.flatnonzero(np.isin(condition.rows, sampled))
        measured.galleries += _galleries(name, condition, chosen, queries, gallery, ranked, study, config)
        if condition.kind == "whole":
            measured.rankings[NO_DISTRACTORS] = _without_distractors(
                queries, gallery, condition, study, config
            )
        if queries.token_weights is not None and condition.masks is not None:
            shares, maps = _tokens(name, embedder, condition, chosen, queries.token_weights, study, config)
            measured.token_shares.append(shares)
            measured.token_maps += maps
    return measured


def sample_rows(query_rows: np.ndarray, pids: np.ndarray, seed: int) -> np.ndarray:
    """Up to SAMPLE_QUERIES manifest rows, one per identity as far as identities reach, drawn by `seed`."""
    shuffled = np.random.default_rng(seed).permutation(query_rows)
    _, first = np.unique(pids[shuffled], return_index=True)
    return np.sort(shuffled[np.sort(first)[:SAMPLE_QUERIES]])


def _embed(embedder: Embedder, images: np.ndarray, index: np.ndarray, rows: np.ndarray, study: Study,
           config: Evaluate, label: str) -> Embedding:
    seen = study.labels[rows]
    return embed_rows(embedder, images, index, seen.camids, config.batch, label, seen.viewids)


def _own(rows: np.ndarray, gallery_rows: np.ndarray) -> np.ndarray:
    """Gallery position of each query's own row, -1 where it is not in the gallery."""
    order = np.argsort(gallery_rows, kind="stable")
    place = np.minimum(np.searchsorted(gallery_rows[order], rows), len(order) - 1)
    return np.where(gallery_rows[order[place]] == rows, order[place], -1)


def _rank(
    queries: Embedding,
    gallery: Embedding,
    condition: Condition,
    gallery_rows: np.ndarray,
    study: Study,
    config: Evaluate,
) -> Ranking:
    return rank_features(queries.features, gallery.features, study.labels[condition.rows],
                         study.labels[gallery_rows], rule=config.camera_rule,
                         own_Q=_own(condition.rows, gallery_rows))


def _without_distractors(queries: Embedding, gallery: Embedding, condition: Condition, study: Study,
                         config: Evaluate) -> Ranking:
    rows = study.without_distractors()
    kept = Embedding(gallery.features[np.isin(study.gallery_rows, rows)])
    return _rank(queries, kept, condition, rows, study, config)


def _galleries(name: str, condition: Condition, chosen: np.ndarray, queries: Embedding, gallery: Embedding,
               ranked: Ranking, study: Study, config: Evaluate) -> list[dict]:
    """The first ranks of the sample queries, as rows of `rankings.parquet`."""
    if len(chosen) == 0:
        return []
    rows = condition.rows[chosen]
    top = top_ranks(queries.features[chosen], gallery.features, study.labels[rows],
                    study.labels[study.gallery_rows], SAMPLE_RANKS, rule=config.camera_rule,
                    own_Q=_own(rows, study.gallery_rows))
    records = []
    for i, row, items in zip(chosen, rows, top, strict=True):
        shown = study.gallery_rows[items[items >= 0]]
        records.append({
            "method": name, "condition": condition.name, "query_row": int(row),
            "query_index": int(condition.index[i]), "gallery_rows": shown.tolist(),
            "right": (study.labels.pids[shown] == study.labels.pids[row]).tolist(),
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


def condition_labels(study: Study, condition: str) -> Labels:
    """pid and camid of the queries of a condition, by name."""
    rows = {c.name: c.rows for c in study.conditions()} | {NO_DISTRACTORS: study.query_rows}
    return study.labels[rows[condition]]
