"""Conditions with an occluded gallery: what is read, and rankings held to embedding every picture anew."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluation_fakes import FakeEmbedder, fill_workspace, make_study, with_galleries

from reanchor.config.params import Params
from reanchor.config.sections.judging import Evaluate
from reanchor.errors import ReanchorError
from reanchor.files import write_json
from reanchor.formats.occluded_set import record, write_occluded
from reanchor.formats.occlusion import Occlusion
from reanchor.report.names import condition as condition_name
from reanchor.retrieval.judge import judge
from reanchor.retrieval.memory import plan_memory
from reanchor.retrieval.opening import open_study
from reanchor.retrieval.ranking import rank_features


class Counting(FakeEmbedder):
    """Without noise, and counts the pictures it is shown."""

    def __init__(self):
        super().__init__("clip_reid")
        self.seen = 0

    def embed(self, images, camids, viewids=None):
        self.seen += len(images)
        return super().embed(images, camids, viewids)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    out, embedder, study = tmp_path_factory.mktemp("gallery"), Counting(), with_galleries(make_study())
    metrics = judge(Evaluate(bootstrap=50, batch=16), study, {"clip_reid": lambda: embedder}, out)
    return out, study, embedder, metrics


def test_rankings_equal_those_of_a_gallery_embedded_anew(evaluated):
    _, study, _, metrics = evaluated
    cams = np.zeros(1)
    for condition in study.conditions():
        images = study.images if condition.gallery is None else condition.gallery
        query = FakeEmbedder("x").embed(condition.images[condition.index], cams).features
        gallery = FakeEmbedder("x").embed(images[study.gallery_rows], cams).features
        ranking = rank_features(query, gallery, study.labels[condition.rows], study.labels[study.gallery_rows],
                                rule="market")
        for metric, value in ranking.metrics().items():
            assert metrics[f"clip_reid/{condition.name}/{metric}"] == pytest.approx(value, abs=1e-4)
    for name in ("ogor", "masking-0.30"):
        assert metrics[f"clip_reid/gallery-{name}/mAP"] < metrics["clip_reid/whole/mAP"]
        assert metrics[f"clip_reid/both-{name}/mAP"] < metrics[f"clip_reid/{name}/mAP"]


def test_only_replaced_pictures_are_embedded_and_each_set_once(evaluated):
    _, study, embedder, _ = evaluated
    overlays = {id(c.gallery): len(c.gallery.rows) for c in study.suites if c.gallery is not None}
    assert len(overlays) == 3
    of_galleries = 1 + len(study.gallery_rows) + sum(overlays.values())  # the one tells the features' widths
    assert embedder.seen == of_galleries + 4 * len(study.query_rows)


def test_tables_tell_the_sides_apart(evaluated):
    out, study, _, _ = evaluated
    protocol = {one["name"]: one for one in json.loads((out / "protocol.json").read_text())["suites"]}
    assert "gallery_occluded" not in protocol["ogor"]
    assert protocol["both-masking-0.30"]["gallery_occluded"] == len(study.gallery_rows[1::3])
    rows = [line.split(",") for line in (out / "accuracy.csv").read_text().splitlines()[1:]]
    ratios = {kind: [float(row[2]) for row in rows if row[1] == kind] for kind in {row[1] for row in rows}}
    assert ratios == {"masking": [0, 0.3, 0.5], "people": [0], "gallery-masking": [0, 0.3, 0.5],
                      "both-masking": [0, 0.3, 0.5]}
    kinds = {row["condition"]: row["kind"] for row in pq.read_table(out / "results.parquet").to_pylist()}
    assert kinds["gallery-masking-0.30"] == "gallery-masking" and kinds["whole"] == "whole"


def test_memory_counts_what_is_kept_beside_the_gallery():
    config = Evaluate()
    plain, kept = (plan_memory(config, 100, 1000, [8, 4], copied=copied, kept=count)
                   for copied, count in ((0, 0), (1000, 500)))
    assert kept.features - plain.features == 4 * 12 * 500 and kept.copies - plain.copies == 4 * 8 * 1000


@pytest.mark.parametrize(("name", "words"), [
    ("masking-0.30", "Masking, 30 %"), ("both-masking-stripe-0.30", "Masking (stripe), queries and gallery, 30 %"),
    ("gallery-ogor", "Objects (OGor), gallery"), ("whole-no-distractors", "Whole body, no distractors"),
    ("ogor-unseen", "Objects (OGor) (unseen)"), ("mixed-mask-0.00", "Mixed (mask), 0 %"), ("whole", "Whole body")])
def test_conditions_have_names(name, words):
    assert condition_name(name) == words


def test_report_shows_every_series(tmp_path):
    from reanchor.report.build import write_report

    study = with_galleries(make_study())
    fill_workspace(tmp_path, study)
    write_report(Params(), tmp_path, study)
    page = (tmp_path / "reports/index.html").read_text()
    assert "Masking, queries and gallery" in page and "Masking, gallery" in page


def write_set(folder, study, rows, label):
    """A hashed set of copies with one erased row of pixels."""
    def copies():
        for row in rows:
            image = study.images[row].copy()
            image[10] = label
            mask = np.zeros(image.shape[:2], np.uint8)
            yield record(int(row), f"image {row}", 1, 1, Occlusion(image, mask, "masking", "mask", "block",
                                                                   (0, 10, 48, 11), 0.1, 0.1, 0)), image, mask

    return write_occluded(folder, copies(), len(rows), "labels").sha256


@pytest.fixture
def folders(tmp_path):
    """Folders of `prepare` and `occlude` with a suite of both sides, as far as evaluation reads them."""
    from reanchor.formats.images import write_store
    from reanchor.formats.manifest import Manifest

    study = make_study()
    count = len(study.images)
    split = np.where(np.isin(np.arange(count), study.query_rows), "query", "gallery")
    names = [f"image {row}" for row in range(count)]
    (tmp_path / "prepared").mkdir()
    Manifest(names, names, study.labels.pids, study.labels.camids.astype(np.int32), np.zeros(count, np.int32), split,
             [[]] * count, np.full(count, 48), np.full(count, 96), [""] * count).write(
        tmp_path / "prepared/manifest.parquet")
    write_store(tmp_path / "prepared/images.arrow", study.images)
    write_json(tmp_path / "prepared/statistics.json", {"found": {"junk": 0}})
    entries = []
    for name, rows in (("masking-0.10", study.query_rows), ("gallery-masking-0.10", study.gallery_rows[:20])):
        series = name.removesuffix("-0.10")
        entries.append({"name": name, "side": "gallery" if "gallery" in name else "query", "kind": "masking",
                        "series": series, "ratio": 0.1,
                        "sha256": write_set(tmp_path / f"occluded/test/{name}", study, rows, len(entries))})
    return tmp_path, study, entries


@pytest.mark.parametrize(("sides", "names"), [
    (None, ["masking-0.10"]), ("query", ["masking-0.10"]), ("gallery", ["gallery-masking-0.10"]),
    ("both", ["masking-0.10", "gallery-masking-0.10", "both-masking-0.10"])])
def test_a_study_has_the_conditions_of_its_sides(folders, sides, names):
    root, study, entries = folders
    write_json(root / "occluded/suites.json", {"test": entries} | ({} if sides is None else {"sides": sides}))
    suites = {c.name: c for c in open_study(root / "prepared", root / "occluded").suites}
    assert list(suites) == names and [c.kind for c in suites.values()] == [name.removesuffix("-0.10") for name in names]
    for name, condition in suites.items():
        queries = condition.images[condition.index]
        assert (queries[:, 10] == 0).all() == (not name.startswith("gallery"))
        if name != "masking-0.10":
            gallery = condition.gallery[study.gallery_rows]
            assert (gallery[:20, 10] == 1).all() and np.array_equal(gallery[20:], study.images[study.gallery_rows[20:]])
            assert condition.masks is None or name.startswith("both")
    if sides == "both":
        assert suites["gallery-masking-0.10"].gallery is suites["both-masking-0.10"].gallery


@pytest.mark.parametrize(("reached", "missed"), [
    ([0.1, 0.12], []), ([0.05, 0.1], ["masking-0.10", "both-masking-0.10"]),
    ([0.1, 0.125], ["gallery-masking-0.10", "both-masking-0.10"])])
def test_a_condition_is_off_its_ratio_where_one_of_its_suites_is(folders, reached, missed):
    root, _, entries = folders
    told = [entry | {"area_ratio": share} for entry, share in zip(entries, reached, strict=True)]
    write_json(root / "occluded/suites.json", {"test": told, "sides": "both"})
    assert [c.name for c in open_study(root / "prepared", root / "occluded").suites if not c.on_ratio] == missed


@pytest.mark.parametrize(("change", "message"), [
    (lambda path: pq.write_table(pq.read_table(path).slice(1), path), r"lists \d+ images, images.arrow holds \d+"),
    (lambda path: path.write_bytes(path.read_bytes()[:200]), "no readable table")])
def test_a_suite_whose_manifest_is_of_another_length_or_torn_is_refused(folders, change, message):
    root, _, entries = folders
    write_json(root / "occluded/suites.json", {"test": entries})
    change(root / "occluded/test/masking-0.10/manifest.parquet")
    with pytest.raises(ReanchorError, match=message) as caught:
        open_study(root / "prepared", root / "occluded")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["images.arrow", "manifest.parquet"])
def test_a_suite_that_changed_since_it_was_hashed_is_refused(folders, file):
    root, study, entries = folders
    write_json(root / "occluded/suites.json", {"test": entries})
    assert open_study(root / "prepared", root / "occluded").suites[0].sha256 == entries[0]["sha256"]
    path = root / "occluded/test/masking-0.10" / file
    if file == "images.arrow":
        data = bytearray(path.read_bytes())
        at = data.find(study.images[study.query_rows[3]][11].tobytes())
        data[at] ^= 1
        path.write_bytes(data)
    else:
        table = pq.read_table(path)
        pq.write_table(table.set_column(13, "seed", pa.array([1] * len(table))), path)
    with pytest.raises(ReanchorError, match=r"masking-0\.10: its images.* changed.* dvc repro -f occlude") as caught:
        open_study(root / "prepared", root / "occluded")
    assert "\n" not in str(caught.value)
    other = root / "occluded/test/gallery-masking-0.10/manifest.parquet"
    table = pq.read_table(other)
    pq.write_table(table.set_column(13, "seed", pa.array([1] * len(table))), other)
    write_json(root / "occluded/suites.json", {"test": entries, "sides": "both"})
    with pytest.raises(ReanchorError, match=r"2 suites have changed .*: masking-0\.10, gallery-masking-0\.10; make"):
        open_study(root / "prepared", root / "occluded")
