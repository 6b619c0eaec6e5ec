"""The report: words and tables from numbers, charts, and the page opened in a headless browser."""

import dataclasses
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from evaluation_fakes import GRID, FakeEmbedder, fill_workspace, make_study
from pages import BROWSERS, decode

from reanchor.config.params import Params
from reanchor.config.sections.judging import Evaluate, Nfc, Report, Rerank
from reanchor.errors import ReanchorError
from reanchor.formats.labels import Labels
from reanchor.report import names, pictures, words
from reanchor.report.build import write_report
from reanchor.report.charts import Series, line_chart, ticks
from reanchor.report.curves import read_columns, training_charts
from reanchor.report.galleries import gallery_blocks
from reanchor.report.summary import read_json
from reanchor.report.table import format_table, results_table
from reanchor.retrieval.judge import judge


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    study = make_study()
    fill_workspace(root, study)
    metrics = write_report(Params(), root, study)
    return root, study, metrics


@pytest.fixture(scope="module")
def page(workspace):
    return (workspace[0] / "reports/index.html").read_text()


def test_nothing_is_loaded_from_elsewhere(page):
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses and all(a.startswith(("data:", "#")) for a in addresses)
    assert "@import" not in page and "url(" not in page and "http" not in page


def test_settings_and_statistics_are_escaped(page):
    assert "<script" not in page and "&lt;script&gt;" in page


def test_page_holds_every_part(workspace, page):
    metrics = workspace[2]
    for title in (
        "Results",
        "Accuracy against occlusion",
        "Leads over global pooling",
        "Galleries, right and wrong",
        "Where the token weights fall",
        "Training curves",
        "Data",
        "Configuration",
    ):
        assert f">{title}</h2>" in page
    assert (
        page.count('class="chart"') == 2 + 2 + 5 * 2 + 2 * 2 * 2
    )  # accuracy, lead, losses and validation of five models; weights and preferences of two methods and kinds
    assert 'alt="Prepared images"' in page and 'alt="Occluded copies"' in page
    assert metrics["pictures"] == page.count("<img ")
    assert "ab" * 32 in page  # the suites' hashes
    assert "0 of 36 queries lost all matches to the camera rule" in page


def test_shown_numbers_are_the_evaluated_ones(workspace, page):
    summary = json.loads((workspace[0] / "reports/summary.json").read_text())
    for method in summary["methods"]:
        value = summary["results"][method]["people-0.30"]["mAP"]["value"]
        assert f">{value:.1f}<small>" in page
    assert "runtime" not in summary["settings"]
    assert summary["training"]["clip_reid"]["val_mAP"] == 61.25


def test_borders_say_right_or_wrong(workspace, page):
    """Every gallery picture whose caption names the query's person is green, every other is red."""
    blocks = page.split('<div class="gallery">')[1:]
    assert blocks
    for block in blocks:
        person = re.search(r'alt="query, (person \d+), camera', block)[1]
        items = re.findall(r'<img src="data:[^"]*" alt="rank \d+, ([^"]*)" title="[^"]*"( class="right")?>',
                           block.split("</div></div></div>")[0])
        assert len(items) == 6 * Params().report.gallery_ranks
        for caption, right in items:
            assert caption.startswith(f"{person},") == bool(right)


def test_the_same_inputs_give_the_same_page(workspace, page):
    root, study, _ = workspace
    write_report(Params(), root, study)
    assert (root / "reports/index.html").read_text() == page


