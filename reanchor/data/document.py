"""The tables of docs/reference/datasets.md, made of the datasets' records.

    python -m reanchor.data.document    # writes them anew, in the repository's folder
"""

import re
import sys
from pathlib import Path

from reanchor.data.catalogue import DATASETS
from reanchor.data.dataset import Dataset

PAGE = Path("docs/reference/datasets.md")
BLOCK = re.compile(r"(<!-- (images|sentences): written by .*? -->\n).*?(<!-- end -->)", re.DOTALL)
IMAGES = ("`dataset=`", "dataset", "in `prepare.root`", "camera rule", "train / query / gallery images", "terms")
SENTENCES = ("`dataset=`", "dataset", "in `prepare.root`", "identities",
             "train / val / gallery images (sentences)", "terms")


def documented(page: str) -> str:
    """The text of the page, its tables as the records have it."""
    rows = {"images": lambda: _table(IMAGES, [_image_row(one) for one in _known() if not one.by_sentence]),
            "sentences": lambda: _table(SENTENCES, [_sentence_row(one) for one in _known() if one.by_sentence])}
    return BLOCK.sub(lambda block: block[1] + rows[block[2]]() + block[3], page)


def _known() -> list[Dataset]:
    """Persons, then vehicles, then what is the user's own."""
    return sorted((one for one in DATASETS.values() if one.read), key=lambda one: (not one.source, one.kind, one.name))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('*', chr(92) + '*') for cell in line)} |\n" for line in lines)


def _image_row(one: Dataset) -> tuple[str, ...]:
    rule = f"{one.camera_rule}, {one.galleries} galleries" if one.galleries > 1 else one.camera_rule
    return f"`{one.name}`", one.title, one.layout, rule, _images(one), one.terms


def _images(one: Dataset) -> str:
    if one.totals:
        return "{images:,} of {identities:,} in all".format(**one.totals)
    words = [_by_split(one, "images", name) + f" ({name})" * bool(name) for name in one.variants or ("",)
             if any(f"{split}_images" in one.expected(name) for split in one.splits)]
    words += [f"{one.random_splits} random splits"] * (one.random_splits > 1) + [one.protocol] * bool(one.protocol)
    return "; ".join(words) or "by what is there"


def _sentence_row(one: Dataset) -> tuple[str, ...]:
    images = f"{_by_split(one, 'images')} ({_by_split(one, 'sentences')})"
    return f"`{one.name}`", one.title, one.layout, _by_split(one, "identities"), images, one.terms


def _by_split(one: Dataset, what: str, variant: str = "") -> str:
    """Counts of train, query (of sentences: val) and gallery; "-" for those that nobody states."""
    counts, middle = one.expected(variant), "val" if one.by_sentence else "query"
    test_only = {"train": 0} if one.test_only else {}
    found = [test_only.get(split, counts.get(f"{split}_{what}")) for split in ("train", middle, "gallery")]
    return " / ".join("-" if count is None else f"{count:,}" for count in found)


def main() -> int:
    """Write the page anew."""
    PAGE.write_text(documented(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
