"""What stands behind the accuracies: areas under curves, how token weights are distributed, what anchors look at."""

from markupsafe import Markup

from reanchor.methods.registry import global_pooling, of_row
from reanchor.report import names
from reanchor.report.charts import Series, line_chart
from reanchor.retrieval.token_tables import PREFERENCE_BINS

LABELS = {"target": ("visible target", 3), "person": ("pasted person", 4), "occluder": ("mask or object", 1),
          "background": ("background", 0)}  # name and colour


def area_rows(summary: dict, metric: str = "mAP") -> list[dict]:
    """Per method its area under each kind's curve: {"method", "kinds": {kind: row}}."""
    areas = [row for row in summary["areas"]["areas"] if row["metric"] == metric]
    return [{"method": method, "kinds": {row["kind"]: row for row in areas if row["method"] == method}}
            for method in dict.fromkeys(row["method"] for row in areas)]


def _has_model(row: str) -> bool:
    method, _ = of_row(row)
    return method is None or bool(method.model)


def area_sentences(summary: dict, metric: str = "mAP") -> list[str]:
    """How far each model's area lies from global pooling's, with intervals."""
    sentences, reference = [], global_pooling()
    for row in summary["areas"]["differences"]:
        pair = (row["method_a"], row["method_b"])
        if row["metric"] != metric or reference not in pair or not all(map(_has_model, pair)):
            continue
        other, sign = (pair[0], 1) if pair[1] == reference else (pair[1], -1)
        low, high = sorted((sign * row["low"], sign * row["high"]))
        sentences.append(f"{names.kind(row['kind'])}: {names.method(other)} minus "
                         f"{names.method(reference)} {sign * row['value']:+.1f} [{low:+.1f}, {high:+.1f}]")
    return sentences


def weight_charts(shares: list[dict]) -> list[dict]:
    """Token weight by occluded share, one chart per method and kind: medians over queries, bands from the 5 % to the
    95 % quantile."""
    charts = []
    for method, kind in dict.fromkeys((row["method"], row["kind"]) for row in shares if row["ratio"] is not None):
        own = [row for row in shares if (row["method"], row["kind"]) == (method, kind)]
        series = [_weights(rows, *LABELS[label]) for label in LABELS
                  if (rows := sorted((row for row in own if row["label"] == label), key=lambda row: row["ratio"]))]
        charts.append(_chart(f"{names.method(method)}, {names.kind(kind).lower()}", series, line_chart(
            series, "occluded share of the query image", "share of token weight, %", zero=True, percent_x=True)))
    return charts


def _weights(rows: list[dict], name: str, colour: int) -> Series:
    at = {q: [100 * row["quantiles"][q] for row in rows] for q in ("0.05", "0.5", "0.95")}
    return Series(name, [row["ratio"] for row in rows], at["0.5"], colour, at["0.05"], at["0.95"])


def preference_charts(shares: list[dict]) -> list[dict]:
    """Histograms over queries of the target's weight per area over the occluder's, per method, kind and occluder."""
    found = [row for row in shares if row["label"] in ("person", "occluder") and "preference_counts" in row
             and row["ratio"] is not None]
    centres = ((PREFERENCE_BINS[:-1] + PREFERENCE_BINS[1:]) / 2).tolist()
    charts = []
    key = ("method", "kind", "label")
    for method, kind, label in dict.fromkeys(tuple(row[name] for name in key) for row in found):
        rows = sorted((row for row in found if tuple(row[name] for name in key) == (method, kind, label)),
                      key=lambda row: row["ratio"])
        rows = [rows[i] for i in sorted({0, len(rows) // 2, len(rows) - 1})]
        series = [Series(f"{100 * row['ratio']:.0f} % covered: {100 * row['preferring']:.0f} % of queries above 0",
                         centres, [100 * n / row["queries"] for n in row["preference_counts"]], colour)
                  for row, colour in zip(rows, (2, 3, 4), strict=False)]
        title = f"{names.method(method)}, {names.kind(kind).lower()}: {LABELS[label][0]}"
        charts.append(_chart(title, series, line_chart(
            series, "log2 of target's over occluder's weight per area", "queries, %", zero=True, markers=False)))
    return charts


def _chart(title: str, series: list[Series], svg: Markup) -> dict:
    return {"title": title, "legend": [(s.name, s.colour) for s in series], "svg": svg}


def anchor_tables(rows: list[dict]) -> list[dict]:
    """Per method the heat map of anchors against body parts: share of attention in %, and it relative to area."""
    tables = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        parts = list(dict.fromkeys(row["part"] for row in own))
        cells = {(row["anchor"], row["part"]): row for row in own}
        tables.append({"method": method, "parts": parts,
                       "areas": [100 * cells[own[0]["anchor"], part]["area"] for part in parts],
                       "anchors": [(anchor, [_cell(cells[anchor, part]) for part in parts])
                                   for anchor in dict.fromkeys(row["anchor"] for row in own)]})
    return tables


def _cell(row: dict) -> dict:
    times = row["share"] / row["area"] if row["area"] else 0.0
    return {"share": 100 * row["share"], "times": times, "deviation": 100 * row["deviation"],
            "shade": round(min(times / 3, 1.0), 3)}
