"""Which images are occluded, by what: the training share, the suites of queries and of gallery images."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from reanchor.config.sections.data import Occlude
from reanchor.errors import ReanchorError
from reanchor.formats.manifest import Manifest, validation_rows
from reanchor.occlusion.draws import generator, image_seed


@dataclass(frozen=True)
class Suite:
    """One set to make: `rows` [N] int64 of the prepared manifest; `ratio` is None for OGor's range."""

    split: str  # train, val or test
    name: str  # ogor, masking-0.10, people-behind-0.30, gallery-ogor ...
    kind: str  # ogor, masking, people or mixed
    ratio: float | None
    rows: np.ndarray
    side: str = "query"  # or gallery
    series: str = ""  # the name without the ratio: suites that differ in their ratio alone
    options: dict[str, str] = field(default_factory=dict)  # of the kind's function

    @property
    def folder(self) -> str:
        return "train" if self.split == "train" else f"{self.split}/{self.name}"

    @property
    def purpose(self) -> str:
        """What the random draws are for. Ratios and options of one kind share it: the same stranger comes
        nearer or steps behind, the same block grows, so that a difference between two suites is due to what
        differs between them."""
        side = "gallery/" if self.side == "gallery" else ""
        return f"{self.split}/{side}{self.kind}"


@dataclass(frozen=True)
class Series:
    """Controlled suites that differ in their ratio alone."""

    name: str
    kind: str
    options: dict[str, str]
    ratios: list[float]


def plan(config: Occlude, manifest: Manifest) -> list[Suite]:
    """The sets that `config` asks for; none for a split without rows.

    Val has the plain controlled suites of queries; test has all, of the sides asked for.

    Raises:
        ReanchorError: when ratio_low exceeds ratio_high.
    """
    if config.ratio_low > config.ratio_high:
        raise ReanchorError(f"occlude.ratio_low: {config.ratio_low} is above occlude.ratio_high "
                            f"{config.ratio_high}; allowed: ratio_low <= ratio_high; swap them")
    suites = [Suite("train", "ogor", "ogor", None, training_rows(manifest, config), series="ogor")]
    for split, rows in (("val", validation_rows(manifest)[0]), ("test", manifest.rows("query"))):
        sides = {"query": rows, "gallery": gallery_rows(manifest, split, config)}
        suites += [_suite(split, side, sides, "ogor", "ogor") for side in sides]
        judged = [side for side in sides if config.sides in (side, "both")] if split == "test" else ["query"]
        if split == "test" and config.unseen_classes:
            suites += [_suite(split, side, sides, "ogor", "ogor-unseen", options={"library": "unseen"})
                       for side in judged]
        suites += [_suite(split, side, sides, one.kind, one.name, ratio, one.options)
                   for one in (controlled(config) if split == "test" else plain(config))
                   for side in judged for ratio in sorted(set(one.ratios))]
    return [suite for suite in suites
            if len(suite.rows) and (suite.kind != "ogor" or suite.split in config.splits)]


def _suite(split: str, side: str, sides: dict[str, np.ndarray], kind: str, series: str, ratio: float | None = None,
           options: dict[str, str] | None = None) -> Suite:
    series = f"gallery-{series}" if side == "gallery" else series
    name = series if ratio is None else suite_name(series, ratio)
    return Suite(split, name, kind, ratio, sides[side], side, series, options or {})


def controlled(config: Occlude) -> list[Series]:
    """All series, one thing changed at a time against the first value of each list."""
    masking = {"shape": config.masking_shapes, "position": config.masking_positions}
    people = {"come_from": config.people_from, "layer": config.people_layers, "edge": config.people_edges}
    mixed = [Series(f"mixed-{beside}", "mixed", {"beside": beside}, config.mixed_ratios)
             for beside in config.mixed_with]
    return [*_one_at_a_time("masking", masking, config.masking_ratios),
            *_one_at_a_time("people", people, config.people_ratios), *mixed]


