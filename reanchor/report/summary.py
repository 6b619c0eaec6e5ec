"""Collect what the stages reported into one dictionary, `reports/summary.json`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from reanchor.config.sections import Params
from reanchor.errors import ReanchorError
from reanchor.report.words import study_sentences

TRAINING_STAGES = ("backbone", "prompts", "finetune", "saga", "gate")


def read_json(path: Path) -> Any:
    """Parsed JSON.

    Raises:
        ReanchorError: when the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ReanchorError(
            f"{path}: not found; the report reads it, run `dvc repro evaluate` first"
        ) from error
    except json.JSONDecodeError as error:
        raise ReanchorError(f"{path}: not JSON ({error}); delete it and run `dvc repro` again") from error


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
                   for kind in ("masking", "people")},
    }


def summarise(params: Params, root: Path) -> dict:
    """Everything the report states, as plain JSON values without times of day or paths of this machine."""
    evaluation = evaluation_summary(root / "reports/evaluate")
    statistics = root / "data/prepared/statistics.json"
    settings = dataclasses.asdict(params)
    settings.pop("runtime")  # how to run, never what comes out
    return {
        "title": params.report.title, **evaluation, "sentences": study_sentences(evaluation),
        "data": read_json(statistics) if statistics.is_file() else {},
        "training": _training(root / "reports"), "settings": settings,
    }


def _training(reports: Path) -> dict[str, dict]:
    """metrics.json of each training stage, by its path under reports/."""
    found = {}
    for stage in TRAINING_STAGES:
        for path in sorted((reports / stage).rglob("metrics.json")):
            found[path.parent.relative_to(reports).as_posix()] = read_json(path)
    return found
