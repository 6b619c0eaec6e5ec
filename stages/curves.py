"""A training curve as a CSV file that survives interruptions.

DVC removes a stage's outputs before it runs the stage, so rows are kept in a journal outside the
outputs until the stage has finished. A resumed training logs some steps again: the later row counts.
"""

import csv
import hashlib
import json
from pathlib import Path

from reanchor.config import Params, flatten
from reanchor.files import atomic_path


def settings_key(params: Params) -> str:
    """Twelve hex digits of all settings that can change a result (`runtime` cannot)."""
    leaves = {key: value for key, value in flatten(params).items() if not key.startswith("runtime.")}
    return hashlib.sha256(json.dumps(leaves, sort_keys=True).encode()).hexdigest()[:12]


class CurveFile:
    """Rows {step: values}; `close` writes reports/<stage>/<model>/curves.csv, one column per value."""

    def __init__(self, root: Path, stage: str, model: str, params: Params):
        self._target = root / "reports" / stage / model / "curves.csv"
        self._journal = root / ".checkpoints" / "curves" / f"{stage}-{model}-{settings_key(params)}.jsonl"
        self._rows: dict[int, dict[str, float]] = {}
        self._first = True

    def log(self, step: int, values: dict[str, float]) -> None:
        """Add values at `step`; the first call after a restart drops what was logged beyond it."""
        if self._first:
            self._resume(step)
        self._rows.setdefault(step, {}).update({name: float(value) for name, value in values.items()})
        with self._journal.open("a") as journal:
            journal.write(json.dumps([step, values], default=float) + "\n")

    def close(self) -> None:
        """Write the CSV and remove the journal."""
        names = sorted({name for row in self._rows.values() for name in row} - {"step"})
        with atomic_path(self._target) as temporary, temporary.open("w", newline="") as handle:
            table = csv.writer(handle, lineterminator="\n")
            table.writerow(["step", *names])
            for step, row in sorted(self._rows.items()):
                table.writerow([step, *(_cell(row.get(name)) for name in names)])
        self._journal.unlink(missing_ok=True)

    def _resume(self, step: int) -> None:
        self._first = False
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        if self._journal.is_file():
            for earlier, values in _whole_lines(self._journal):
                if earlier < step:
                    self._rows.setdefault(earlier, {}).update(values)
        lines = [json.dumps([earlier, row]) + "\n" for earlier, row in sorted(self._rows.items())]
        with atomic_path(self._journal) as temporary:
            temporary.write_text("".join(lines))


def _whole_lines(journal: Path) -> list:
    """A kill may cut the last line off: only lines that end in a newline count."""
    return [json.loads(line) for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