def plain(config: Occlude) -> list[Series]:
    """Blocks at random places and strangers in front, which models are watched on."""
    return [Series(kind, kind, {}, ratios)
            for kind, ratios in (("masking", config.masking_ratios), ("people", config.people_ratios))]


_UNNAMED = ("block", "random", "front", "soft")


def _one_at_a_time(kind: str, choices: dict[str, list[str]], ratios: list[float]) -> list[Series]:
    """A series is named by what it has beside a block at random, or a stranger in front from a random side."""
    first = {key: values[0] for key, values in choices.items()}
    found = [first, *({**first, key: value} for key, values in choices.items() for value in values[1:])]
    return [Series("-".join([kind, *(value for value in options.values() if value not in _UNNAMED)]), kind, options,
                   ratios) for options in found]


def suite_name(kind: str, ratio: float) -> str:
    """`masking-0.10`; more digits only where the ratio has them."""
    short = f"{ratio:.2f}"
    return f"{kind}-{short if float(short) == ratio else f'{ratio:g}'}"


def training_rows(manifest: Manifest, config: Occlude) -> np.ndarray:
    """The training rows that get an OGor copy, ascending: a share of each identity's, or as released."""
    return _chosen(manifest, manifest.rows("train"), config.train_share, config, "train/choice")


def gallery_rows(manifest: Manifest, split: str, config: Occlude) -> np.ndarray:
    """The gallery rows of val or test that get an occluded copy, ascending, the same for all suites.

    `config.gallery_share` of the images of every identity, distractors (pid 0) counted as one, so that an
    occluded image is no sign of a match; junk (pid -1) is left alone. All of val is its gallery.
    """
    rows = manifest.rows("gallery" if split == "test" else split)
    return _chosen(manifest, rows[manifest.pid[rows] >= 0], config.gallery_share, config, f"{split}/gallery/choice")


def _chosen(manifest: Manifest, rows: np.ndarray, share: float, config: Occlude, purpose: str) -> np.ndarray:
    if config.variant == "ogor-released" and share:
        return first_of_runs(rows, manifest.pid)
    return spread_share(manifest, rows, share, config.seed, purpose)


def first_of_runs(rows: np.ndarray, pids: np.ndarray) -> np.ndarray:
    """The first of each run of equal pids among `rows`, as the authors' code has it: one per identity where
    images are sorted by identity.

    >>> first_of_runs(np.arange(6), np.array([4, 4, 7, 7, 4, 9])).tolist()
    [0, 2, 4, 5]
    """
    starts = [next(run) for _, run in groupby(range(len(rows)), key=lambda index: pids[rows[index]])]
    return rows[np.array(starts, np.int64)]


def spread_share(manifest: Manifest, rows: np.ndarray, share: float, seed: int, purpose: str) -> np.ndarray:
    """`share` of the images of every identity among `rows`, ascending, from different cameras first
    ("within the same ID but different views", MGCC).

    Fractions carry over to the next identity, so that the total is round(share * len(rows)).
    """
    by_pid: dict[int, list[int]] = {}
    for row in rows:
        by_pid.setdefault(int(manifest.pid[row]), []).append(int(row))
    chosen, images, taken = [], 0, 0
    for pid in sorted(by_pid):
        images += len(by_pid[pid])
        quota = round(share * images) - taken
        taken += quota
        chosen += _spread(by_pid[pid], manifest.image_id, manifest.camid, seed, purpose)[:quota]
    return np.array(sorted(chosen), np.int64)


def _spread(rows: list[int], image_ids: Sequence[str], camids: np.ndarray, seed: int, purpose: str) -> list[int]:
    """`rows` in random order, every camera's first image before any camera's second."""
    chance = {row: generator(image_seed(seed, image_ids[row], purpose)).random() for row in rows}
    seen: dict[int, int] = {}
    turn = {}
    for row in sorted(rows, key=chance.__getitem__):
        camid = int(camids[row])
        turn[row] = seen[camid] = seen.get(camid, -1) + 1
    return sorted(rows, key=lambda row: (turn[row], chance[row]))
