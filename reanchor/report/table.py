"""The study's table for a terminal, at most 120 columns wide.

    python -m reanchor.report.table [reports/summary.json]
"""

import argparse
import sys
import textwrap
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from reanchor.errors import ReanchorError
from reanchor.printing import GAP, columns, plain, show
from reanchor.report import names
from reanchor.report.files import read_json
from reanchor.report.search import DETAILED, METRICS, changed, search_protocol
from reanchor.report.summary import evaluation_summary
from reanchor.report.words import cell, lead_sentence, main_slopes, skipped

WIDTH = 120
NAME_WIDTH = 20
COLUMN = 19


def results_table(folder: Path) -> str:
    """The table from the folder reports/evaluate."""
    return format_table(evaluation_summary(folder))


def format_table(summary: dict) -> str:
    """`table_parts` as plain text, with an empty line between two parts."""
    return "\n\n".join(plain(part) for part in table_parts(summary))


def show_table(summary: dict) -> None:
    """Print `table_parts` for people."""
    for number, part in enumerate(table_parts(summary)):
        show(*[""][:number], part)


def table_parts(summary: dict) -> list[RenderableType]:
    """Three blocks (whole body and objects, masking, pasted people), the leads, the protocol, and the search.

    Cells are in percent: value [interval] in the first block, value and the interval's larger half-width
    in the others. The short protocol stands below each block.
    """
    search = search_parts(summary.get("search", {}))
    if "skipped" in summary["protocol"]:
        return [_wrap(skipped(summary["protocol"])), *search]
    results, methods, short = summary["results"], summary["methods"], _wrap(protocol_note(summary["protocol"]))
    first = [column for column in FIRST if column[1] in results[methods[0]]]
    first += [(f"{name} mAP", name, "mAP") for name in without_ratio(summary)]
    parts: list[RenderableType] = []
    parts += [*_blocks("", [title for title, _, _ in first],
                      {m: [cell(results[m][c][k]) for _, c, k in first] for m in methods}, COLUMN), short]
    for kind, series in summary["ratios"].items():
        if series:
            rows = {m: [_half_width(results[m][name]["mAP"]) for name, _ in series] for m in methods}
            width = max(10, min(12, (WIDTH - NAME_WIDTH) // len(series)))
            parts += [*_blocks(f"{names.kind(kind)}, mAP", [f"{100 * ratio:.0f} %" for _, ratio in series],
                               rows, width), short]
    leads = "\n".join(_wrap(f"{names.kind(slope['kind'])}: {lead_sentence(slope)['text']}")
                      for slope in main_slopes(summary))
    return [*parts, *filter(None, [leads]), _wrap(protocol_line(summary["protocol"])), *search]


def search_table(search: dict) -> str:
    """`search_parts` as plain text."""
    return "\n\n".join(plain(part) for part in search_parts(search))


def search_parts(search: dict) -> list[RenderableType]:
    """A block for each state of the gallery that sentences searched, the costs of occlusion and the protocol.

    Cells are in percent: value and the interval's larger half-width. Empty where the stage never ran.
    """
    if not search.get("methods"):
        return [f"Text-based search: skipped, {search['skipped']}."] if "skipped" in search else []
    results = search["results"]
    parts: list[RenderableType] = [Text("Text-based search: sentences search the gallery", "bold")]
    for condition in search["conditions"][:DETAILED]:
        rows = {m: [_half_width(results[m][condition][k]) for k in METRICS] for m in search["methods"]}
        parts.append(Group(Text(names.gallery(condition), "bold"), *_blocks("", list(METRICS), rows, 15)))
    for condition in search["conditions"][DETAILED:]:
        cells = "; ".join(f"{names.method(m)} {cell(results[m][condition]['R1'])}" for m in search["methods"])
        parts.append(_wrap(f"{names.gallery(condition)}, R1: {cells}"))
    for condition in search["conditions"][1:DETAILED]:
        parts.append("\n".join(_wrap(f"{names.gallery(condition)}: {names.method(m)}: R1 changes by "
                                     f"{changed(results[m][condition]['R1'])}, mAP by "
                                     f"{changed(results[m][condition]['mAP'])}.") for m in search["methods"]))
    return [*parts, _wrap(f"Protocol: {search_protocol(search['protocol'])}")]


FIRST = (("whole mAP", "whole", "mAP"), ("whole R1", "whole", "R1"), ("whole mINP", "whole", "mINP"),
         ("ogor mAP", "ogor", "mAP"), ("re-ranked mAP", "whole-reranked", "mAP"),
         ("re-ranked R1", "whole-reranked", "R1"), ("NFC mAP", "whole-nfc", "mAP"), ("NFC R1", "whole-nfc", "R1"))


UNSAID = {"card": "", "galleries": 1, "camera_rule_costs": ""}  # by a summary.json that stands from before


def without_ratio(summary: dict) -> list[str]:
    """Suites whose occluded share varies from image to image, beside "ogor" itself."""
    return [suite["name"] for suite in summary["protocol"].get("suites", ())
            if suite["ratio"] is None and suite["name"] != "ogor"]


def protocol_note(protocol: dict) -> str:
    """Sizes, card, camera rule, selection and extras: what has to stand with each table."""
    if "skipped" in protocol:
        return skipped(protocol)
    protocol = UNSAID | protocol
    galleries = f", {protocol['galleries']} random galleries" if protocol["galleries"] > 1 else ""
    return (f"{protocol['queries']} queries, gallery {protocol['gallery']}{galleries}; protocol card "
            f"{protocol['card'] or 'none'}, camera rule {protocol['camera_rule']}; {protocol['selection']}; "
            f"test-time extras: {protocol['test_time_extras']}.")


def protocol_line(protocol: dict) -> str:
    """The whole protocol in one sentence, to stand beside any number."""
    if "skipped" in protocol:
        return skipped(protocol)
    protocol = UNSAID | protocol
    card = protocol["card"] and f" (protocol card {protocol['card']})"
    costs = protocol["camera_rule_costs"] and f" ({protocol['camera_rule_costs']})"
    galleries = f"; {protocol['galleries_says']}" if protocol["galleries"] > 1 else ""
    off = protocol.get("off_ratio", ())
    left_out = f"; {', '.join(off)}: {protocol['off_ratio_says']}" if off else ""
    return (
        f"Protocol{card}: {protocol['queries']} queries of {protocol['query_identities']} identities, gallery of "
        f"{protocol['gallery']} ({protocol['distractors']} distractors kept, {protocol['junk_dropped']} junk "
        f"dropped){galleries}; camera rule {protocol['camera_rule']}: {protocol['camera_rule_says']}; "
        f"{protocol['lost_queries_says']}{costs}; distance: {protocol['distance']}; {protocol['selection']}; "
        f"test-time extras: {protocol['test_time_extras']}; intervals: {protocol['intervals']}{left_out}."
    )


def _half_width(result: dict) -> str:
    half = max(result["high"] - result["value"], result["value"] - result["low"])
    return f"{result['value']:.1f} ±{half:.1f}"


def _blocks(title: str, heads: list[str], rows: dict[str, list[str]], width: int) -> list[Table]:
    """A titled table of columns at least `width` wide; more than fit into WIDTH are continued in another."""
    per_line = (WIDTH - NAME_WIDTH) // width
    tables = []
    for start in range(0, len(heads), per_line):
        part = slice(start, start + per_line)
        table = columns(title, *heads[part], right=tuple(heads[part]), least=(NAME_WIDTH - GAP, width - GAP))
        for method, cells in rows.items():
            table.add_row(names.method(method), *cells[part])
        tables.append(table)
    return tables


def _wrap(text: str) -> str:
    return textwrap.fill(text, WIDTH - 2, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the study's table.")
    parser.add_argument("summary", type=Path, nargs="?", default=Path("reports/summary.json"))
    try:
        show_table(read_json(parser.parse_args().summary))
    except ReanchorError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
