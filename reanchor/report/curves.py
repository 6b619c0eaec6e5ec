"""Training curves from reports/<stage>/curves.csv."""

import csv
import math
from pathlib import Path

from markupsafe import Markup

from reanchor.methods.registry import trained
from reanchor.report.charts import COLOURS, Series, line_chart

NOT_CURVES = ("step", "epoch", "lr", "seconds", "images_per_second", "peak_memory_mb", "phase")
LONGEST = 400  # points of a line; longer ones are averaged in groups


def training_charts(reports: Path) -> list[dict]:
    """Per trained model {"name", "charts": [{"title", "svg", "legend"}]}: losses, and validation accuracy."""
    models = []
    for stage in ("backbone", *trained()):
        file = reports / stage / "curves.csv"
        if file.is_file() and (charts := _charts(read_columns(file))):
            models.append({"name": stage, "charts": charts})
    return models


def read_columns(path: Path) -> dict[str, list[float]]:
    """Columns of a CSV file as floats; an empty or non-numeric cell is NaN."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [_float(row[name]) for row in rows] for name in (rows[0] if rows else {})}


def _float(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _charts(columns: dict[str, list[float]]) -> list[dict]:
    names = [n for n, values in columns.items()
             if not n.startswith(NOT_CURVES) and any(map(math.isfinite, values))]
    validation = [n for n in names if n.startswith("val") or n == "score"]
    losses = [n for n in names if n not in validation]
    charts = []
    for title, chosen in (("Loss", losses), ("Validation", validation)):
        if chosen:
            series = [_series(name, columns, i) for i, name in enumerate(chosen)]
            charts.append({"title": title, "legend": [(s.name, s.colour) for s in series],
                           "svg": _draw(series, title)})
    return charts


def _series(name: str, columns: dict[str, list[float]], colour: int) -> Series:
    steps = columns.get("step") or [float(i) for i in range(len(columns[name]))]
    points = [
        (x, y) for x, y in zip(steps, columns[name], strict=True) if math.isfinite(x) and math.isfinite(y)
    ]
    group = -(-len(points) // LONGEST)
    groups = [points[i : i + group] for i in range(0, len(points), group)]
    return Series(name, [sum(x for x, _ in g) / len(g) for g in groups],
                  [sum(y for _, y in g) / len(g) for g in groups], colour % COLOURS)


def _draw(series: list[Series], title: str) -> Markup:
    return line_chart(series, "step", title.lower(), markers=title == "Validation")
