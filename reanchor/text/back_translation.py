"""Sentences that were translated to another language and back, from a file beside the dataset."""

import json
import warnings
from pathlib import Path, PurePosixPath

from reanchor.data import Manifest
from reanchor.errors import ReanchorError
from reanchor.text.pairs import SentencePairs


def read_back_translations(path: Path, prepared: Path, pairs: SentencePairs) -> list[str]:
    """For every pair its sentence's back translation; "" where the file has none, which is warned of once.

    The file is a list of {"file_path": relative to the dataset's root, "captions_bt": [one for each caption]}, as
    TBPS-CLIP's authors annotate CUHK-PEDES.

    Raises:
        ReanchorError: no such file, not of this form, or nothing in it for any training sentence.
    """
    known = _read(path)
    paths = Manifest.read(prepared / "manifest.parquet").path
    found = []
    for row, number in zip(pairs.images.rows[pairs.owner], pairs.number, strict=True):
        texts = known.get(paths[row], ())
        found.append(texts[number].strip() if number < len(texts) else "")
    without = found.count("")
    if without == len(found):
        raise ReanchorError(f"tbps.captions_bt: {path} has a back translation for none of {len(found)} training "
                            "sentences; allowed: a list of records with file_path and captions_bt, or "
                            "back_translation 0")
    if without:
        warnings.warn(f"{path}: {without} of {len(found)} training sentences have no back translation and stay as "
                      "they are", stacklevel=2)
    return found


def _read(path: Path) -> dict[str, list[str]]:
    if not path.is_file():
        raise ReanchorError(f"tbps.captions_bt: no file at {path}; give a JSON list of records with file_path and "
                            "captions_bt, or set back_translation to 0")
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ReanchorError(f"tbps.captions_bt: {path} is not valid JSON ({error}); repair it") from error
    if not isinstance(records, list):
        raise ReanchorError(f"tbps.captions_bt: {path} holds a {type(records).__name__}; allowed: a list of records")
    known: dict[str, list[str]] = {}
    for position, record in enumerate(records):
        name = record.get("file_path") if isinstance(record, dict) else None
        texts = record.get("captions_bt") if isinstance(record, dict) else None
        if not isinstance(name, str) or not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
            raise ReanchorError(f"tbps.captions_bt: {path}: record {position} is {str(record)[:80]!r}; each needs "
                                '"file_path" (text) and "captions_bt" (a list of texts)')
        known[str(PurePosixPath(name))] = texts
    return known
