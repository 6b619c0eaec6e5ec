"""Put the report together from what the stages left behind."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from reanchor.config.load import flatten
from reanchor.config.params import Params
from reanchor.files import atomic_path, write_json
from reanchor.methods.method import IMAGE
from reanchor.methods.registry import global_pooling, judged, rows
from reanchor.report import laboratory, names, words
from reanchor.report.charts import Series, line_chart
from reanchor.report.curves import training_charts
from reanchor.report.galleries import gallery_blocks, read_rows, token_blocks
from reanchor.report.pictures import HEAT_TOP, MASK_COLOURS, sheet
from reanchor.report.search import search_page
from reanchor.report.summary import summarise
from reanchor.report.table import protocol_line, protocol_note, without_ratio
from reanchor.retrieval.opening import open_search_study, open_study
from reanchor.retrieval.study import Study


def build_report(params: Params, root: Path) -> dict:
    """Write reports/summary.json and reports/index.html of the workspace `root`; return flat metrics.

    Raises:
        ReanchorError: when an output of an earlier stage is missing.
    """
    places = root / "data/prepared", root / "data/occluded"
    return write_report(params, root, open_study(*places), open_search_study(*places))


def write_report(params: Params, root: Path, study: Study, search: Study | None = None) -> dict:
    """As `build_report`, with the pictures of `study` and `search`."""
    summary = summarise(params, root)
    page = render_page(summary, params, root, study, search)
    write_json(root / "reports/summary.json", summary)
    with atomic_path(root / "reports/index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return {"methods": len(summary["methods"]), "pictures": page.count('src="data:image/'),
            "page_bytes": len(page.encode())}


def render_page(summary: dict, params: Params, root: Path, study: Study, search: Study | None = None) -> str:
    """The whole page; nothing in it is loaded from elsewhere."""
    environment = Environment(
        loader=PackageLoader("reanchor.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"method": names.method, "condition": names.condition, "gallery": names.gallery,
                            "signed": words.signed}
    known = [*rows(), *summary["methods"]]
    colours = {name: known.index(name) for name in summary["methods"]}  # a method keeps its colour
    evaluate = root / "reports/evaluate"
    return environment.get_template("index.html").render(
        summary=summary,
        colours=colours,
        table=table_columns(summary),
        best=best_methods(summary),
        interval_share=f"{100 * params.evaluate.confidence:g} %",
        protocol_line=protocol_line(summary["protocol"]),
        protocol_note=protocol_note(summary["protocol"]),
        accuracy=accuracy_charts(summary, colours),
        leads=lead_charts(summary, colours),
        leading=" or ".join(name for name, method in judged(IMAGE).items() if method.occlusion),
        pooling=global_pooling(),
        galleries=gallery_blocks(read_rows(evaluate / "rankings.parquet"), study, params.report),
        tokens=token_blocks(read_rows(evaluate / "token_maps.parquet"), study, params.report.token_images),
        token_table=token_table(summary["token_shares"]),
        areas=laboratory.area_rows(summary),
        area_sentences=laboratory.area_sentences(summary),
        weights=laboratory.weight_charts(summary["token_shares"]),
        preferences=laboratory.preference_charts(summary["token_shares"]),
        anchors=laboratory.anchor_tables(summary["anchor_parts"]),
        heat_top=HEAT_TOP,
        mask_colours=MASK_COLOURS,
        search=search_page(summary["search"], read_rows(root / "reports/search/rankings.parquet"), search,
                           params.report) | {"share": f"{100 * params.search.confidence:g} %"},
        training=training_charts(root / "reports"),
        statistics=flatten(summary["data"]),
        sheets=[(title, sheet(root / path)) for title, path in SHEETS],
        settings={section: flatten(values) for section, values in summary["settings"].items()},
    )


SHEETS = (
    ("Prepared images", "data/prepared/contact_sheet.png"),
    ("Occluded copies", "data/occluded/contact_sheet.png"),
)


def table_columns(summary: dict) -> dict:
    """Columns of the result tables: the first one, then one table per kind of growing occlusion."""
    if not summary["methods"]:
        return {"first": [], "first_groups": [], "suites": []}
    present = summary["results"][summary["methods"][0]]
    first = [(k, c, k) for c, ks in (("whole", ("mAP", "R1", "R5", "R10", "mINP")),
                                     ("whole-no-distractors", ("mAP", "R1")), ("ogor", ("mAP", "R1")),
                                     *((name, ("mAP", "R1")) for name in without_ratio(summary)),
                                     ("whole-reranked", ("mAP", "R1")), ("whole-nfc", ("mAP", "R1")))
             if c in present for k in ks]
    groups = [
        (names.kind(c), sum(column[1] == c for column in first))
        for c in dict.fromkeys(c for _, c, _ in first)
    ]
    suites = [([(f"{100 * ratio:.0f} %", name, "mAP") for name, ratio in series],
               [(f"{names.kind(kind)}: mAP by occluded share", len(series))])
              for kind, series in summary["ratios"].items() if series]
    return {"first": first, "first_groups": groups, "suites": suites}


def best_methods(summary: dict) -> dict[tuple[str, str], str]:
    """(condition, metric) -> the method with the highest value."""
    results = summary["results"]
    return {(c, k): max(results, key=lambda m: results[m][c][k]["value"])
            for method in summary["methods"][:1] for c, metrics in results[method].items() for k in metrics}


def accuracy_charts(summary: dict, colours: dict[str, int]) -> list[dict]:
    """mAP against the occluded share of the image, one chart per kind of occlusion."""
    charts = []
    for kind, every in summary["ratios"].items():
        suites = [suite for suite in every if suite[0] not in summary["protocol"].get("off_ratio", ())]
        points = [("whole", 0.0), *suites]
        if suites:
            series = [_accuracy(summary["results"][m], points, m, colours[m]) for m in summary["methods"]]
            charts.append({"title": names.kind(kind),
                           "svg": line_chart(series, "occluded share of the image", "mAP, %", zero=True,
                                             percent_x=True)})
    return charts


def _accuracy(results: dict, points: list, method: str, colour: int) -> Series:
    cells = [results[name]["mAP"] for name, _ in points]
    return Series(names.method(method), [ratio for _, ratio in points], [c["value"] for c in cells], colour,
                  [c["low"] for c in cells], [c["high"] for c in cells])


def lead_charts(summary: dict, colours: dict[str, int]) -> list[dict]:
    """Leads over global pooling against occlusion, with intervals, one chart per kind."""
    slopes = words.main_slopes(summary)
    charts = []
    for kind in dict.fromkeys(s["kind"] for s in slopes):
        own = [s for s in slopes if s["kind"] == kind]
        series = [
            Series(
                names.method(s["method"]),
                s["ratios"],
                s["lead"],
                colours[s["method"]],
                s["lead_low"],
                s["lead_high"],
            )
            for s in own
        ]
        charts.append(
            {
                "title": names.kind(kind),
                "methods": [s["method"] for s in own],
                "svg": line_chart(
                    series, "occluded share of the image", "lead, mAP points", zero=True, percent_x=True
                ),
                "text": [words.lead_sentence(s)["text"] for s in own],
            }
        )
    return charts


def token_table(shares: list[dict]) -> list[dict]:
    """Per method and suite: weight, area and quantiles of the weight on each label."""
    rows = []
    for method, condition in dict.fromkeys((s["method"], s["condition"]) for s in shares):
        by_label = {s["label"]: s for s in shares if (s["method"], s["condition"]) == (method, condition)}
        if "target" in by_label:
            rows.append({"method": method, "condition": condition, "labels": by_label})
    return rows
