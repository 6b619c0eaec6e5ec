"""What became of every part of a checkpoint: the table that an import prints and keeps in model.json."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from reanchor.printing import columns

COLOURS = {"used": "green", "resized": "yellow", "dropped": "dim", "missing": "red"}
OUTCOMES = tuple(COLOURS)


@dataclass(frozen=True)
class Outcome:
    """One group of tensors."""

    group: str  # the authors' name up to the first dot
    outcome: str  # one of OUTCOMES
    tensors: int
    note: str  # how it was read, or why not


def table(outcomes: Sequence[Outcome]) -> Table:
    """A row for each group, to be shown."""
    rows = columns("group", "outcome", "tensors", "note", right=("tensors",))
    for each in outcomes:
        rows.add_row(each.group, Text(each.outcome, COLOURS[each.outcome]), str(each.tensors), each.note)
    return rows


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Tensors by outcome, flat."""
    return {f"tensors_{name}": sum(each.tensors for each in outcomes if each.outcome == name) for name in OUTCOMES}
