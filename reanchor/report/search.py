"""Text-based search in the report: tables, costs, and ranked galleries for sentences."""

from pathlib import Path

import pyarrow.parquet as pq

from reanchor.config.sections.judging import Report
from reanchor.report import names
from reanchor.report.files import read_json
from reanchor.report.pictures import jpeg, selection_picture
from reanchor.report.words import cell, main_row, signed
from reanchor.retrieval.study import Condition, Study

METRICS = ("R1", "R5", "R10", "Rsum", "mAP", "mINP")
DETAILED = 2  # galleries with tables of their own: the whole one, and the first of the occluded ones
COMPARED = ("R1", "mAP", "mINP")  # metrics of the table of differences


def search_summary(folder: Path) -> dict:
    """The outcome of `search`, nested: results[method][condition][metric] = {value, low, high, change, ...}.

    {} where the stage never ran; {"skipped": reason} where there was nothing to search with.

    Args:
        folder: reports/search.
    """
    if not (folder / "protocol.json").is_file():
        return {}
    protocol = read_json(folder / "protocol.json")
    if "skipped" in protocol:
        return protocol
    results: dict[str, dict] = {}
    for row in pq.read_table(folder / "results.parquet").to_pylist():
        found = {key: round(row[key], 4) for key in ("value", "low", "high", "change", "change_low", "change_high")}
        results.setdefault(row["method"], {}).setdefault(row["condition"], {})[row["metric"]] = found
    differences = [row | {key: round(row[key], 4) for key in ("value", "low", "high")}
                   for row in pq.read_table(folder / "differences.parquet").to_pylist()]
    found = {"methods": list(results), "conditions": list(next(iter(results.values()))), "results": results,
             "differences": differences, "protocol": protocol, "cost": read_json(folder / "cost.json")}
    return found | {"sentences": search_sentences(found)}


def search_sentences(search: dict) -> list[str]:
    """Who is first on the whole gallery, what its occlusion costs each method, and who was left out."""
    results = search["results"]
    ranked = sorted(search["methods"], key=lambda m: -results[m]["whole"]["R1"]["value"])
    first = f"On the whole gallery {names.method(ranked[0])} is first with R1 {cell(results[ranked[0]]['whole']['R1'])}"
    second = f", before {names.method(ranked[1])} with {results[ranked[1]]['whole']['R1']['value']:.1f}" if len(
        ranked) > 1 else ""
    lines = [f"{first}{second}."]
    for condition in search["conditions"][1:DETAILED]:
        costs = ", ".join(f"{names.method(m)} {changed(results[m][condition]['R1'])}" for m in search["methods"])
        lines.append(f"{names.gallery(condition)}: R1 changes by {costs}.")
    if left_out := search["protocol"].get("left_out"):
        who, why = ", ".join(map(names.method, left_out)), next(iter(left_out.values()))
        lines.append(f"Left out, since they could not be trained: {who} ({why}).")
    return lines


def changed(result: dict) -> str:
    """-3.9 [-4.8, -3.0], from the whole gallery to an occluded one."""
    return f"{signed(result['change'])} [{signed(result['change_low'])}, {signed(result['change_high'])}]"


def search_protocol(protocol: dict) -> str:
    """What has to stand with each number, in one sentence."""
    suites = "; ".join(f"{suite['name']}: {suite['replaced']} images occluded" for suite in protocol["suites"])
    cut = ", ".join(f"{names.method(name)} {count}" for name, count in protocol["cut_sentences"].items() if count)
    p = protocol
    return (f"{p['sentences']} sentences about {p['query_identities']} people search {p['gallery']} images of "
            f"{p['gallery_identities']} people ({p['distractors']} distractors kept, {p['junk_dropped']} junk "
            f"dropped); {p['searches']}; camera rule {p['camera_rule']}; {p['lost_sentences_says']}; "
            f"{suites or 'no occluded gallery'}; sentences cut by the context: {cut or 'none'}; {p['selection']}; "
            f"test-time extras: {p['test_time_extras']}; intervals: {p['intervals']}.")


