"""Tables of where token weights fall: by query, in summary, and the weights of sample queries."""

import numpy as np

from reanchor.formats.embedder import Embedder
from reanchor.retrieval.study import Condition
from reanchor.retrieval.tokens import LABELS, patch_shares, weight_shares

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
PREFERENCE_BINS = np.arange(-3, 3.01, 0.25)  # log2; what lies beyond counts for the first or last


def token_columns(method: str, embedder: Embedder, condition: Condition, weights_QT: np.ndarray, pids: np.ndarray,
                  batch: int) -> dict:
    """Columns of `token_weights.parquet` for one condition: shares of weight and of area on each label, by query."""
    weighted, plain = [], []
    for start in range(0, len(weights_QT), batch):  # masks are memory-mapped: a batch at a time
        part = slice(start, start + batch)
        shares_BTL = patch_shares(condition.masks[condition.index[part]], embedder.grid, embedder.patch,
                                  embedder.stride)
        weighted.append(weight_shares(weights_QT[part], shares_BTL))
        plain.append(shares_BTL.mean(1))
    queries = len(weights_QT)
    columns = {"method": [method] * queries, "condition": [condition.name] * queries,
               "kind": [condition.kind] * queries, "ratio": [condition.ratio] * queries,
               "query_row": condition.rows, "pid": pids[condition.rows]}
    for prefix, values in (("weight", np.concatenate(weighted)), ("area", np.concatenate(plain))):
        columns |= {f"{prefix}_{label}": values[:, i] for i, label in enumerate(LABELS)}
    return columns


def token_maps(embedder: Embedder, condition: Condition, weights_QT: np.ndarray, columns: dict, chosen: np.ndarray
               ) -> list[dict]:
    """Rows of `token_maps.parquet`: the weights of some queries, and their share on the target as `columns` has it."""
    return [{"method": columns["method"][i], "condition": condition.name, "query_row": int(condition.rows[i]),
             "query_index": int(condition.index[i]), "grid_rows": embedder.grid[0], "grid_cols": embedder.grid[1],
             "patch": embedder.patch, "stride": embedder.stride, "weights": weights_QT[i].tolist(),
             "on_target": float(columns["weight_target"][i]), "target_area": float(columns["area_target"][i])}
            for i in chosen]


def token_summary(shares: dict[str, list[dict]]) -> list[dict]:
    """Per method, condition and label: mean and quantiles over queries of the token weight's share, the mean share of
    the area, and for labels other than the target how much a pixel of the target outweighs one of theirs."""
    rows = []
    for method, own in shares.items():
        for columns in own:
            of = {"method": method, **{name: columns[name][0] for name in ("condition", "kind", "ratio")}}
            for label in LABELS:
                weight, area = columns[f"weight_{label}"], columns[f"area_{label}"]
                if area.any():
                    rows.append({**of, "label": label, "weight": float(weight.mean()), "area": float(area.mean()),
                                 "quantiles": _quantiles(weight), **preference(columns, label)})
    return rows


def preference(columns: dict, label: str) -> dict:
    """Weight per area of the target over that of `label`, query by query: quantiles, the share of queries above 1, and
    how many fall into each of PREFERENCE_BINS. Of the queries that show both; empty where there are none."""
    shown = (columns["area_target"] > 0) & (columns[f"area_{label}"] > 0)
    if label == "target" or not shown.any():
        return {}
    density = {name: columns[f"weight_{name}"][shown] / columns[f"area_{name}"][shown] for name in ("target", label)}
    times = density["target"] / np.maximum(density[label], 1e-12)
    bins = np.clip(np.log2(np.maximum(times, 1e-12)), PREFERENCE_BINS[0], PREFERENCE_BINS[-1])
    return {"preference": _quantiles(times), "preferring": float((times > 1).mean()), "queries": int(shown.sum()),
            "preference_counts": np.histogram(bins, PREFERENCE_BINS)[0].tolist()}


def _quantiles(values: np.ndarray) -> dict[str, float]:
    return dict(zip((f"{q:g}" for q in QUANTILES), np.quantile(values, QUANTILES).tolist(), strict=True))
