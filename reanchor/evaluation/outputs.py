"""Files of an evaluation: tables for people and programs, samples for the report."""

import csv
from collections.abc import Container
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reanchor.config.sections.judging import Evaluate
from reanchor.evaluation.conditions import Study
from reanchor.evaluation.draws import gallery_draws, lost_queries
from reanchor.evaluation.extras import extra_sentences, test_time_extras
from reanchor.evaluation.intervals import Tables
from reanchor.evaluation.measure import Measured
from reanchor.evaluation.ranking import Ranking
from reanchor.evaluation.tokens import LABELS
from reanchor.files import atomic_path, write_json

CMC_RANKS = 50
ACCURACY_COLUMNS = ("method", "occlusion", "ratio", "mAP", "low", "high")
CMC_COLUMNS = ("method", "condition", "rank", "matching_rate")
DISTANCE_SAYS = {"cosine": "1 - dot product of L2-normalised features, fp32",
                 "euclidean": "squared Euclidean distance of L2-normalised features, fp32"}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
RESULT_SCHEMA = pa.schema({
    "method": pa.string(), "condition": pa.string(), "kind": pa.string(), "ratio": pa.float64(), "metric": pa.string(),
    "value": pa.float64(), "low": pa.float64(), "high": pa.float64(), "queries": pa.int64(), "gallery": pa.int64(),
    "lost_queries": pa.int64()})
PREFERENCE_BINS = np.arange(-3, 3.01, 0.25)  # log2; what lies beyond counts for the first or last
DIFFERENCE_SCHEMA = pa.schema({
    "method_a": pa.string(), "method_b": pa.string(), "condition": pa.string(), "metric": pa.string(),
    "value": pa.float64(), "low": pa.float64(), "high": pa.float64()})
RANKING_SCHEMA = pa.schema({
    "method": pa.string(), "condition": pa.string(), "query_row": pa.int64(), "query_index": pa.int64(),
    "gallery_rows": pa.list_(pa.int64()), "right": pa.list_(pa.bool_()), "first_match": pa.int64(),
    "average_precision": pa.float64()})
TOKEN_MAP_SCHEMA = pa.schema({
    "method": pa.string(), "condition": pa.string(), "query_row": pa.int64(), "query_index": pa.int64(),
    "grid_rows": pa.int32(), "grid_cols": pa.int32(), "patch": pa.int32(), "stride": pa.int32(),
    "weights": pa.list_(pa.float32()), "on_target": pa.float64(), "target_area": pa.float64()})
TOKEN_SCHEMA = pa.schema({
    "method": pa.string(), "condition": pa.string(), "kind": pa.string(), "ratio": pa.float64(),
    "query_row": pa.int64(), "pid": pa.int64(),
    **{f"{prefix}_{label}": pa.float64() for prefix in ("weight", "area") for label in LABELS}})


def write_outputs(out: Path, config: Evaluate, study: Study, measured: dict[str, Measured],
                  tables: Tables) -> None:
    """Write all tables of the evaluation into the folder `out`."""
    _parquet(out / "results.parquet", pa.Table.from_pylist(tables.results))
    _parquet(out / "differences.parquet", pa.Table.from_pylist(tables.differences, schema=DIFFERENCE_SCHEMA))
    write_json(out / "slopes.json", tables.slopes)
    write_json(out / "areas.json", tables.areas)
    write_json(out / "anchor_parts.json", [row for one in measured.values() for row in one.anchor_parts])
    galleries = [row for one in measured.values() for row in one.galleries]
    _parquet(out / "rankings.parquet", pa.Table.from_pylist(galleries, schema=RANKING_SCHEMA))
    maps = [row for one in measured.values() for row in one.token_maps]
    _parquet(out / "token_maps.parquet", pa.Table.from_pylist(maps, schema=TOKEN_MAP_SCHEMA))
    shares = [
        pa.table(columns, schema=TOKEN_SCHEMA) for one in measured.values() for columns in one.token_shares
    ]
    _parquet(out / "token_weights.parquet", pa.concat_tables([TOKEN_SCHEMA.empty_table(), *shares]))
    write_json(out / "token_shares.json", token_summary(measured))
    write_json(out / "protocol.json", protocol(config, study, measured))
    _csv(out / "accuracy.csv", accuracy_curves(tables.results, off_ratio(study)), ACCURACY_COLUMNS)
    _csv(out / "cmc.csv", _cmc(measured), CMC_COLUMNS)


