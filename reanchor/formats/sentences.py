"""Sentences as queries: which captions search which images."""

from dataclasses import dataclass

import numpy as np

from reanchor.formats.manifest import Manifest


@dataclass(frozen=True)
class SentenceQueries:
    """S sentences, each with the manifest row of the image it was written for."""

    rows: np.ndarray  # int64 [S], ascending
    texts: list[str]

    def __len__(self) -> int:
        return len(self.texts)


def untrainable(manifest: Manifest) -> str:
    """Why captions are too few to train and choose a text-based method on them; "" where they suffice.

    It takes a described training image and a described held-out one. A dataset without such images at all is none of
    this function's business: whoever opens them says so.
    """
    if not any(manifest.captions):
        return "no image of the dataset has a caption"
    for split, images in (("train", "training"), ("val", "held-out")):
        rows = manifest.rows(split)
        if len(rows) and not any(manifest.captions[row] for row in rows if manifest.pid[row] > 0):
            return f"none of {len(rows)} {images} images has a caption"
    return ""


def sentence_queries(manifest: Manifest, split: str) -> SentenceQueries:
    """The sentences of "val" or "test", every caption of an image for itself.

    In "test" the captions of query images search the gallery. A text dataset has no query images: there
    the gallery's own captions do (CUHK-PEDES' protocol, an image may be found by its own caption). In
    "val" all held-out images are described and searched. Distractors and junk (pid below 1) describe nobody.
    """
    candidates = ["val"] if split == "val" else ["query", "gallery"]
    for name in candidates:
        pairs = [(int(row), text) for row in manifest.rows(name) if manifest.pid[row] > 0
                 for text in manifest.captions[row]]
        if pairs:
            return SentenceQueries(np.array([row for row, _ in pairs], np.int64), [text for _, text in pairs])
    return SentenceQueries(np.empty(0, np.int64), [])
