"""Text-based search in the report: tables, kept words and patches, ranked galleries, the page in a browser."""

import dataclasses
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from evaluation_fakes import FakeEmbedder, make_study
from pages import BROWSERS, decode
from search_fakes import TokenSearcher, fill_search, write_study

from reanchor.config.params import Params
from reanchor.config.sections.judging import Evaluate, Search
from reanchor.report import names, pictures
from reanchor.report.build import write_report
from reanchor.report.files import read_json
from reanchor.report.search import choose, marked, search_summary
from reanchor.report.table import format_table, search_table
from reanchor.retrieval.judge import judge
from reanchor.retrieval.outputs import write_skipped


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = write_study(tmp_path_factory.mktemp("workspace"))
    images = make_study(identities=4)
    judge(Evaluate(bootstrap=10), images, {"zero_shot": lambda: FakeEmbedder("zero_shot", 30.0)},
             root / "reports/evaluate", lambda line: None)
    study = fill_search(root)
    write_report(Params(), root, images, study)
    return root, images, study


@pytest.fixture(scope="module")
def section(workspace):
    page = (workspace[0] / "reports/index.html").read_text()
    return page[page.index('<h2 id="search">'):page.index('<h2 id="training">')]


@pytest.fixture(scope="module")
def summary(workspace):
    return read_json(workspace[0] / "reports/summary.json")["search"]


def test_every_value_and_difference_is_shown_with_its_interval(workspace, section, summary):
    metrics = json.loads((workspace[0] / "reports/search/metrics.json").read_text())
    assert summary["methods"] == ["zero_shot", "tbps_clip", "mgcc"]
    for method in summary["methods"]:
        for condition in ("whole", "gallery-ogor"):
            for metric, cell in summary["results"][method][condition].items():
                assert cell["value"] == pytest.approx(metrics[f"{method}/{condition}/{metric}"], abs=1e-4)
                shown = f"{cell['value']:.1f}<small>{cell['low']:.1f}–{cell['high']:.1f}</small>"
                assert shown in section, (method, condition, metric)
    for title in ("Zero-shot CLIP", "TBPS-CLIP", "MGCC", "MGCC − TBPS-CLIP", "Whole gallery",
                  "Occluded gallery: objects (OGor)", "ms per query", "16 sentences about 8 people search 28 images"):
        assert title in section
    assert section.count(" to ") >= 3 * 2 * 3 + 3  # intervals of the differences, and of what occlusion changes


def test_change_is_the_occluded_minus_the_whole_gallery(summary):
    for method, results in summary["results"].items():
        for metric, cell in results["gallery-ogor"].items():
            assert cell["change"] == pytest.approx(cell["value"] - results["whole"][metric]["value"], abs=2e-4), method
            assert cell["change_low"] - 1e-9 <= cell["change"] <= cell["change_high"] + 1e-9
        assert all(cell["change"] == 0 == cell["change_high"] for cell in results["whole"].values())


def test_borders_say_right_or_wrong_and_occluded(section):
    blocks = section.split('<div class="sentence">')[1:]
    assert len(blocks) == Params().report.sentence_queries
    for block in blocks:
        person = re.search(r'described image, (person \d+)"', block)[1]
        items = re.findall(r'alt="sentence rank \d+, ([^"]*)" title="[^"]*" class="([^"]*)"', block)
        assert len(items) == 3 * 2 * Params().report.gallery_ranks
        for caption, classes in items:
            assert (caption.split(",")[0] == person) == ("right" in classes)
            assert caption.endswith(", occluded") == ("occluded" in classes)
        assert any("occluded" in classes for _, classes in items)


def test_kept_words_are_marked_for_the_method_that_selects(section):
    lines = re.findall(r'<p class="kept">(.*?)</p>', section)
    assert len(lines) == 4 and all(line.startswith("MGCC keeps: <mark>") for line in lines)
    assert marked("red coat.", [[0, 3], [8, 9]]) == [("red", True), (" coat", False), (".", True)]
    assert marked("red", []) == [("red", False)]


def test_dropped_patches_are_pale_and_kept_ones_framed():
    image = np.zeros((16, 8, 3), np.uint8)
    image[...] = (200, 40, 40)
    shown = decode(pictures.selection_picture(image, [3, 1], (2, 2))).astype(int)  # the right column
    assert shown.shape == (32, 16, 3)
    assert np.abs(shown[13:19, 11:13] - (200, 40, 40)).max() < 45  # one region: no frame between its two patches
    left = shown[:, :6]
    assert (left.max(2) - left.min(2)).max() < 25 and left.mean() > 140
    frame = shown[4:28, 15]
    assert (frame[:, 0] > 200).all() and (frame[:, 1] > 140).all() and (frame[:, 2] < 90).all()