def search_page(search: dict, rankings: list[dict], study: Study | None, config: Report) -> dict:
    """What the template of the section needs beside the summary; {} where nothing was searched."""
    if not search.get("methods"):
        return {}
    results, methods, detailed = search["results"], search["methods"], search["conditions"][:DETAILED]
    return {
        "metrics": METRICS, "compared": COMPARED, "note": search_protocol(search["protocol"]),
        "detailed": detailed, "further": search["conditions"][DETAILED:],
        "best": {(c, k): max(methods, key=lambda m: results[m][c][k]["value"])
                 for c in search["conditions"] for k in METRICS},
        "costs": [{"method": name, **search["cost"][name]} for name in methods if search["cost"][name]],
        "pairs": _pairs(search["differences"], detailed),
        "blocks": sentence_blocks(rankings, study, config) if study else []}


def _pairs(differences: list[dict], conditions: list[str]) -> list[dict]:
    """Rows of the table of differences, one per pair of methods."""
    found = {(d["method_a"], d["method_b"], d["condition"], d["metric"]): d for d in differences}
    return [{"a": a, "b": b, "cells": {(c, k): found[a, b, c, k] for c in conditions for k in COMPARED}}
            for a, b in dict.fromkeys(key[:2] for key in found)]


def sentence_blocks(rankings: list[dict], study: Study, config: Report) -> list[dict]:
    """One block per shown sentence, with each method's first ranks in every gallery side by side.

    Sentences alternate between those that the main method gets right at rank 1 in the last (the occluded) gallery
    and those it does not; within that they are the first of the sample drawn by `search`, not hand-picked.
    """
    methods = list(dict.fromkeys(row["method"] for row in rankings))
    conditions = list(dict.fromkeys(row["condition"] for row in rankings))[:DETAILED]
    if not methods:
        return []
    main = main_row(methods)
    by_key = {(row["method"], row["condition"], row["sentence"]): row for row in rankings}
    known = {condition.name: condition for condition in study.conditions()}
    chosen = choose([by_key[key] for key in by_key if key[:2] == (main, conditions[-1])], config.sentence_queries)
    return [_block([[by_key[method, condition, number] for condition in conditions] for method in methods],
                   [known[condition] for condition in conditions], study, config.gallery_ranks) for number in chosen]


def choose(rows: list[dict], count: int) -> list[int]:
    """Up to `count` sentences: right at rank 1, not so, right, ... as long as there are any."""
    sides = [[row["sentence"] for row in rows if (row["first_match"] == 1) == right] for right in (True, False)]
    chosen: list[int] = []
    while len(chosen) < count and any(sides):
        side = sides[len(chosen) % 2] or sides[1 - len(chosen) % 2]
        chosen.append(side.pop(0))
    return chosen


def _block(methods: list[list[dict]], conditions: list[Condition], study: Study, ranks: int) -> dict:
    first = methods[0][0]
    row = first["query_row"]
    return {
        "text": first["text"], "person": int(study.labels.pids[row]), "matches": first["matches"],
        "picture": jpeg(study.images[row]), "conditions": [names.gallery(c.name) for c in conditions],
        "kept": [{"name": names.method(rows[0]["method"]), "parts": marked(rows[0]["text"], rows[0]["kept_spans"])}
                 for rows in methods if rows[0]["kept_spans"]],
        "methods": [{"name": names.method(rows[0]["method"]),
                     "galleries": [_gallery(one, condition, study, ranks)
                                   for one, condition in zip(rows, conditions, strict=True)]} for rows in methods]}


def _gallery(row: dict, condition: Condition, study: Study, ranks: int) -> dict:
    items = []
    for rank, place in enumerate(row["places"][:ranks]):
        image, pid = study.picture(condition, place), int(study.labels.pids[row["gallery_rows"][rank]])
        kept = row["kept_patches"][rank] if row["kept_patches"] else None
        picture = jpeg(image) if kept is None else selection_picture(image, kept, (row["grid_rows"], row["grid_cols"]))
        who = "distractor" if pid == 0 else f"person {pid}"
        items.append({"picture": picture, "right": row["right"][rank], "occluded": row["occluded"][rank],
                      "caption": who + (", occluded" if row["occluded"][rank] else "")})
    return {"name": names.gallery(condition.name), "first": row["first_match"], "ap": 100 * row["average_precision"],
            "items": items}


def marked(text: str, spans: list[list[int]]) -> list[tuple[str, bool]]:
    """A sentence cut into (piece, was it kept)."""
    parts, cursor = [], 0
    for start, stop in spans:
        parts += [(text[cursor:start], False), (text[start:stop], True)]
        cursor = stop
    return [(piece, kept) for piece, kept in [*parts, (text[cursor:], False)] if piece]
