"""Sentences that were translated to another language and back, from a file beside the dataset."""

import warnings
from pathlib import Path, PurePosixPath

from reanchor.data.captions import read_json_list
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest
from reanchor.text.pairs import SentencePairs
from reanchor.text.words import clean_sentence


def read_back_translations(path: Path, prepared: Path, pairs: SentencePairs, clean: bool = False) -> list[str]:
    """For every pair its sentence's back translation; "" where the file has none, which is warned of once.

    The file is a list of {"file_path" (or "img_path"): as the dataset's own list has it, "captions_bt": [one for each
    caption]}, as TBPS-CLIP's authors annotate CUHK-PEDES. An image whose translations are not as many as its captions
    has none: which belongs to which could not be told.

    Args:
        clean: drop most punctuation, as of the sentences (`reanchor.text.words.clean_sentence`).

    Raises:
        ReanchorError: no such file, not of this form, or nothing in it for any training sentence.
    """
    known = _read(path)
    manifest, found = Manifest.read(prepared / "manifest.parquet"), []
    for row, number in zip(pairs.images.rows[pairs.owner], pairs.number, strict=True):
        name = manifest.path[row]
        texts = known.get(name) or known.get(name.removeprefix("imgs/"), ())  # lists name images below imgs/
        text = texts[number].strip() if len(texts) == len(manifest.captions[row]) else ""
        found.append(clean_sentence(text) if clean else text)
    without = found.count("")
    if without == len(found):
        raise ReanchorError(f"tbps.recipe.captions_bt: {path} has a back translation for none of {len(found)} training "
                            "sentences; allowed: a list of records with file_path and captions_bt, or "
                            "back_translation 0")
    if without:
        warnings.warn(f"{path}: {without} of {len(found)} training sentences have no back translation and stay as "
                      "they are", stacklevel=2)
    return found


def _read(path: Path) -> dict[str, list[str]]:
    if not path.is_file():
        raise ReanchorError(f"tbps.recipe.captions_bt: no file at {path}; give a JSON list of records with file_path "
                            "and captions_bt, or set back_translation to 0")
    records = read_json_list(path, "a list of records with file_path and captions_bt")
    known: dict[str, list[str]] = {}
    for position, record in enumerate(records):
        name = record.get("file_path", record.get("img_path")) if isinstance(record, dict) else None
        texts = record.get("captions_bt") if isinstance(record, dict) else None
        if not isinstance(name, str) or not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
            raise ReanchorError(f"tbps.recipe.captions_bt: {path}: record {position} is {str(record)[:80]!r}; each "
                                "needs "
                                '"file_path" (text) and "captions_bt" (a list of texts)')
        known.setdefault(str(PurePosixPath(name)), []).extend(texts)  # an image may be listed twice
    return known
