"""`reanchor doctor`: a dataset's folder held against its protocol card."""

import argparse
import difflib
from pathlib import Path

from reanchor.data.cards.card import Card
from reanchor.data.cards.catalogue import CARDS
from reanchor.errors import ReanchorError

FINDINGS = 1  # exit status
DATASETS = tuple(name for name in CARDS if name != "none")
DESCRIPTION = """\
Compare a dataset's folder with what is known of the dataset, and say what is missing, misplaced or
miscounted and how to mend it. It opens no image (prepare does) and changes nothing.

  reanchor doctor                              the datasets that can be read
  reanchor doctor market1501                   one dataset's card: layout, protocol, counts, terms
  reanchor doctor market1501 /data/Market-1501 the examination

Exit status: 0 all agrees, 1 something was found, 2 wrong usage."""


def add(subparsers) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser("doctor", help="say what is wrong with a dataset's folder", description=DESCRIPTION,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", metavar="DATASET", help="a name as in conf/dataset")
    parser.add_argument("root", nargs="?", type=Path, metavar="ROOT", help="its folder, as prepare.root would name it")
    parser.add_argument("--test-size", default="small", choices=("small", "medium", "large"),
                        help="VehicleID's test list (default: small)")
    parser.add_argument("--table", default="dataset.csv", metavar="NAME",
                        help="of dataset csv: the table's name in ROOT, as prepare.table (default: dataset.csv)")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """List the datasets, show one's card, or examine a folder.

    Raises:
        ReanchorError: no such dataset or folder.
    """
    if given.dataset is None:
        print(_overview())
        return 0
    card = _card(given.dataset)
    if given.root is None:
        print(_details(card))
        return 0
    return _examine(card, given.root, given.test_size, given.table)


def _card(name: str) -> Card:
    if name in DATASETS:
        return CARDS[name]
    near = difflib.get_close_matches(name, DATASETS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ReanchorError(f"DATASET: got {name!r}; {hint}allowed: {', '.join(DATASETS)}")


def _examine(card: Card, root: Path, test_size: str, table: str) -> int:
    from reanchor.doctor.diagnose import diagnose

    diagnosis = diagnose(card, root, test_size, table)
    print(f"{card.title} in {root}")
    if diagnosis.found:
        print("  " + "; ".join(f"{split} {diagnosis.found[f'{split}_images']:,} images of "
                               f"{diagnosis.found[f'{split}_identities']:,} identities" for split in card.splits))
    for finding in diagnosis.findings:
        print(f"  found: {finding.what}\n   mend: {finding.mend}")
    for note in diagnosis.notes:
        print(f"   note: {note}")
    if diagnosis.findings:
        return FINDINGS
    known = "all known counts agree" if card.counts or card.totals else (
        "the layout can be read; no count is known beforehand")
    named = f" prepare.table={table}" if card.name == "csv" and table != "dataset.csv" else ""
    print(f"{known}: make run SET=\"dataset={card.name} prepare.root={root}{named}\"")
    return 0


def _overview() -> str:
    lines = [f"{'DATASET':<16}{'images':>9}  {'camera rule':<12}{'splits':<22}terms"]
    for name in DATASETS:
        card = CARDS[name]
        images = [card.expected(next(iter(card.variants), "")).get(f"{split}_images") for split in card.splits]
        total = f"{sum(images):,}" if all(images) else f"{card.totals['images']:,}" if card.totals else "-"
        terms = f"{card.terms}{' [needs an acknowledgement]' if card.withdrawn else ''}"
        lines.append(f"{name:<16}{total:>9}  {card.camera_rule:<12}{' '.join(card.splits):<22}{terms}")
    return "\n".join([*lines, "", "reanchor doctor DATASET shows one in full; reanchor doctor DATASET ROOT examines a "
                                  "folder."])


def _details(card: Card) -> str:
    rules = [f"camera rule {card.camera_rule} (cameras: {_CAMERAS[card.cameras]})"]
    rules += ["queries are sentences"] * card.by_sentence
    rules += ["pid -1 is junk"] * card.junk + ["pid 0 are distractors"] * card.distractors
    rules += [f"figures average {card.galleries} random galleries"] * (card.galleries > 1)
    lines = [card.title, f"  layout    {card.layout}", f"  kind      {card.kind}",
             f"  protocol  {'; '.join(rules)}", f"  splits    {', '.join(card.splits)}"]
    for name, counts in (("", card.counts), ("all splits", card.totals), *card.variants.items()):
        if counts:
            words = ", ".join(f"{key.replace('_', ' ')} {count:,}" for key, count in counts.items())
            lines.append(f"  counts    {f'{name}: ' if name else ''}{words}")
    lines += [f"  source    {card.source}"] if card.source else []
    lines.append(f"  terms     {card.terms}")
    lines += [f"  withdrawn {card.withdrawn}; needs prepare.acknowledge_withdrawn=true"] if card.withdrawn else []
    return "\n".join(lines)


_CAMERAS = {"name": "from file names", "made": "made by the reader", "none": "none"}