def test_shown_sentences_alternate_between_right_and_wrong():
    rows = [{"sentence": number, "first_match": first} for number, first in enumerate((1, 1, 4, 1, 2, 1))]
    assert choose(rows, 5) == [0, 2, 1, 4, 3]
    assert choose(rows[:2], 5) == [0, 1] and choose(rows[2:3], 1) == [2] and choose(rows, 0) == []


def test_the_text_table_follows_the_image_table(workspace, summary):
    text = format_table(read_json(workspace[0] / "reports/summary.json"))
    own = search_table(summary)
    assert text.endswith(own) and max(map(len, text.splitlines())) <= 120
    cell = summary["results"]["tbps_clip"]["gallery-ogor"]["mAP"]
    half = max(cell["high"] - cell["value"], cell["value"] - cell["low"])
    rows = [line for line in own.splitlines() if line.startswith("TBPS-CLIP ")]
    assert len(rows) == 2 and f"{cell['value']:.1f} ±{half:.1f}" in rows[1]
    flat = " ".join(own.split())
    assert "sentences cut by the context: MGCC 8" in flat and "MGCC: R1 changes by" in flat
    assert flat.count("Protocol: 16 sentences about 8 people") == 1


def test_the_same_inputs_give_the_same_page(workspace):
    root, images, study = workspace
    page = (root / "reports/index.html").read_text()
    write_report(Params(), root, images, study)
    assert (root / "reports/index.html").read_text() == page


@pytest.mark.parametrize("state", ["skipped", "never run"])
def test_a_study_without_sentences_says_so(workspace, tmp_path, state):
    root, images, _ = workspace
    shutil.copytree(root / "reports/evaluate", tmp_path / "reports/evaluate")
    if state == "skipped":
        write_skipped(tmp_path / "reports/search", "no test image has a caption", by_sentence=True)
    write_report(Params(), tmp_path, images)
    page, found = (tmp_path / "reports/index.html").read_text(), search_summary(tmp_path / "reports/search")
    said = "Skipped: no test image has a caption." if state == "skipped" else "The stage search has not run."
    assert said in page and not found.get("methods")
    text = format_table(read_json(tmp_path / "reports/summary.json"))
    assert ("Text-based search: skipped, no test image has a caption." in text) == (state == "skipped")


def test_names_of_galleries():
    assert [names.gallery(key) for key in ("whole", "gallery-ogor", "gallery-masking-0.30")] == [
        "Whole gallery", "Occluded gallery: objects (OGor)", "Occluded gallery: masking, 30 %"]


@pytest.mark.parametrize("width", [1280, 500])
def test_a_browser_shows_it_within_the_window(workspace, tmp_path, width):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium found; install Debian's package `chromium` to run this test")
    check = """<script>addEventListener("load", () => {
      const all = [...document.querySelectorAll(".found img, .sentence img")];
      const bad = all.filter(i => !(i.complete && i.naturalWidth > 0)).length;
      const wide = document.documentElement.scrollWidth > innerWidth;
      const sides = [...document.querySelectorAll(".found")].map(f => f.querySelectorAll(".side"));
      const beside = sides.filter(s => s[0].offsetTop == s[1].offsetTop).length;
      document.title = `${all.length} pictures, ${bad} broken, wide ${wide}, ${beside} of ${sides.length} beside`;
    });</script>"""
    page = (workspace[0] / "reports/index.html").read_text()
    (tmp_path / "probe.html").write_text(page.replace("</body>", check + "</body>"))
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--window-size={width},900", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000",
         "--dump-dom", (tmp_path / "probe.html").as_uri()], capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title, done.stderr[-2000:]
    beside = 12 if width == 1280 else 0
    assert title[1] == f"{4 * (1 + 3 * 2 * 8)} pictures, 0 broken, wide false, {beside} of 12 beside"


def test_further_galleries_stand_in_one_table(workspace, tmp_path):
    root, images, study = workspace
    shutil.copytree(root / "reports/evaluate", tmp_path / "reports/evaluate")
    suite = study.suites[0]
    more = [dataclasses.replace(suite, name=f"gallery-masking-{ratio:.2f}", ratio=ratio) for ratio in (0.1, 0.3)]
    wide = dataclasses.replace(study, suites=[suite, *more])
    judge(Search(bootstrap=10, cost_repeats=0), wide, {"mgcc": TokenSearcher}, tmp_path / "reports/search", print)
    write_report(Params(), tmp_path, images, wide)
    page = (tmp_path / "reports/index.html").read_text()
    value = read_json(tmp_path / "reports/summary.json")["search"]["results"]["mgcc"]["gallery-masking-0.30"]["R1"]
    line = re.search(r"<tr><td>Occluded gallery: masking, 30 %</td>\s*<td[^>]*>([\d.]+)<small>", page)
    assert line[1] == f"{value['value']:.1f}" and page.count("Occluded gallery: objects (OGor): ") > 4
    assert "Occluded gallery: masking, 10 %, R1: MGCC" in format_table(read_json(tmp_path / "reports/summary.json"))
    assert "Cost</h3>" not in page  # not measured
