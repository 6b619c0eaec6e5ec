"""Files of a judged study: tables for people and programs, samples for the report."""

import csv
from collections.abc import Container
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from reanchor.config.sections.judging import Evaluate, Search
from reanchor.files import atomic_path, write_json
from reanchor.retrieval.measure import Measured
from reanchor.retrieval.outcomes import SCHEMA as QUERIES
from reanchor.retrieval.outcomes import Outcomes
from reanchor.retrieval.protocol import off_ratio, protocol
from reanchor.retrieval.study import Study
from reanchor.retrieval.tables import Tables
from reanchor.retrieval.token_tables import token_summary
from reanchor.retrieval.tokens import LABELS

CMC_RANKS = 50
_INTERVAL = {"value": pa.float64(), "low": pa.float64(), "high": pa.float64()}
_RESULT = {"method": pa.string(), "condition": pa.string(), "kind": pa.string(), "ratio": pa.float64(),
           "metric": pa.string(), **_INTERVAL}
_FOUND = {"first_match": pa.int64(), "average_precision": pa.float64()}
DIFFERENCES = pa.schema({"method_a": pa.string(), "method_b": pa.string(), "condition": pa.string(),
                         "metric": pa.string(), **_INTERVAL})
PICTURES = {  # file -> its columns, where pictures are the queries
    "results": pa.schema({**_RESULT, "queries": pa.int64(), "gallery": pa.int64(), "lost_queries": pa.int64()}),
    "differences": DIFFERENCES,
    "rankings": pa.schema({
        "method": pa.string(), "condition": pa.string(), "query_row": pa.int64(), "query_index": pa.int64(),
        "gallery_rows": pa.list_(pa.int64()), "right": pa.list_(pa.bool_()), **_FOUND}),
    "token_maps": pa.schema({
        "method": pa.string(), "condition": pa.string(), "query_row": pa.int64(), "query_index": pa.int64(),
        "grid_rows": pa.int32(), "grid_cols": pa.int32(), "patch": pa.int32(), "stride": pa.int32(),
        "weights": pa.list_(pa.float32()), "on_target": pa.float64(), "target_area": pa.float64()}),
    "token_weights": pa.schema({
        "method": pa.string(), "condition": pa.string(), "kind": pa.string(), "ratio": pa.float64(),
        "query_row": pa.int64(), "pid": pa.int64(),
        **{f"{prefix}_{label}": pa.float64() for prefix in ("weight", "area") for label in LABELS}})}
SENTENCES = {
    "results": pa.schema({
        **_RESULT,
        "change": pa.float64(), "change_low": pa.float64(), "change_high": pa.float64(),  # minus the whole gallery's
        "sentences": pa.int64(), "gallery": pa.int64(), "occluded_images": pa.int64(), "lost_sentences": pa.int64()}),
    "differences": DIFFERENCES,
    "rankings": pa.schema({
        "method": pa.string(), "condition": pa.string(), "sentence": pa.int64(), "text": pa.string(),
        "query_row": pa.int64(), "places": pa.list_(pa.int64()), "gallery_rows": pa.list_(pa.int64()),
        "right": pa.list_(pa.bool_()), "occluded": pa.list_(pa.bool_()), **_FOUND, "matches": pa.int64(),
        "kept_spans": pa.list_(pa.list_(pa.int32())),  # [start, stop) of kept words, in characters of `text`
        "kept_patches": pa.list_(pa.list_(pa.int32())),  # of each shown image, row by row; empty: all of them
        "grid_rows": pa.int32(), "grid_cols": pa.int32()})}
CURVES = {"accuracy": ("method", "occlusion", "ratio", "mAP", "low", "high"),  # plots, as CSV
          "cmc": ("method", "condition", "rank", "matching_rate")}


def write_outputs(out: Path, config: Evaluate | Search, study: Study, measured: dict[str, Measured],
                  outcomes: Outcomes, tables: Tables) -> None:
    """Write all files of the stage but its metrics into the folder `out`."""
    outcomes.write(out / "queries.parquet")
    rows = {"results": tables.results, "differences": tables.differences}
    rows |= {name: [row for one in measured.values() for row in kept(one)] for name, kept in (
        ("rankings", lambda one: one.samples), ("token_maps", lambda one: one.token_maps))}
    schemas = SENTENCES if study.by_sentence else PICTURES
    for name in (name for name in schemas if name in rows):
        _parquet(out / f"{name}.parquet", pa.Table.from_pylist(rows[name], schema=schemas[name]))
    write_json(out / "protocol.json", protocol(config, study, measured))
    if study.by_sentence:
        write_json(out / "cost.json", {name: one.cost for name, one in measured.items()})
    else:
        _write_beside(out, study, measured, tables)


def _write_beside(out: Path, study: Study, measured: dict[str, Measured], tables: Tables) -> None:
    """What there is of pictures alone."""
    schema = PICTURES["token_weights"]
    shares = [pa.table(columns, schema=schema) for one in measured.values() for columns in one.token_shares]
    _parquet(out / "token_weights.parquet", pa.concat_tables([schema.empty_table(), *shares]))
    write_json(out / "slopes.json", tables.slopes)
    write_json(out / "areas.json", tables.areas)
    write_json(out / "anchor_parts.json", [row for one in measured.values() for row in one.anchor_parts])
    write_json(out / "token_shares.json", token_summary({name: one.token_shares for name, one in measured.items()}))
    _csv(out, "accuracy", accuracy_curves(tables.results, off_ratio(study)))
    _csv(out, "cmc", _cmc(measured))


def write_skipped(out: Path, reason: str, by_sentence: bool = False) -> dict:
    """Empty tables and a protocol that says why; return the metrics of a skipped stage."""
    for name, schema in {"queries": QUERIES, **(SENTENCES if by_sentence else PICTURES)}.items():
        _parquet(out / f"{name}.parquet", schema.empty_table())
    nothing = {"protocol": {"skipped": reason}, "cost": {}} if by_sentence else {
        "protocol": {"skipped": reason, "suites": []}, "slopes": [], "areas": {"areas": [], "differences": []},
        "anchor_parts": [], "token_shares": []}
    for name, content in nothing.items():
        write_json(out / f"{name}.json", content)
    for name in () if by_sentence else CURVES:
        _csv(out, name, [])
    return {"skipped": 1}


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


def _csv(out: Path, name: str, rows: list[dict]) -> None:
    with atomic_path(out / f"{name}.csv") as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=CURVES[name], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