def write_skipped(out: Path, reason: str) -> dict:
    """Empty tables and a protocol that says why; return the metrics of a skipped stage."""
    for name, schema in (("results", RESULT_SCHEMA), ("differences", DIFFERENCE_SCHEMA), ("rankings", RANKING_SCHEMA),
                         ("token_maps", TOKEN_MAP_SCHEMA), ("token_weights", TOKEN_SCHEMA)):
        _parquet(out / f"{name}.parquet", schema.empty_table())
    nothing = {"slopes": [], "areas": {"areas": [], "differences": []}, "anchor_parts": [], "token_shares": []}
    for name, content in {**nothing, "protocol": {"skipped": reason, "suites": []}}.items():
        write_json(out / f"{name}.json", content)
    _csv(out / "accuracy.csv", [], ACCURACY_COLUMNS)
    _csv(out / "cmc.csv", [], CMC_COLUMNS)
    return {"skipped": 1}


def protocol(config: Evaluate, study: Study, measured: dict[str, Measured]) -> dict:
    """The conditions under which every number of the study was made."""
    return {
        "card": study.card,
        "kind": study.kind,
        "camera_rule": config.camera_rule,
        "camera_rule_says": "gallery images of the query's own identity and camera are dropped"
        if config.camera_rule == "market"
        else "only the query image itself is dropped",
        "camera_rule_costs": lost_queries(study, config),
        "junk": "pid -1 is dropped",
        "distractors": "pid 0 stays in the gallery, in every condition but one",
        "distance": DISTANCE_SAYS[config.distance],
        "selection": "checkpoints and fusion weights are chosen on validation identities only" if study.held_out
        else "no identities are held out: models are those of their last epoch",
        "test_time_extras": test_time_extras(config),
        "test_time_extra_conditions": sorted(extra_sentences(config)),
        "intervals": f"{100 * config.confidence:g} % percentile bootstrap over query identities, "
        f"{config.bootstrap} resamples, the same for all methods",
        **_counts(config, study, next(iter(measured.values())).rankings["whole"]),
        "off_ratio": off_ratio(study),
        "off_ratio_says": "their mean covered share differs from the ratio by more than the generator's tolerance: "
        "they have rows of their own and are no points of curves, areas and slopes",
        "suites": [
            {"name": c.name, "kind": c.kind, "ratio": c.ratio, "covered": c.covered, "queries": len(c.rows),
             "sha256": c.sha256}
            | ({} if c.gallery is None else {"gallery_occluded": len(c.gallery.rows)})
            for c in study.suites
        ],
    }


def _counts(config: Evaluate, study: Study, whole: Ranking) -> dict:
    """Queries and gallery; with several random galleries those of one of them, and the lost of all."""
    draw = gallery_draws(study, config.seed)[0]
    says = "the dataset's own" if study.galleries == 1 else (
        f"whole-body figures are means over {study.galleries} galleries of one random image per identity, drawn by "
        f"evaluate.seed {config.seed}; occluded queries search the first gallery, drawn by prepare")
    return {"queries": len(draw.query_rows), "galleries": study.galleries, "galleries_says": says,
            "query_identities": len(np.unique(study.labels.pids[draw.query_rows])),
            "lost_queries": whole.lost, "lost_queries_says": whole.lost_sentence(),
            **study.gallery_counts(draw.gallery_rows)}


def token_summary(measured: dict[str, Measured]) -> list[dict]:
    """Per method, condition and label: mean and quantiles over queries of the token weight's share, the mean share of
    the area, and for labels other than the target how much a pixel of the target outweighs one of theirs."""
    rows = []
    for method, one in measured.items():
        for columns in one.token_shares:
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


def off_ratio(study: Study) -> list[str]:
    """Conditions that cover another share than their name says, and are no points of a curve."""
    return [condition.name for condition in study.suites if not condition.on_ratio]


def accuracy_curves(results: list[dict], left_out: Container[str] = ()) -> list[dict]:
    """mAP against occluded share; whole-body accuracy is the point at ratio 0 of each kind. Conditions `left_out` are
    no points."""
    rows = []
    for kind in dict.fromkeys(["masking", "people", *(row["kind"] for row in results if row["ratio"])]):
        for row in results:
            if row["condition"] not in left_out and row["metric"] == "mAP" and row["kind"] in ("whole", kind):
                rows.append({"method": row["method"], "occlusion": kind, "ratio": row["ratio"],
                             **{name: round(row[key], 4) for name, key in
                                (("mAP", "value"), ("low", "low"), ("high", "high"))}})
    return rows


def _cmc(measured: dict[str, Measured]) -> list[dict]:
    return [{"method": method, "condition": condition, "rank": k + 1, "matching_rate": round(100 * rate, 4)}
            for method, one in measured.items() for condition, ranking in one.rankings.items()
            for k, rate in enumerate(ranking.cmc(CMC_RANKS))]


def _parquet(path: Path, table: pa.Table) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def _csv(path: Path, rows: list[dict], columns: tuple[str, ...]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
