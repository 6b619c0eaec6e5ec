"""Studies of the test identities, from what `prepare` and `occlude` left; pictures stay memory-mapped."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore
from reanchor.formats.labels import Labels
from reanchor.formats.manifest import Manifest
from reanchor.formats.occluded_set import OccludedSet
from reanchor.formats.overlay import Overlay
from reanchor.formats.sentences import sentence_queries, untrainable
from reanchor.formats.suites import open_sets, read_suites
from reanchor.retrieval.ranking import CAMERA_RULES, JUNK
from reanchor.retrieval.study import BOTH, GALLERY, Condition, Study

SIDES = {"query": ("query",), GALLERY: (GALLERY,), BOTH: ("query", GALLERY, BOTH)}  # judged, by occlude.sides


def open_study(prepared: Path, occluded: Path) -> Study:
    """Query pictures, their gallery, and the occluded states of the sides that `suites.json` names.

    Where sentences are the queries (the gallery has captions) the study may have no query image.

    Raises:
        ReanchorError: when a file is missing, or there is no gallery, or neither a query image nor a caption.
    """
    manifest = Manifest.read(prepared / "manifest.parquet")
    query, gallery = (_rows(manifest, split) for split in ("query", "gallery"))
    for split, rows in (("query", query), ("gallery", gallery)):
        by_sentence = split == "query" and any(manifest.captions[row] for row in gallery)
        if len(rows) == 0 and not by_sentence:
            raise ReanchorError(f"{prepared}: split {split!r} has no image; evaluation needs at least one, "
                                "check prepare.root and the folder names in it")
    store, study = _opened(prepared, manifest, query, gallery)
    summary = read_suites(occluded)
    study = dataclasses.replace(
        study, parts=store.masks, held_out=bool(len(manifest.rows("val"))) or not len(manifest.rows("train")),
        **_card(manifest.metadata, prepared / "manifest.parquet"))
    return dataclasses.replace(study, suites=_suites(study, occluded, SIDES[summary.get("sides", "query")]))


def open_search_study(prepared: Path, occluded: Path) -> Study:
    """Sentences, the gallery without junk, and its occluded states.

    A dataset without captions gives a study of no sentences.

    Raises:
        ReanchorError: a file is missing, the gallery is empty, no sentence describes anybody in it, or an
            occluded set is of another gallery or has changed since it was hashed.
    """
    manifest = Manifest.read(prepared / "manifest.parquet")
    rows, sentences = _rows(manifest, "gallery"), sentence_queries(manifest, "test")
    gallery = rows[manifest.pid[rows] != JUNK]
    if not len(gallery):
        raise ReanchorError(f"{prepared}: split 'gallery' has no image; sentences need at least one to search, check "
                            "prepare.root and the folder names in it")
    _, study = _opened(prepared, manifest, sentences.rows, gallery)
    study = dataclasses.replace(
        study, sentences=sentences, junk_left_out=study.junk_left_out + len(rows) - len(gallery),
        card=manifest.metadata.get("card", ""), untrainable=untrainable(manifest))
    study = dataclasses.replace(study, suites=_suites(study, occluded, (GALLERY,)))
    if len(sentences) and study.unmatched == len(sentences):
        raise ReanchorError(f"{prepared}: none of the {len(sentences)} sentences describes a person of the "
                            f"gallery of {len(gallery)}; check which images captions.json names")
    return study


def _rows(manifest: Manifest, split: str) -> np.ndarray:
    return np.asarray(manifest.rows(split), np.int64)


def _opened(prepared: Path, manifest: Manifest, query: np.ndarray, gallery: np.ndarray) -> tuple[ImageStore, Study]:
    """A study without suites."""
    store = ImageStore.open(prepared / "images.arrow")
    labels = Labels(*(np.asarray(column, np.int64) for column in (manifest.pid, manifest.camid, manifest.viewid)))
    junk = json.loads((prepared / "statistics.json").read_text())["found"]["junk"]
    return store, Study(store.images, labels, query, gallery, [], junk_left_out=junk,
                        interpolation=manifest.interpolation)


def _card(metadata: dict[str, str], path: Path) -> dict:
    """What the manifest's metadata says of the dataset's protocol; absent keys keep the study's defaults."""
    found = {name: metadata[key] for name, key in (("card", "card"), ("kind", "kind"), ("card_rule", "camera_rule"))
             if key in metadata}
    galleries = metadata.get("galleries", "1")
    if found.get("card_rule", "auto") not in ("auto", *CAMERA_RULES):
        raise ReanchorError(f"{path}: camera_rule: got {found['card_rule']!r}; allowed: auto, "
                            f"{', '.join(CAMERA_RULES)}; run the prepare stage again")
    if not galleries.isdecimal() or int(galleries) < 1:
        raise ReanchorError(f"{path}: galleries: got {galleries!r}; allowed: a whole number of at least 1; "
                            "run the prepare stage again")
    return found | {"galleries": int(galleries)}


