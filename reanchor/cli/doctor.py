"""`reanchor doctor`: a dataset's folder held against its protocol card."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from reanchor.errors import ReanchorError
from reanchor.printing import columns, show, working

if TYPE_CHECKING:
    from reanchor.data.cards.card import Card

FINDINGS = 1  # exit status


def datasets() -> "dict[str, Card]":
    """The cards of all datasets that can be read, by name."""
    from reanchor.data.cards.catalogue import CARDS

    return {name: card for name, card in CARDS.items() if name != "none"}


def _complete(incomplete: str) -> list[str]:
    return [name for name in datasets() if name.startswith(incomplete)]


def doctor(
    dataset: Annotated[str | None, typer.Argument(
        metavar="DATASET", help="a name as in conf/dataset", autocompletion=_complete)] = None,
    root: Annotated[Path | None, typer.Argument(
        metavar="ROOT", help="its folder, as prepare.root would name it")] = None,
    *,
    test_size: Annotated[Literal["small", "medium", "large"], typer.Option(help="VehicleID's test list")] = "small",
    table: Annotated[str, typer.Option(
        metavar="NAME", help="of dataset csv: the table's name in ROOT, as prepare.table")] = "dataset.csv",
) -> int:
    """Say what is wrong with a dataset's folder, and how to mend it.

    Compare the folder with what is known of the dataset: what is missing, misplaced or miscounted. No image is opened
    (prepare does that) and nothing is changed. Without ROOT a dataset's card is shown: layout, protocol, counts, terms.
    Without DATASET all that can be read are listed.

    Exit status: 0 all agrees, 1 something was found, 2 wrong usage.

    Examples:

        reanchor doctor
        reanchor doctor market1501
        reanchor doctor market1501 /data/Market-1501
    """
    if dataset is None:
        show(_overview(), "",
             "reanchor doctor DATASET shows one in full; reanchor doctor DATASET ROOT examines a folder.")
        return 0
    card = _card(dataset)
    if root is None:
        show(Text(card.title, "bold"), _details(card))
        return 0
    return _examine(card, root, test_size, table)


def _card(name: str) -> "Card":
    known = datasets()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ReanchorError(f"DATASET: got {name!r}; {hint}allowed: {', '.join(known)}")


def _examine(card: "Card", root: Path, test_size: str, table: str) -> int:
    from reanchor.doctor.diagnose import diagnose

    with working(f"examining {root}"):
        diagnosis = diagnose(card, root, test_size, table)
    show(Text(f"{card.title} in {root}", "bold"))
    if diagnosis.found:
        show("  " + "; ".join(f"{split} {diagnosis.found[f'{split}_images']:,} images of "
                              f"{diagnosis.found[f'{split}_identities']:,} identities" for split in card.splits))
    for finding in diagnosis.findings:
        show(Text.assemble("  ", ("found:", "bold red"), f" {finding.what}"),
             Text.assemble("   ", ("mend:", "green"), f" {finding.mend}"))
    for note in diagnosis.notes:
        show(Text.assemble("   ", ("note:", "cyan"), f" {note}"))
    if diagnosis.findings:
        return FINDINGS
    known = "all known counts agree" if card.counts or card.totals else (
        "the layout can be read; no count is known beforehand")
    named = f" prepare.table={table}" if card.name == "csv" and table != "dataset.csv" else ""
    show(Text.assemble((known, "green"), f": make run SET=\"dataset={card.name} prepare.root={root}{named}\""))
    return 0


def _overview() -> Table:
    rows = columns("DATASET", "images", "camera rule", "splits", "terms", right=("images",))
    for name, card in datasets().items():
        images = [card.expected(next(iter(card.variants), "")).get(f"{split}_images") for split in card.splits]
        known = [count for count in images if count]
        total = f"{sum(known):,}" if len(known) == len(images) else (
            f"{card.totals['images']:,}" if card.totals else "-")
        terms = Text.assemble(card.terms, (" [needs an acknowledgement]", "yellow") if card.withdrawn else "")
        rows.add_row(Text(name, "cyan"), total, card.camera_rule, " ".join(card.splits), terms)
    return rows


def _details(card: "Card") -> Table:
    rules = [f"camera rule {card.camera_rule} (cameras: {_CAMERAS[card.cameras]})"]
    rules += ["queries are sentences"] * card.by_sentence
    rules += ["pid -1 is junk"] * card.junk + ["pid 0 are distractors"] * card.distractors
    rules += [f"figures average {card.galleries} random galleries"] * (card.galleries > 1)
    rows = [("layout", card.layout), ("kind", card.kind), ("protocol", "; ".join(rules)),
            ("splits", ", ".join(card.splits))]
    for name, counts in (("", card.counts), ("all splits", card.totals), *card.variants.items()):
        if counts:
            words = ", ".join(f"{key.replace('_', ' ')} {count:,}" for key, count in counts.items())
            rows.append(("counts", f"{name}: {words}" if name else words))
    rows += [("source", card.source)] if card.source else []
    rows.append(("terms", card.terms))
    rows += [("withdrawn", f"{card.withdrawn}; needs prepare.acknowledge_withdrawn=true")] if card.withdrawn else []
    grid = Table.grid(padding=(0, 1), pad_edge=True)
    for key, value in rows:
        grid.add_row(Text(f" {key}", "cyan"), Text(value))
    return grid


_CAMERAS = {"name": "from file names", "made": "made by the reader", "none": "none"}
