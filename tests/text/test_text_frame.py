"""What every text-based method shares: pairs, towers on disk, validation, loading."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_files import golden, meta
from text_factory import make_street, small_clip

from reanchor.errors import ReanchorError
from reanchor.formats.labels import Labels
from reanchor.formats.manifest import Manifest
from reanchor.formats.occluded_set import OccludedSet
from reanchor.formats.overlay import Overlay
from reanchor.formats.searcher import Searcher
from reanchor.methods.searchers import load_searcher
from reanchor.retrieval.encode import encode_images, encode_sentences
from reanchor.retrieval.ranking import rank_distances
from reanchor.retrieval.sentence_validation import SentenceValidation
from reanchor.retrieval.similarities import Similarities
from reanchor.text.pairs import SentencePairs, pair_batches
from reanchor.text.towers import DualEncoder, DualSearcher, resize_text_positions, save_dual
from reanchor.text.words import clean_sentence


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    return make_street(tmp_path_factory.mktemp("street"))


@pytest.fixture(scope="module")
def clip():
    return small_clip()


def test_pairs_are_every_training_image_with_each_of_its_sentences(street, clip):
    pairs = SentencePairs.open(street / "data/prepared", street / "data/occluded", clip.spec)
    manifest = Manifest.read(street / "data/prepared/manifest.parquet")
    rows = pairs.images.rows[pairs.owner]
    assert set(manifest.split[rows]) == {"train"}
    wanted = [(row, text) for row in manifest.rows("train") for text in manifest.captions[row]]
    assert list(zip(rows, pairs.texts, strict=True)) == wanted and len(pairs) == len(wanted) > 100
    assert (np.unique(manifest.pid[rows], return_inverse=True)[1] == pairs.labels).all()
    ids = [pairs.tokenizer.sos, *pairs.tokenizer.encode(pairs.texts[5]), pairs.tokenizer.eos]
    assert pairs.tokens[5, :len(ids)].tolist() == ids and pairs.tokens.shape == (len(pairs), 40) and pairs.cut == 0
    generator = torch.Generator().manual_seed(0)
    chosen = np.array([5, 0, 7])
    assert np.array_equal(pairs.take(chosen, 0.0, generator), pairs.images.images[rows[chosen]])
    copies = OccludedSet.open(street / "data/occluded/train")
    place = int(np.flatnonzero(rows == copies.rows[0])[0])
    assert np.array_equal(pairs.take(np.array([place]), 1.0, generator)[0], copies.images[0])


def test_sentences_beyond_the_context_are_counted_once(street, clip):
    with pytest.warns(UserWarning) as caught:
        pairs = SentencePairs.open(street / "data/prepared", None, clip.spec, context=12)
    lengths = [len(pairs.tokenizer.encode(text)) + 2 for text in pairs.texts]
    assert len(caught) == 1 and pairs.cut == sum(length > 12 for length in lengths) > 0
    assert f"{pairs.cut} of {len(pairs)} training sentences are longer than the context of 12" in str(caught[0].message)
    assert (pairs.tokens.max(dim=1).values == pairs.tokenizer.eos).all()  # [EOS] stays


def test_a_dataset_without_captions_is_refused(street, clip, tmp_path):
    folder = tmp_path / "prepared"
    folder.mkdir()
    (folder / "images.arrow").symlink_to(street / "data/prepared/images.arrow")
    manifest = Manifest.read(street / "data/prepared/manifest.parquet")
    dataclasses.replace(manifest, captions=[[] for _ in manifest.captions]).write(folder / "manifest.parquet")
    with pytest.raises(ReanchorError, match=r"none of \d+ training images has a caption.*captions.json"):
        SentencePairs.open(folder, None, clip.spec)
    with pytest.raises(ReanchorError, match=r"none of \d+ held-out images has a caption"):
        SentenceValidation.open(folder, street / "data/occluded")


@pytest.mark.parametrize(("pairs", "batch", "sizes"), [(10, 3, [3, 3, 3]), (9, 3, [3, 3, 3]), (4, 8, [4])])
def test_an_epoch_runs_over_every_pair_once(pairs, batch, sizes):
    batches = pair_batches(pairs, batch, seed=3)
    first, again, second = batches(0), pair_batches(pairs, batch, seed=3)(0), batches(1)
    assert [len(rows) for rows in first] == sizes
    assert len(set(np.concatenate(first))) == sum(sizes)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))


def test_positions_for_another_context_are_the_authors():
    wanted = golden("G_tbps_textpos")
    torch.testing.assert_close(resize_text_positions(wanted["source"], 40), wanted["target40"], atol=1e-6, rtol=0)
    assert torch.equal(resize_text_positions(wanted["source"], 77), wanted["same77"])


@pytest.mark.parametrize("context", [0, 24])
def test_towers_come_back_from_disk(clip, tmp_path, context):
    model = DualEncoder(clip, context).eval()
    with torch.no_grad():
        model.text.text_projection.add_(0.25)
    save_dual(model, clip.spec, "towers", tmp_path)
    searcher = load_searcher(tmp_path)
    assert searcher.name == "towers" and searcher.grid == (8, 4)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 32, 3), dtype=np.uint8)
    texts = ["a woman in a red coat", "a man " * 30]
    mine = DualSearcher("towers", model, clip.spec)
    for encoded, expected in ((searcher.images(images), mine.images(images)),
                              (searcher.sentences(texts), mine.sentences(texts))):
        assert torch.equal(encoded["feature"], expected["feature"])
    assert not torch.equal(clip.network.text_projection, model.text.text_projection)  # the backbone's stays


def test_a_backbone_searches_as_it_comes(clip, tmp_path):
    clip.save(tmp_path)
    searcher = load_searcher(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 32, 3), dtype=np.uint8)
    encoded, texts = searcher.images(images), searcher.sentences(["a person", "two persons", "a bag"])
    assert searcher.name == "zero_shot"
    similarity = searcher.similarity(texts, encoded)
    network = clip.network.eval()
    pixels = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        one = torch.nn.functional.normalize(network.visual(pixels), dim=1)
    torch.testing.assert_close(similarity, texts["feature"] @ one.T, atol=1e-5, rtol=1e-4)


def test_a_model_that_reads_no_sentences_is_refused(tmp_path):
    (tmp_path / "model.json").write_text('{"kind": "clip_reid"}')
    with pytest.raises(ReanchorError, match=r"kind 'clip_reid' reads no sentences; allowed are clip, dual, mgcc"):
        load_searcher(tmp_path)


@pytest.mark.parametrize(("context", "clean"), [(12, False), (12, True), (0, False)])
def test_validation_counts_the_sentences_that_a_method_cuts(street, clip, context, clean):
    validation = SentenceValidation.open(street / "data/prepared", street / "data/occluded")
    searcher = DualSearcher("x", DualEncoder(clip, context, clean).eval(), clip.spec)
    read = [clean_sentence(text) if clean else text for text in validation.study.sentences.texts]
    slots = context or clip.spec.architecture["text_cfg"]["context_length"]
    cut = sum(len(clip.spec.tokenizer().encode(text)) + 2 > slots for text in read)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert validation.count_cut(searcher) == cut and bool(cut) == bool(context)
    assert [str(one.message) for one in caught] == cut_messages(cut, len(read))


def cut_messages(cut: int, count: int) -> list[str]:
    return [f"x: {cut} of {count} validation sentences are longer than the context of its text tower and lose their end"
            ] if cut else []


def test_validation_is_mean_precision_over_the_galleries(street, clip):
    validation = SentenceValidation.open(street / "data/prepared", street / "data/occluded")
    searcher = DualSearcher("x", DualEncoder(clip).eval(), clip.spec)
    manifest = Manifest.read(street / "data/prepared/manifest.parquet")
    rows = manifest.rows("val")
    texts = [(manifest.pid[row], text) for row in rows for text in manifest.captions[row]]
    features = encode_images(searcher, validation.images, np.arange(len(rows)), 256, "")["feature"]
    sentences = encode_sentences(searcher, [text for _, text in texts], 256, "")["feature"]

    def slow(features) -> float:
        precisions = []
        for (pid, _), row in zip(texts, sentences @ features.T, strict=True):
            hits = manifest.pid[rows][np.argsort(-row.numpy(), kind="stable")] == pid
            found = np.cumsum(hits)
            precisions.append((found / np.arange(1, len(hits) + 1))[hits].mean())
        return 100 * float(np.mean(precisions))

    figures = validation.score(searcher)
    assert figures["val_mAP_whole"] == pytest.approx(slow(features), abs=1e-4)
    conditions = {name.removeprefix("val_mAP_") for name in figures} - {"score"}
    assert figures["score"] == pytest.approx(np.mean([figures[f"val_mAP_{name}"] for name in conditions]))
    places, black = np.array([0, 3]), np.zeros((2, 64, 32, 3), np.uint8)
    study = validation.study
    copies = OccludedSet(black, np.zeros(black.shape[:3], np.uint8), rows[places], None)
    hidden = dataclasses.replace(study.whole, name="gallery-ogor", gallery=Overlay(study.images, copies))
    features = features.clone()
    features[places] = searcher.images(black)["feature"]
    figures = SentenceValidation(dataclasses.replace(study, suites=[hidden])).score(searcher)
    assert figures["val_mAP_gallery-ogor"] == pytest.approx(slow(features), abs=1e-4) != figures["val_mAP_whole"]


def test_similarities_are_made_block_by_block():
    class Products(Searcher):
        def similarity(self, sentences, images):
            assert len(sentences["a"]) <= 2 and len(images["b"]) <= 3
            return sentences["a"] @ images["b"].T

    a, b = torch.randn(5, 4), torch.randn(7, 4)
    found = Similarities(Products(), {"a": a}, {"b": b}, (2, 3))(np.arange(5))
    torch.testing.assert_close(torch.from_numpy(-found), a @ b.T)


def test_the_metric_is_the_authors():
    values, told = golden("G_tbps_eval"), meta("G_tbps_eval")
    similarity, images, texts = (values[name].numpy() for name in ("sim", "img_pids", "txt_pids"))

    def ranked(text_pids):
        nowhere = [np.zeros_like(pids) for pids in (text_pids, images)]
        return rank_distances(-similarity, Labels(text_pids, nowhere[0]), Labels(images, nowhere[1]), rule="none")

    figures = ranked(texts).metrics()
    for name, key in (("R1", "r1"), ("R5", "r5"), ("R10", "r10"), ("mAP", "mAP"), ("mINP", "mINP_independent")):
        assert figures[name] == pytest.approx(float(values[key]), abs=1e-4), name
    assert told["result_with_unmatched_query"]["mAP"] is None  # theirs loses mAP; ours leaves the query out
    unmatched = texts.copy()
    unmatched[0] = 10_000
    ranking = ranked(unmatched)
    assert ranking.lost == 1 and np.isfinite(ranking.metrics()["mAP"])
