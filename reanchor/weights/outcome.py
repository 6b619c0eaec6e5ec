"""What became of every part of a checkpoint: the table that an import prints and keeps in model.json."""

from collections.abc import Sequence
from dataclasses import dataclass

OUTCOMES = ("used", "resized", "dropped", "missing")


@dataclass(frozen=True)
class Outcome:
    """One group of tensors."""

    group: str  # the authors' name up to the first dot
    outcome: str  # one of OUTCOMES
    tensors: int
    note: str  # how it was read, or why not


def table(outcomes: Sequence[Outcome]) -> str:
    """Aligned lines below a heading."""
    rows = [("group", "outcome", "tensors", "note")]
    rows += [(each.group, each.outcome, str(each.tensors), each.note) for each in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows)


def figures(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Tensors by outcome, flat."""
    return {f"tensors_{name}": sum(each.tensors for each in outcomes if each.outcome == name) for name in OUTCOMES}
