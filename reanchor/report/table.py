"""The study's table as text, at most 120 columns wide.

    python -m reanchor.report.table [reports/summary.json]
"""

import argparse
import sys
from pathlib import Path

from reanchor.errors import ReanchorError
from reanchor.report import names
from reanchor.report.files import read_json
from reanchor.report.search import DETAILED, METRICS, changed, search_protocol
from reanchor.report.summary import evaluation_summary
from reanchor.report.words import cell, lead_sentence, main_slopes, skipped

NAME_WIDTH = 20
COLUMN = 19


def results_table(folder: Path) -> str:
    """The table from the folder reports/evaluate."""
    return format_table(evaluation_summary(folder))


def format_table(summary: dict) -> str:
    """Three blocks (whole body and objects, masking, pasted people), the leads and the protocol.

    Cells are in percent: value [interval] in the first block, value and the interval's larger half-width
    in the others. The short protocol stands below each block.
    """
    if "skipped" in summary["protocol"]:
        return "\n\n".join([_wrap(skipped(summary["protocol"])), search_table(summary.get("search", {}))])
    results, methods, short = summary["results"], summary["methods"], _wrap(protocol_note(summary["protocol"]))
    first = [column for column in FIRST if column[1] in results[methods[0]]]
    first += [(f"{name} mAP", name, "mAP") for name in without_ratio(summary)]
    blocks = [_block("", [title for title, _, _ in first],
                     {m: [cell(results[m][c][k]) for _, c, k in first] for m in methods}, COLUMN), short]
    for kind, series in summary["ratios"].items():
        if series:
            rows = {m: [_half_width(results[m][name]["mAP"]) for name, _ in series] for m in methods}
            width = max(10, min(12, (120 - NAME_WIDTH) // len(series)))
            blocks += [_block(f"{names.kind(kind)}, mAP", [f"{100 * ratio:.0f} %" for _, ratio in series],
                              rows, width), short]
    blocks.append("\n".join(_wrap(f"{names.kind(slope['kind'])}: {lead_sentence(slope)['text']}")
                            for slope in main_slopes(summary)))
    blocks.append(_wrap(protocol_line(summary["protocol"])))
    blocks.append(search_table(summary.get("search", {})))
    return "\n\n".join(block for block in blocks if block)


def search_table(search: dict) -> str:
    """A block for each state of the gallery that sentences searched, the costs of occlusion and the protocol.

    Cells are in percent: value and the interval's larger half-width. Empty where the stage never ran.
    """
    if not search.get("methods"):
        return f"Text-based search: skipped, {search['skipped']}." if "skipped" in search else ""
    results, blocks = search["results"], ["Text-based search: sentences search the gallery"]
    for condition in search["conditions"][:DETAILED]:
        rows = {m: [_half_width(results[m][condition][k]) for k in METRICS] for m in search["methods"]}
        blocks.append(f"{names.gallery(condition)}\n" + _block("", list(METRICS), rows, 15))
    for condition in search["conditions"][DETAILED:]:
        cells = "; ".join(f"{names.method(m)} {cell(results[m][condition]['R1'])}" for m in search["methods"])
        blocks.append(_wrap(f"{names.gallery(condition)}, R1: {cells}"))
    for condition in search["conditions"][1:DETAILED]:
        blocks.append("\n".join(_wrap(f"{names.gallery(condition)}: {names.method(m)}: R1 changes by "
                                      f"{changed(results[m][condition]['R1'])}, mAP by "
                                      f"{changed(results[m][condition]['mAP'])}.") for m in search["methods"]))
    return "\n\n".join([*blocks, _wrap(f"Protocol: {search_protocol(search['protocol'])}")])


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


def _block(title: str, columns: list[str], rows: dict[str, list[str]], width: int) -> str:
    """A titled table; more columns than fit are continued below it."""
    per_line = (120 - NAME_WIDTH) // width
    parts = []
    for start in range(0, len(columns), per_line):
        part = slice(start, start + per_line)
        lines = [f"{title:{NAME_WIDTH}}" + "".join(f"{column:>{width}}" for column in columns[part])]
        lines.append("-" * len(lines[0]))
        lines += [f"{names.method(m):{NAME_WIDTH}}" + "".join(f"{text:>{width}}" for text in cells[part])
                  for m, cells in rows.items()]
        parts.append("\n".join(line.rstrip() for line in lines))
    return "\n\n".join(parts)


def _wrap(text: str, width: int = 118) -> str:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = "  " + word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the study's table.")
    parser.add_argument("summary", type=Path, nargs="?", default=Path("reports/summary.json"))
    try:
        print(format_table(read_json(parser.parse_args().summary)))
    except ReanchorError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
