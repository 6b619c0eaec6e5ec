"""Captions of datasets searched by sentences: which are kept, set aside and counted."""


import numpy as np
import pytest
from data_factory import captions, market
from layout_factory import cuhk_pedes, write_records
from text_lists import FIRST, changed, records, run

from reanchor.data.caption_statistics import describe_captions
from reanchor.data.captions import LONGEST
from reanchor.data.catalogue import read_dataset
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest


@pytest.mark.parametrize(("caption", "reason"), [
    ("", "caption_blank"), (" \t\n", "caption_blank"), ("\x00\x07", "caption_blank"), (7, "caption_not_text"),
    (None, "caption_not_text"), (["a man"], "caption_not_text"), ({}, "caption_not_text"), (True, "caption_not_text"),
    ("123, 45 !?", "caption_no_letter"), ("\U0001f9e5\U0001f392", "caption_no_letter"),
    ("a" * (LONGEST + 1), "caption_too_long")])
def test_captions_that_say_nothing_leave_their_image(tmp_path, caption, reason):
    root = changed(tmp_path / "data", captions=["A man in a coat.", caption])
    metrics, manifest, statistics, reasons, details = run(root, tmp_path / "out")
    assert reasons == {FIRST: [reason]} and len(details[FIRST]) < 120
    assert manifest.captions[manifest.path.index(FIRST)] == ["A man in a coat."]
    assert metrics["captions"] == 47 and metrics[f"quarantined_{reason}"] == statistics["quarantined"][reason] == 1


@pytest.mark.parametrize(("caption", "stored"), [
    ("a" * LONGEST, "a" * LONGEST), ("A\x00 man\x1b[31m\nin\u2028red\ud800.", "A man [31m in red ."),
    ("  two  blanks ", "  two  blanks "), ("\u4e00\u4e2a\u7537\u4eba", "\u4e00\u4e2a\u7537\u4eba"),
    ("A man \U0001f9e5", "A man \U0001f9e5")])
def test_captions_that_are_kept(tmp_path, caption, stored):
    _, manifest, _, reasons, _ = run(changed(tmp_path / "data", captions=[caption]), tmp_path / "out")
    assert not reasons and manifest.captions[manifest.path.index(FIRST)] == [stored]


def test_images_without_caption_stay_for_image_methods(tmp_path):
    metrics, manifest, statistics, reasons, _ = run(changed(tmp_path / "data", captions=[]), tmp_path / "out")
    assert FIRST in manifest.path and not reasons and metrics["train_images"] == 16
    assert statistics["sentences"]["train"]["images_without"] == 1
    assert statistics["sentences"]["train"]["per_image_min_median_max"] == [0, 2.0, 2]
    assert "1 images have no caption: image methods use them" in " ".join(statistics["notes"])


def test_statistics_of_captions():
    texts = [["a b c", "a b c"], ["d"], [], ["\u4e2d \u6587", "a b c", "red \u4e2d"]]
    empty = np.zeros(4, np.int32)
    manifest = Manifest(list("wxyz"), list("wxyz"), np.array([1, 1, 2, 2]), empty, empty,
                        np.array(["train", "train", "train", "gallery"]), texts, empty, empty, [""] * 4)
    assert describe_captions(manifest) == {
        "train": {"sentences": 3, "images_without": 1, "per_image_min_median_max": [0, 1.0, 2],
                  "words_min_median_max": [1, 3.0, 3]},
        "gallery": {"sentences": 3, "images_without": 0, "per_image_min_median_max": [3, 3.0, 3],
                    "words_min_median_max": [2, 2.0, 3]},
        "other_script": 2, "no_latin_letter": 1, "repeated": 1, "several_identities": 1}


def test_what_is_odd_about_captions_is_said(tmp_path):
    root = cuhk_pedes(tmp_path / "data")
    listed = records(root)
    listed[0]["captions"] = ["\u4e2d\u6587", "Same."]
    listed[2]["captions"] = ["Same.", "Twice.", "Twice."]
    write_records(root / "reid_raw.json", listed)
    assert run(root, tmp_path / "out")[2]["notes"] == [
        "no query images: sentences search the gallery, and evaluation of image queries is skipped",
        f"1 captions have no Latin letter (such as one of {FIRST}): a word tokenizer knows none of their words; CLIP's "
        "own reads any script",
        "1 captions stand on their image already; kept, as published figures count them",
        "1 texts stand on images of more than one identity: no search by them can be right for all"]


def test_too_many_bad_captions_stop_with_their_count(tmp_path):
    root = changed(tmp_path / "data", captions=["A coat.", "", 5])
    with pytest.raises(ReanchorError) as caught:
        run(root, tmp_path / "out", max_bad_share=0.02)
    assert str(caught.value).startswith(
        f"prepare.root: 2 of 49 captions in '{root}' are bad, more than prepare.max_bad_share = 0.02: 1 caption_blank "
        f"(such as {FIRST}: a caption is blank), 1 caption_not_text")
    assert run(root, tmp_path / "out", max_bad_share=2 / 49)[0]["quarantined"] == 2


def test_captions_json_and_tables_are_looked_through_too(tmp_path):
    root = market(tmp_path / "market")
    first, second = (f"bounding_box_train/0001_c{camera}s1_{0:06d}_00.jpg" for camera in (1, 2))
    captions(root, {first: ["red", 5, ""], second: ["!!"], "query/gone.jpg": ["lost"]})
    listing = read_dataset("market1501", root, 0)
    assert {entry.path: entry.captions for entry in listing.entries if entry.captions} == {first: ("red",)}
    assert sorted((rejection.path, rejection.reason) for rejection in listing.rejections) == [
        (first, "caption_blank"), (first, "caption_not_text"), (second, "caption_no_letter"),
        ("query/gone.jpg", "caption_without_image")]
    rows = ("path,pid,camid,split,caption", 'a.jpg,4,2,train,"a\x01b"', "b.jpg,4,2,train,42")
    (tmp_path / "dataset.csv").write_text("\n".join(rows))
    listing = read_dataset("csv", tmp_path, 0)
    assert [entry.captions for entry in listing.entries] == [("a b",), ()]
    assert [rejection.reason for rejection in listing.rejections] == ["caption_no_letter"]
