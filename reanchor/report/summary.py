"""Collect what the stages reported into one dictionary, `reports/summary.json`."""

import dataclasses
from pathlib import Path

import pyarrow.parquet as pq

from reanchor.config.params import Params
from reanchor.methods.registry import trained
from reanchor.report.files import read_json
from reanchor.report.search import search_summary
from reanchor.report.words import study_sentences


def evaluation_summary(folder: Path) -> dict:
    """The outcome of `evaluate`, nested: results[method][condition][metric] = {value, low, high}.

    Args:
        folder: reports/evaluate.
    """
    protocol = read_json(folder / "protocol.json")
    results: dict[str, dict] = {}
    for row in pq.read_table(folder / "results.parquet").to_pylist():
        cell = {key: round(row[key], 4) for key in ("value", "low", "high")}
        results.setdefault(row["method"], {}).setdefault(row["condition"], {})[row["metric"]] = cell
    return {
        "methods": list(results), "results": results, "protocol": protocol,
        "slopes": read_json(folder / "slopes.json"), "areas": read_json(folder / "areas.json"),
        "anchor_parts": read_json(folder / "anchor_parts.json"),
        "token_shares": read_json(folder / "token_shares.json"),
        "ratios": {kind: [[s["name"], s["ratio"]] for s in protocol["suites"] if s["kind"] == kind]
                   for kind in dict.fromkeys(["masking", "people", *_growing(protocol["suites"])])},
    }


def _growing(suites: list[dict]) -> list[str]:
    return [suite["kind"] for suite in suites if suite["ratio"] is not None]


def summarise(params: Params, root: Path) -> dict:
    """Everything the report states, as plain JSON values without times of day or paths of this machine."""
    evaluation = evaluation_summary(root / "reports/evaluate")
    statistics = root / "data/prepared/statistics.json"
    settings = dataclasses.asdict(params)
    search = search_summary(root / "reports/search")
    settings.pop("runtime")  # how to run, never what comes out
    return {
        "title": params.report.title, **evaluation, "sentences": study_sentences(evaluation), "search": search,
        "data": read_json(statistics) if statistics.is_file() else {},
        "training": _training(root / "reports"), "settings": settings,
    }


def _training(reports: Path) -> dict[str, dict]:
    """metrics.json of each training stage, by its name."""
    files = {stage: reports / stage / "metrics.json" for stage in ("backbone", *trained())}
    return {stage: read_json(file) for stage, file in files.items() if file.is_file()}