def _suites(study: Study, occluded: Path, sides: tuple[str, ...]) -> list[Condition]:
    """The conditions of these sides; what stands on one query set follows it at once.

    Raises:
        ReanchorError: no suites, one of another gallery, or some that have changed since they were hashed, all in one
            line.
    """
    entries = {entry["name"]: entry for entry in read_suites(occluded)["test"]}
    judged = [name for name in entries if (GALLERY if name.startswith(f"{GALLERY}-") else "query") in sides]
    copies, suites = open_sets(occluded, "test", judged), []
    for name in judged:
        if name.startswith(f"{GALLERY}-") and not np.isin(copies[name].rows, study.gallery_rows).all():
            raise ReanchorError(f"{occluded / 'test' / name}: holds images that are not in the gallery "
                                "of data/prepared; run the occlude stage again (dvc repro -f occlude)")
    for base in dict.fromkeys(name.removeprefix(f"{GALLERY}-") for name in entries):
        opened = {side: (entries[name], copies[name])
                  for side, name in (("query", base), (GALLERY, f"{GALLERY}-{base}")) if name in copies}
        suites += _on_sides(study, opened, sides)
    return suites


def _on_sides(study: Study, opened: dict[str, tuple[dict, OccludedSet]], sides: tuple[str, ...]) -> list[Condition]:
    """A suite's condition with occluded queries, with an occluded gallery and with both, as far as opened."""
    found: dict[str, Condition] = {}
    if "query" in opened:
        entry, copies = opened["query"]
        found["query"] = dataclasses.replace(
            study.whole, **_facts(entry, study), images=copies.images, masks=copies.masks,
            index=np.arange(len(copies.rows)), rows=np.asarray(copies.rows, np.int64))
    if GALLERY in opened:
        entry, copies = opened[GALLERY]
        found[GALLERY] = dataclasses.replace(study.whole, **_facts(entry, study), gallery=Overlay(study.images, copies))
    if len(found) == 2 and BOTH in sides:
        query, gallery = found["query"], found[GALLERY]
        farther = gallery if query.on_ratio else query
        found[BOTH] = dataclasses.replace(query, name=f"{BOTH}-{query.name}", kind=f"{BOTH}-{query.kind}",
                                          sha256=f"{query.sha256}+{gallery.sha256}", gallery=gallery.gallery,
                                          covered=farther.covered)
    return list(found.values())


def _facts(entry: dict, study: Study) -> dict:
    """What `suites.json` says of a suite, by the names of `Condition`; where sentences search, only galleries differ,
    and a kind does not say so."""
    kind = entry["kind" if study.by_sentence else "series"]
    return {"name": entry["name"], "kind": kind, "ratio": entry.get("ratio"), "sha256": entry.get("sha256", ""),
            "covered": entry.get("area_ratio")}
