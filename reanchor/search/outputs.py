"""Files of a judged search."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from reanchor.config.sections.judging import Search
from reanchor.files import atomic_path, write_json
from reanchor.search.measure import Searched
from reanchor.search.study import SearchStudy
from reanchor.search.tables import Tables

_INTERVAL = {"value": pa.float64(), "low": pa.float64(), "high": pa.float64()}
RESULTS = pa.schema({
    "method": pa.string(), "condition": pa.string(), "kind": pa.string(), "ratio": pa.float64(), "metric": pa.string(),
    **_INTERVAL,
    "change": pa.float64(), "change_low": pa.float64(), "change_high": pa.float64(),  # minus the whole gallery's
    "sentences": pa.int64(), "gallery": pa.int64(), "occluded_images": pa.int64(),
    "lost_sentences": pa.int64()})
DIFFERENCES = pa.schema({"method_a": pa.string(), "method_b": pa.string(), "condition": pa.string(),
                         "metric": pa.string(), **_INTERVAL})
RANKINGS = pa.schema({
    "method": pa.string(), "condition": pa.string(), "sentence": pa.int64(), "text": pa.string(),
    "query_row": pa.int64(), "places": pa.list_(pa.int64()), "gallery_rows": pa.list_(pa.int64()),
    "right": pa.list_(pa.bool_()), "occluded": pa.list_(pa.bool_()), "first_match": pa.int64(),
    "average_precision": pa.float64(), "matches": pa.int64(),
    "kept_spans": pa.list_(pa.list_(pa.int32())),  # [start, stop) of kept words, in characters of `text`
    "kept_patches": pa.list_(pa.list_(pa.int32())),  # of each shown image, row by row; empty: all of them
    "grid_rows": pa.int32(), "grid_cols": pa.int32()})


def write_outputs(out: Path, config: Search, study: SearchStudy, searched: dict[str, Searched],
                  tables: Tables) -> None:
    """Write all files of the stage but its metrics into the folder `out`."""
    samples = [row for one in searched.values() for row in one.samples]
    for name, rows, schema in (("results", tables.results, RESULTS), ("rankings", samples, RANKINGS),
                               ("differences", tables.differences, DIFFERENCES)):
        with atomic_path(out / f"{name}.parquet") as temporary:
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)
    write_json(out / "protocol.json", protocol(config, study, searched))
    write_json(out / "cost.json", {name: one.cost for name, one in searched.items()})


def write_skipped(out: Path, reason: str) -> dict:
    """Empty tables and a protocol that says why; return the metrics of a skipped stage."""
    for name, schema in (("results", RESULTS), ("rankings", RANKINGS), ("differences", DIFFERENCES)):
        with atomic_path(out / f"{name}.parquet") as temporary:
            pq.write_table(schema.empty_table(), temporary)
    write_json(out / "protocol.json", {"skipped": reason})
    write_json(out / "cost.json", {})
    return {"skipped": 1}


def protocol(config: Search, study: SearchStudy, searched: dict[str, Searched]) -> dict:
    """The conditions under which every number was made."""
    counts = study.counts()
    return {
        "card": study.card, **counts,
        "searches": _searches(counts),
        "camera_rule": "none: every image of the described person is a match, the described image itself included "
                       "where it is in the gallery",
        "distractors_says": "pid 0 stays in the gallery and never matches",
        "junk": "pid -1 is dropped",
        "lost_sentences_says": f"{counts['lost_sentences']} of {counts['sentences']} sentences describe nobody in the "
                               "gallery and are left out",
        "left_out": {name: study.untrainable for name in config.methods if study.untrainable and name not in searched},
        "cut_sentences": {name: one.cut for name, one in searched.items()},
        "ties": "equal similarities go to the earlier gallery image",
        "selection": "checkpoints are chosen on held-out training identities only",
        "test_time_extras": "none",
        "intervals": f"{100 * config.confidence:g} % percentile bootstrap over described identities, "
                     f"{config.bootstrap} resamples, the same for all methods",
        "suites": [{"name": suite.name, "kind": suite.kind, "ratio": suite.ratio, "replaced": len(suite.places),
                    "sha256": suite.sha256} for suite in study.suites]}


def _searches(counts: dict[str, int]) -> str:
    own = counts["own_images_in_gallery"]
    which = "gallery images search the gallery they stand in" if own == counts["described_images"] else (
        "query images search the gallery" if not own else
        f"images, {own} of which are in the gallery, search the gallery")
    return f"each caption by itself: those of {which}"