def test_browser_shows_every_picture(workspace, page, tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium found; install Debian's package `chromium` to run this test")
    check = """<script>addEventListener("load", () => { const all = [...document.images];
      const bad = all.filter(i => !(i.complete && i.naturalWidth > 0)).length;
      const drawn = s => s.getBoundingClientRect().height > 100;
      const svg = [...document.querySelectorAll("svg")].filter(drawn).length;
      const wide = document.documentElement.scrollWidth > innerWidth;
      document.title =
        `checked ${all.length} pictures, ${bad} broken, ${svg} charts, wide ${wide}`; });</script>"""
    probe = tmp_path / "probe.html"
    probe.write_text(page.replace("</body>", check + "</body>"))
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1000,800",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            probe.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title, done.stderr[-2000:]
    assert title[1] == f"checked {page.count('<img ')} pictures, 0 broken, 22 charts, wide false"


def test_text_table_fits_and_agrees(workspace):
    root = workspace[0]
    summary = json.loads((root / "reports/summary.json").read_text())
    text = format_table(summary)
    assert text == results_table(root / "reports/evaluate")
    assert max(map(len, text.splitlines())) <= 120
    whole = summary["results"]["saga"]["whole"]["mAP"]
    line = next(line for line in text.splitlines() if line.startswith("SAGA  "))
    assert f"{whole['value']:.1f} [{whole['low']:.1f}, {whole['high']:.1f}]" in line
    assert "Protocol: 36 queries of 12 identities, gallery of 82" in text
    assert text.count("36 queries, gallery 82; protocol card none, camera rule market") == 3  # below each block


def test_methods_left_out_leave_a_plain_report(workspace, tmp_path):
    study = workspace[1]
    judge(Evaluate(bootstrap=20), study, {"zero_shot": lambda: FakeEmbedder("zero_shot", 30.0)},
             tmp_path / "reports/evaluate")
    write_report(Params(), tmp_path, study)
    page = (tmp_path / "reports/index.html").read_text()
    assert "No evaluated method weighs patch tokens" in page and "No training curves were recorded" in page
    assert "saga or gate, and clip_reid, have to be among evaluate.methods" in page
    format_table(json.loads((tmp_path / "reports/summary.json").read_text()))


def test_extras_card_and_costs_stand_with_every_table(workspace, tmp_path):
    pids, camids = workspace[1].labels.pids, workspace[1].labels.camids.copy()
    camids[36:][pids[36:] == 5] = 1  # gallery images of person 5: all under one camera
    study = dataclasses.replace(workspace[1], card="market1501", labels=Labels(pids, camids))
    config = Evaluate(bootstrap=20, rerank=Rerank(True, 5, 2, 0.3), nfc=Nfc(True))
    judge(config, study, {"saga": lambda: FakeEmbedder("saga", 30.0)}, tmp_path / "reports/evaluate")
    write_report(Params(), tmp_path, study)
    page, summary = (tmp_path / "reports/index.html").read_text(), read_json(tmp_path / "reports/summary.json")
    text = " ".join(format_table(summary).split())
    note = "36 queries, gallery 82; protocol card market1501, camera rule market; checkpoints and fusion weights are " \
           "chosen on validation identities only; test-time extras: whole-reranked: k-reciprocal re-ranking (k1 5"
    assert text.count(note) == 3 and page.count(note) == page.count("<thead>\n<tr") == 3
    assert "1 of 36 queries have no match under camera rule market" in text
    for column in ("re-ranked mAP", "NFC R1"):
        assert column in text
    assert "Whole body, re-ranked" in page and "Whole body, NFC" in page
    assert f">{summary['results']['saga']['whole-reranked']['mAP']['value']:.1f}<small>" in page


def slope(first, last, low, high):
    return {"method": "saga", "reference": "clip_reid", "kind": "people", "metric": "mAP",
            "slope_per_0.1": (low + high) / 2, "low": low, "high": high, "ratios": [0.0, 0.6],
            "lead": [first, last], "lead_low": [first - 1, last - 1], "lead_high": [first + 1, last + 1]}


@pytest.mark.parametrize(("first", "last", "low", "high", "verdict"), [
    (1, 3, 0.1, 0.5, "the lead grows with occlusion"),
    (-2, 3, 0.1, 0.5, "what is a deficit on whole bodies becomes a lead"),
    (-2, 0.5, 0.1, 0.5, "what is a deficit on whole bodies is made up as occlusion grows"),
    (-4, -1, 0.1, 0.5, "it is behind by less as occlusion grows"),
    (4, 1, -0.5, -0.1, "the lead shrinks with occlusion"),
    (4, -1, -0.5, -0.1, "the lead is lost under occlusion"),
    (-1, -4, -0.5, -0.1, "it falls further behind as occlusion grows"),
    (1, 2, -0.1, 0.5, "no change with occlusion can be told from zero"),
])
def test_sentence_follows_the_numbers(first, last, low, high, verdict):
    sentence = words.lead_sentence(slope(first, last, low, high))["text"]
    assert sentence.endswith(f"{verdict}.")
    assert f"from {words.signed(first)} [" in sentence and f"to {words.signed(last)} [" in sentence


def test_leads_are_told_of_the_methods_made_for_occlusion():
    slopes = [{**slope(1, 3, 0.1, 0.5), "method": method} for method in ("baseline", "saga", "saga_refined", "gate")]
    told = {"slopes": [*slopes, {**slopes[-1], "metric": "R1"}]}
    assert [s["method"] for s in words.main_slopes(told)] == ["saga", "saga_refined", "gate"]
    assert [line.partition(" against")[0] for line in words.verdicts(told)] == ["SAGA", "Gated [CLS]"]


def test_signed_numbers():
    assert [words.signed(v) for v in (1.24, -0.36, 0.04, -0.04)] == ["+1.2", "−0.4", "0.0", "0.0"]


def test_token_sentence_relates_weight_to_area():
    shares = [{"method": "saga", "label": label, "weight": w, "area": a}
              for label, w, a in (("target", 0.6, 0.4), ("target", 0.4, 0.4), ("person", 0.1, 0.2))]
    assert words.token_sentences(shares) == [
        "SAGA: weight relative to area (1 = an even share) is 1.25 on the visible target, "
        "0.50 on the pasted person."
    ]


def test_condition_names():
    assert names.condition("people-0.30") == "Pasted people, 30 %"
    assert names.condition("whole-no-distractors") == "Whole body, no distractors"
    assert names.condition("ogor") == "Objects (OGor)"


def test_chart_draws_points_where_the_numbers_say():
    svg = line_chart([Series("a <b>", [0, 1], [0, 10], 0, [0, 8], [1, 12])], "x", "y", zero=True)
    root = ElementTree.fromstring(str(svg))
    points = root.find("polyline").get("points").split()
    (x0, y0), (x1, y1) = (map(float, p.split(",")) for p in points)
    ticks_y = {t.text: float(t.get("y")) - 4 for t in root.findall("text") if t.get("text-anchor") == "end"}
    assert (
        x0 < x1
        and y0 == pytest.approx(ticks_y["0"], abs=0.11)
        and y1 == pytest.approx(ticks_y["10"], abs=0.11)
    )
    assert len(root.find("polygon").get("points").split()) == 4
    assert "a <b>" in root.get("aria-label")  # escaped in the source, whole after parsing


def test_ticks_are_round():
    assert ticks(0, 97, 5) == [0, 20, 40, 60, 80]
    np.testing.assert_allclose(ticks(-0.31, 0.42, 5), [-0.2, 0, 0.2, 0.4])


def test_curves_tolerate_gaps_and_missing_columns(tmp_path):
    folder = tmp_path / "baseline"
    folder.mkdir(parents=True)
    (folder / "curves.csv").write_text("step,loss,val_mAP,remark\n1,2.5,,a\n2,nan,40,b\n3,1.5,,c\n")
    (tmp_path / "saga").mkdir(parents=True)
    (tmp_path / "saga/curves.csv").write_text("step\n")
    np.testing.assert_equal(read_columns(folder / "curves.csv")["val_mAP"], [np.nan, 40, np.nan])
    models = training_charts(tmp_path)
    assert [(m["name"], [c["title"] for c in m["charts"]]) for m in models] == [
        ("baseline", ["Loss", "Validation"])]


def test_heat_map_follows_the_weights():
    weights = np.zeros(GRID)
    weights[3, 2] = 1
    density = pictures.weight_density(weights.ravel(), GRID, (96, 48))
    assert (
        density.mean() == pytest.approx(1)
        and (density[24:32, 16:24] == 72).all()
        and density.sum() == 72 * 64
    )
    picture = decode(pictures.heat_picture(density))
    assert tuple(picture[28, 20]) == (252, 255, 164) and tuple(picture[0, 0]) == (13, 8, 50)
    even = pictures.weight_density(np.ones(GRID).ravel() / 72, GRID, (96, 48))
    np.testing.assert_allclose(even, 1)


def test_mask_picture_uses_the_legends_colours():
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    np.testing.assert_array_equal(decode(pictures.mask_picture(mask))[0, 1], pictures.MASK_COLOURS[1])
    np.testing.assert_array_equal(decode(pictures.mask_picture(mask))[1, 1], pictures.MASK_COLOURS[255])


def test_missing_evaluation_is_one_line(tmp_path):
    with pytest.raises(ReanchorError, match="dvc repro evaluate"):
        read_json(tmp_path / "summary.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ReanchorError, match="not JSON"):
        read_json(tmp_path / "bad.json")


@pytest.mark.parametrize(("judged", "main"), [
    (["gate", "saga", "saga_refined"], "saga"), (["clip_reid", "gate", "imported"], "gate"),
    (["saga_refined", "zero_shot"], "zero_shot")])
def test_the_first_method_made_for_occlusion_chooses_the_galleries(judged, main):
    study = make_study(identities=2)
    right = {method: number % 2 for number, method in enumerate(judged)}  # who is right at the first query's first rank
    rows = [{"method": method, "condition": "whole", "query_row": query, "query_index": query, "gallery_rows": [8],
             "right": [True], "first_match": 1 if right[method] == query else 3, "average_precision": 0.5}
            for method in judged for query in (0, 1)]
    blocks = gallery_blocks(rows, study, Report(gallery_queries=2))
    assert [block["outcome"] for block in blocks] == [f"{names.method(main)}: right at rank 1",
                                                      f"{names.method(main)}: first match at rank 3"]
    assert blocks[0]["caption"] == f"person 1, camera {1 + right[main]}"
    assert gallery_blocks([], study, Report()) == []
