"""One method through all conditions: features once per picture, then ranks.

Of an occluded gallery only the replaced pictures are embedded; their features are patched into the whole one's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from reanchor.config.sections.judging import Evaluate
from reanchor.evaluation.anchors import anchor_parts
from reanchor.evaluation.conditions import BOTH, DISTRACTOR, GALLERY, Condition, Study
from reanchor.evaluation.draws import own_rows
from reanchor.evaluation.embed import embed_rows
from reanchor.evaluation.memory import MemoryPlan, plan_memory
from reanchor.evaluation.ranker import Ranker, Side
from reanchor.evaluation.ranking import Ranking
from reanchor.evaluation.tokens import LABELS, patch_shares, weight_shares
from reanchor.formats.embedder import Embedder, Embedding
from reanchor.formats.preprocessing import preprocessing_of, refuse_other_images

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


@dataclass
class Features:
    """What one method has embedded: the whole gallery and, where galleries are occluded too, the last sets used."""

    gallery: dict[str, np.ndarray]  # row of the tables -> [G, D]
    kept: dict[str, Embedding] = field(default_factory=dict)  # "whole", the last query set, the last replaced rows


def measure_method(name: str, embedder: Embedder, study: Study, config: Evaluate,
                   say: Callable[[str], None] = print) -> dict[str, Measured]:
    """Embed the gallery once and every query set, then rank the gallery for each; {row of the tables: outcome}.

    Raises:
        ReanchorError: the method reads images of another size or resize than the study's, the memory budget is
            too small, or no query has a match.
    """
    refuse_other_images(name, preprocessing_of(embedder), study.preprocessing)
    one = _gallery_of(name, embedder, study.gallery_rows[:1], study, config)  # tells widths: the budget is met first
    ranker = Ranker(study, config, _plan(one, study, config))
    say(f"{name}: {ranker.plan.sentence()}")
    features = Features(_gallery_of(name, embedder, study.gallery_rows, study, config))
    measured = {row: Measured() for row in features.gallery}
    sampled = sample_rows(study.query_rows, study.labels.pids, config.seed)
    for condition in study.conditions():
        _measure_condition(name, embedder, condition, features, ranker, sampled, measured)
    measured[name].anchor_parts += anchor_parts(name, embedder, study, config.batch)
    return measured


def _gallery_of(name: str, embedder: Embedder, rows: np.ndarray, study: Study, config: Evaluate
                ) -> dict[str, np.ndarray]:
    """Row of the tables -> features of whole pictures, [len(rows), D]."""
    return _embed(embedder, study.images, rows, rows, study, config, "gallery").rows(name)


def _plan(one: dict[str, np.ndarray], study: Study, config: Evaluate) -> MemoryPlan:
    conditions = study.conditions()
    replaced = max((len(c.gallery.rows) for c in conditions if c.gallery is not None), default=0)
    times = int((study.labels.pids[study.gallery_rows] <= DISTRACTOR).any()) + bool(replaced)
    return plan_memory(config, max(len(c.rows) for c in conditions), len(study.gallery_rows),
                       [features.shape[1] for features in one.values()], copied=times * len(study.gallery_rows),
                       kept=replaced + len(study.query_rows) if replaced else 0, pooled=study.galleries > 1)


def _measure_condition(name: str, embedder: Embedder, condition: Condition, features: Features, ranker: Ranker,
                       sampled: np.ndarray, measured: dict[str, Measured]) -> None:
    study, config = ranker.study, ranker.config
    queries = _queries(name, embedder, condition, features, study, config)
    chosen = np.flatnonzero(np.isin(condition.rows, sampled))
    for row, own in queries.rows(name).items():
        gallery = _gallery(name, row, embedder, condition, features, study, config)
        sides = Side(own, condition.rows), Side(gallery, study.gallery_rows)
        if condition.kind == "whole":
            variant = row.removeprefix(name).removeprefix("_")
            found = ranker.rank_whole(*sides, getattr(embedder, "parts", {}).get(variant, ()))
        else:
            found = {condition.name: ranker.rank(*sides)}
        measured[row].rankings |= found
        drawn = condition.kind == "whole" and study.galleries > 1  # samples are of the manifest's own gallery
        ranked = ranker.rank(*sides) if drawn else found[condition.name]
        measured[row].galleries += _galleries(row, condition, chosen, *sides, ranked, ranker)
    if queries.token_weights is not None and condition.masks is not None and condition.gallery is None:
        shares, maps = _tokens(name, embedder, condition, chosen, queries.token_weights, study, config)
        measured[name].token_shares.append(shares)
        measured[name].token_maps += maps


def _queries(name: str, embedder: Embedder, condition: Condition, features: Features, study: Study,
             config: Evaluate) -> Embedding:
    """Features of the condition's queries; embedded once for conditions that differ in the gallery."""
    wanted = condition.query_set
    if wanted not in features.kept:
        found = _embed(embedder, condition.images, condition.index, condition.rows, study, config, f"{name} {wanted}")
        if not any(one.gallery is not None for one in study.suites):
            return found
        for old in [key for key in features.kept if key != "whole" and not key.startswith(f"{GALLERY}-")]:
            del features.kept[old]
        features.kept[wanted] = found
    return features.kept[wanted]


def _gallery(name: str, row: str, embedder: Embedder, condition: Condition, features: Features, study: Study,
             config: Evaluate) -> np.ndarray:
    """The gallery's features of one row of the tables, those of occluded pictures in their places."""
    overlay, whole = condition.gallery, features.gallery[row]
    if overlay is None:
        return whole
    wanted = f"{GALLERY}-{condition.name.removeprefix(f'{GALLERY}-').removeprefix(f'{BOTH}-')}"
    if wanted not in features.kept:
        for old in [key for key in features.kept if key.startswith(f"{GALLERY}-")]:
            del features.kept[old]
        copies = overlay.copies.images
        features.kept[wanted] = _embed(embedder, copies, np.arange(len(copies)), overlay.rows, study, config,
                                       f"{name} {wanted}")
    patched = whole.copy()
    patched[own_rows(overlay.rows, study.gallery_rows)] = features.kept[wanted].rows(name)[row]
    return patched


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
