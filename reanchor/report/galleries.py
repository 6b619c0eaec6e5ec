"""Sample galleries, right and wrong, and token weights beside true masks."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from reanchor.config.sections.judging import Report
from reanchor.report import names
from reanchor.report.pictures import heat_picture, jpeg, mask_picture, weight_density
from reanchor.report.words import main_row
from reanchor.retrieval.study import Condition, Study


def gallery_blocks(rankings: list[dict], study: Study, config: Report) -> list[dict]:
    """One block per shown query: its picture and each method's first ranks.

    Queries alternate between conditions and, for the main method (the first judged that was made for occlusion, or
    else the last one judged), between a right and a wrong first rank; within that they are the first of the sample
    drawn by `evaluate`, not hand-picked.
    """
    methods = list(dict.fromkeys(row["method"] for row in rankings))
    main = main_row(methods)
    by_key = {(row["method"], row["condition"], row["query_row"]): row for row in rankings}
    blocks = []
    for condition, query_row in _choose(
        [row for row in rankings if row["method"] == main], config.gallery_queries
    ):
        rows = [by_key[method, condition, query_row] for method in methods]
        blocks.append(_block(rows, _by_name(study)[condition], study, config.gallery_ranks, main))
    return blocks


def _choose(rows: list[dict], count: int) -> list[tuple[str, int]]:
    available = list(dict.fromkeys(row["condition"] for row in rows))
    conditions = [c for c in ("whole", "ogor", *_middle(available, "people")) if c in available]
    chosen: list[tuple[str, int]] = []
    for turn in range(count if conditions else 0):
        condition, right = conditions[turn % len(conditions)], (turn // len(conditions)) % 2 == 0
        fitting = [row for row in rows if row["condition"] == condition and row["first_match"] > 0
                   and (row["first_match"] == 1) == right and (condition, row["query_row"]) not in chosen]
        fitting.sort(key=lambda row: row["query_row"] in {shown for _, shown in chosen})  # new faces first
        if fitting:
            chosen.append((condition, fitting[0]["query_row"]))
    return chosen


def _middle(conditions: list[str], kind: str) -> list[str]:
    series = [c for c in conditions if c.startswith(f"{kind}-")]
    return series[len(series) // 2 : len(series) // 2 + 1]


def _by_name(study: Study) -> dict[str, Condition]:
    return {condition.name: condition for condition in study.conditions()}


def _block(rows: list[dict], condition: Condition, study: Study, ranks: int, main: str) -> dict:
    first = rows[0]
    outcome = next(row for row in rows if row["method"] == main)["first_match"]
    pid, camid = (int(column[first["query_row"]]) for column in (study.labels.pids, study.labels.camids))
    return {
        "condition": names.condition(condition.name),
        "right": outcome == 1,
        "outcome": f"{names.method(main)}: "
        + ("right at rank 1" if outcome == 1 else f"first match at rank {outcome}"),
        "query": jpeg(condition.images[first["query_index"]]),
        "caption": f"person {pid}, camera {camid}",
        "methods": [
            {
                "name": names.method(row["method"]),
                "ap": 100 * row["average_precision"],
                "items": [
                    _item(g, right, study)
                    for g, right in zip(row["gallery_rows"][:ranks], row["right"][:ranks], strict=True)
                ],
            }
            for row in rows
        ],
    }


def _item(row: int, right: bool, study: Study) -> dict:
    pid, camid = int(study.labels.pids[row]), int(study.labels.camids[row])
    who = "distractor" if pid == 0 else f"person {pid}"
    return {"picture": jpeg(study.images[row]), "right": right, "caption": f"{who}, camera {camid}"}


def token_blocks(maps: list[dict], study: Study, count: int) -> list[dict]:
    """Query, true mask and each method's token weights, over suites of all kinds in turn.

    Queries without a visible pixel of the target, and those of unknown masks, are left out.
    """
    maps = [row for row in maps if row["target_area"] > 0]
    methods = list(dict.fromkeys(row["method"] for row in maps))
    by_key = {(row["method"], row["condition"], row["query_row"]): row for row in maps}
    available = list(dict.fromkeys(row["condition"] for row in maps))
    conditions = [
        c for c in ("ogor", *_middle(available, "masking"), *_middle(available, "people")) if c in available
    ]
    blocks = []
    for turn in range(count if conditions else 0):
        condition = _by_name(study)[conditions[turn % len(conditions)]]
        rows = sorted({row["query_row"] for row in maps if row["condition"] == condition.name})
        number = turn // len(conditions)
        if number < len(rows):
            blocks.append(_token_block(condition, [by_key[m, condition.name, rows[number]] for m in methods]))
    return blocks


def _token_block(condition: Condition, rows: list[dict]) -> dict:
    index = rows[0]["query_index"]
    mask = np.asarray(condition.masks[index])
    heats = []
    for row in rows:
        density = weight_density(np.array(row["weights"]), (row["grid_rows"], row["grid_cols"]), mask.shape,
                                 row["patch"], row["stride"])
        heats.append({"name": names.method(row["method"]), "picture": heat_picture(density),
                      "on_target": 100 * row["on_target"]})
    return {"condition": names.condition(condition.name), "query": jpeg(condition.images[index]),
            "mask": mask_picture(mask), "area": 100 * rows[0]["target_area"], "heats": heats}


def read_rows(path: Path) -> list[dict]:
    """Rows of a Parquet file, none where the file is missing."""
    return pq.read_table(path).to_pylist() if path.is_file() else []
