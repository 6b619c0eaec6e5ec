"""What the captions of a prepared dataset are like, and what is odd about them."""

import re
from collections import Counter, defaultdict

import numpy as np

from reanchor.formats.manifest import SPLITS, Manifest

LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")


def describe_captions(manifest: Manifest) -> dict:
    """Sentences per image and words per sentence of each split, and counts over all; {} without captions.

    other_script: captions with a letter that is not Latin; no_latin_letter: those with no other letter;
    repeated: captions that stand on their image already; several_identities: different texts, each on
    images of more than one identity.
    """
    if not any(manifest.captions):
        return {}
    texts = [text for captions in manifest.captions for text in captions]
    people: dict[str, set[int]] = defaultdict(set)
    for pid, captions in zip(manifest.pid, manifest.captions, strict=True):
        for text in captions:
            people[text].add(int(pid))
    return {
        **{split: _split(manifest, split) for split in SPLITS if len(manifest.rows(split))},
        "other_script": sum(not text.isascii() and any(letter.isalpha() and not LATIN.match(letter) for letter in text)
                            for text in texts),
        "no_latin_letter": sum(not LATIN.search(text) for text in texts),
        "repeated": sum(count - 1 for captions in manifest.captions for count in Counter(captions).values()),
        "several_identities": sum(len(pids) > 1 for pids in people.values()),
    }


def caption_notes(manifest: Manifest, captions: dict) -> list[str]:
    """What a user should know of `describe_captions`' counts before training."""
    if not captions:
        return []
    notes = []
    if foreign := captions["no_latin_letter"]:
        path = next(path for path, texts in zip(manifest.path, manifest.captions, strict=True)
                    if any(not LATIN.search(text) for text in texts))
        notes.append(f"{foreign:,} captions have no Latin letter (such as one of {path}): a word tokenizer knows none "
                     "of their words; CLIP's own reads any script")
    if without := sum(captions[split]["images_without"] for split in SPLITS if split in captions):
        notes.append(f"{without:,} images have no caption: image methods use them, text-based search has them in its "
                     "gallery only")
    if repeated := captions["repeated"]:
        notes.append(f"{repeated:,} captions stand on their image already; kept, as published figures count them")
    if shared := captions["several_identities"]:
        notes.append(f"{shared:,} texts stand on images of more than one identity: no search by them can be right "
                     "for all")
    return notes


def _split(manifest: Manifest, split: str) -> dict:
    captions = [manifest.captions[row] for row in manifest.rows(split)]
    return {"sentences": sum(map(len, captions)), "images_without": sum(not texts for texts in captions),
            "per_image_min_median_max": _range([len(texts) for texts in captions]),
            "words_min_median_max": _range([len(text.split()) for texts in captions for text in texts])}


def _range(values: list[int]) -> list[float]:
    return [min(values), float(np.median(values)), max(values)] if values else []
