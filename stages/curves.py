"""A training curve as a CSV file.

Rows are held until the stage has finished; a training that goes on from a checkpoint logs all of them again.
"""

import csv
import hashlib
import json
from pathlib import Path

from reanchor.config.load import flatten
from reanchor.config.params import Params
from reanchor.files import atomic_path


def settings_key(params: Params) -> str:
    """Twelve hex digits of all settings that can change a result (`runtime` cannot)."""
    leaves = {key: value for key, value in flatten(params).items() if not key.startswith("runtime.")}
    return hashlib.sha256(json.dumps(leaves, sort_keys=True).encode()).hexdigest()[:12]


class CurveFile:
    """Rows {step: values}; `close` writes reports/<stage>/curves.csv, one column per value."""

    def __init__(self, root: Path, stage: str):
        self._target = root / "reports" / stage / "curves.csv"
        self._rows: dict[int, dict[str, float]] = {}

    def log(self, step: int, values: dict[str, float]) -> None:
        """Add values at `step`; of a value that comes again, the later one counts."""
        self._rows.setdefault(step, {}).update({name: float(value) for name, value in values.items()})

    def close(self) -> None:
        """Write the CSV."""
        names = sorted({name for row in self._rows.values() for name in row} - {"step"})
        with atomic_path(self._target) as temporary, temporary.open("w", newline="") as handle:
            table = csv.writer(handle, lineterminator="\n")
            table.writerow(["step", *names])
            for step, row in sorted(self._rows.items()):
                table.writerow([step, *(_cell(row.get(name)) for name in names)])


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
