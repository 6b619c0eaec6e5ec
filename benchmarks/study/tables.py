"""Markdown tables of what was judged: means and standard deviations over seeds, differences with intervals.

An interval is a 95 % paired bootstrap over query identities of the mean over seeds (docs/explanation/protocol.md).
Shapes: S seeds, Q queries, R ratios, B resamples.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.study.arms import lacking, title_of
from reanchor.config.sections.judging import Evaluate
from reanchor.retrieval.bootstrap import IdentityBootstrap, area, slope
from reanchor.retrieval.draws import ranked_rows
from reanchor.retrieval.opening import open_study
from reanchor.retrieval.study import Study
from reanchor.retrieval.tables import ratio_series
from reanchor.retrieval.tokens import LABELS

RESAMPLES = 2000


@dataclass
class Results:
    """What `judge` kept of several seeds."""

    files: dict[tuple[str, int], dict[str, np.ndarray]]  # (arm, seed) -> arrays
    pids: dict[str, np.ndarray]  # condition -> [Q]
    bootstrap: IdentityBootstrap

    @classmethod
    def read(cls, rows: list[str], seeds: list[int], out: Path, study: Study) -> "Results":
        """What was judged of these rows of the tables.

        Raises:
            ReanchorError: a row lacks a seed, or a condition of one.
        """
        files, unjudged = {}, []
        pids = {one.name: study.labels.pids[ranked_rows(study, one.name, Evaluate().seed)]
                for one in study.conditions()}
        for row, seed in itertools.product(dict.fromkeys(rows), seeds):
            name = row.partition(":")[0]
            if (name, seed) not in files:
                files[name, seed] = _arrays(out / f"judged/{name}-{seed}.npz")
            if (name, seed) not in unjudged and any(f"ap/{row}/{one}" not in files[name, seed] for one in pids):
                unjudged.append((name, seed))
        if unjudged:
            raise lacking("judged", unjudged, "judge", out)
        return cls(files, pids, IdentityBootstrap(pids["whole"], RESAMPLES, 0.95, 0))

    def precision(self, row: str, condition: str, seeds: list[int]) -> np.ndarray:
        """Average precision [S, Q] in percent."""
        return np.stack([self.files[row.partition(":")[0], seed][f"ap/{row}/{condition}"] for seed in seeds]
                        ).astype(np.float64)

    def draws(self, values: np.ndarray, condition: str) -> np.ndarray:
        """Resampled means [B] of per-query values [Q]; NaN: a query without a match."""
        valid = np.isfinite(values)
        return self.bootstrap.means(self.pids[condition][valid], values[valid])

    def accuracy(self, row: str, conditions: list[str], seeds: list[int]) -> np.ndarray:
        """mAP [S, conditions]."""
        return np.stack([np.nanmean(self.precision(row, name, seeds), axis=1) for name in conditions], axis=1)

    def lead(self, row: str, other: str, conditions: list[str], seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Mean lead over seeds [conditions], and resampled [B, conditions]."""
        apart = [np.mean(self.precision(row, name, seeds) - self.precision(other, name, seeds), axis=0)
                 for name in conditions]
        return (np.array([np.nanmean(one) for one in apart]),
                np.stack([self.draws(one, name) for one, name in zip(apart, conditions, strict=True)], axis=1))


def print_tables(rows: list[str], against: str, seeds: list[int], out: Path, root: Path) -> None:
    """Accuracy, leads over the row `against`, areas under the curves, and token weights of the rows that have them."""
    study = open_study(root / "data/prepared", root / "data/occluded")
    results = Results.read([*rows, against], seeds, out, study)
    single = [c.name for c in study.conditions() if c.ratio is None or c.name == "whole"]
    print_single(results, rows, against, seeds, single)
    for kind, series in ratio_series(study.suites).items():
        print_curve(results, rows, against, seeds, kind, series)
    print_weights(results, rows, seeds, {c.name: c.kind for c in study.suites if c.gallery is None})


def print_single(results: Results, rows: list[str], against: str, seeds: list[int], conditions: list[str]) -> None:
    """Conditions that have no ratio."""
    _header([f"{name} | minus {against}" for name in conditions])
    for row in rows:
        found, (lead, draws) = results.accuracy(row, conditions, seeds), results.lead(row, against, conditions, seeds)
        cells = [f"{_spread(found[:, i])} | {_apart(row, against, lead[i], draws[:, i], results)}"
                 for i in range(len(conditions))]
        print(f"| {title_of(row)} | {' | '.join(cells)} |")


def print_curve(results: Results, rows: list[str], against: str, seeds: list[int], kind: str, series: dict[float, str]
                ) -> None:
    """mAP by ratio with the area under the curve, then the leads, the area's and their slope."""
    x, names = np.array(list(series)), list(series.values())
    print(f"\n{kind}: mAP by covered share; area: mean over the shares, by trapezoids\n")
    _header([*(f"{ratio:g}" for ratio in x), "area"])
    for row in rows:
        found = results.accuracy(row, names, seeds)
        print(f"| {title_of(row)} | {' | '.join(map(_spread, found.T))} | {_spread(area(x, found))} |")
    print(f"\n{kind}: minus {against}; slope: of the lead, in points per 10 % of covered share\n")
    _header([*(f"{ratio:g}" for ratio in x), "area", "slope"])
    for row in (row for row in rows if row != against):
        lead, draws = results.lead(row, against, names, seeds)
        cells = [_apart(row, against, one, draw, results) for one, draw in zip(lead, draws.T, strict=True)]
        print(f"| {title_of(row)} | {' | '.join(cells)} | "
              f"{_apart(row, against, area(x, lead), area(x, draws), results)} | "
              f"{_apart(row, against, slope(x, lead), slope(x, draws), results, 2)} |")


def print_weights(results: Results, rows: list[str], seeds: list[int], kinds: dict[str, str]) -> None:
    """Token weight relative to area, 1 being an even share: mean over the suites of each kind, and over seeds."""
    named = ("target", "person", "occluder", "background")
    found = [(row, kind) for row in rows for kind in dict.fromkeys(kinds.values())
             if ":" not in row and f"share/{next(iter(kinds))}" in results.files[row, seeds[0]]]
    if not found:
        return
    print("\ntoken weight relative to area\n")
    _header([f"{label}" for label in named])
    for row, kind in found:
        suites = [name for name, own in kinds.items() if own == kind]
        shares, areas = (np.stack([np.mean([results.files[row, seed][f"{what}/{name}"] for name in suites], axis=0)
                                   for seed in seeds]) for what in ("share", "area"))
        order = [list(LABELS).index(label) for label in named]
        cells = [_spread(shares[:, i] / areas[:, i], 2) if areas[0, i] > 1e-4 else "" for i in order]
        print(f"| {title_of(row)}, {kind} | {' | '.join(cells)} |")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    with np.load(path) as arrays:
        return {key: arrays[key] for key in arrays.files}


def _header(columns: list[str]) -> None:
    print(f"| | {' | '.join(columns)} |")
    print("|---" * (1 + sum(1 + column.count("|") for column in columns)) + "|")


def _spread(values: np.ndarray, digits: int = 1) -> str:
    """Mean and, where there are several seeds, standard deviation."""
    deviation = f" ({values.std(ddof=1):.{digits}f})" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{deviation}"


def _apart(row: str, against: str, lead: float, draws: np.ndarray, results: Results, digits: int = 1) -> str:
    if row == against:
        return ""
    low, high = results.bootstrap.interval(draws)
    return f"{lead:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
