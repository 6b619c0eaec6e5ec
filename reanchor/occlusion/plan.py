"""Which images are occluded, by what: the training share, the suites of queries and of gallery images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reanchor.config.sections import Occlude
from reanchor.data import Manifest, validation_rows
from reanchor.errors import ReanchorError
from reanchor.occlusion.draws import generator, image_seed


@dataclass(frozen=True)
class Suite:
    """One set to make: `rows` [N] int64 of the prepared manifest; `ratio` is None for OGor's range."""

    split: str  # train, val or test
    name: str  # ogor, masking-0.10, people-0.30, gallery-ogor ...
    kind: str  # ogor, masking or people
    ratio: float | None
    rows: np.ndarray
    side: str = "query"  # or gallery

    @property
    def folder(self) -> str:
        return "train" if self.split == "train" else f"{self.split}/{self.name}"

    @property
    def purpose(self) -> str:
        """What the random draws are for. Ratios of one kind share it: the same stranger comes nearer,
        the same block grows, so that a difference between ratios is due to the ratio."""
        side = "gallery/" if self.side == "gallery" else ""
        return f"{self.split}/{side}{self.kind}"


def plan(config: Occlude, manifest: Manifest) -> list[Suite]:
    """The sets that `config` asks for; none for a split without rows.

    Raises:
        ReanchorError: when ratio_low exceeds ratio_high.
    """
    if config.ratio_low > config.ratio_high:
        raise ReanchorError(f"occlude.ratio_low: {config.ratio_low} is above occlude.ratio_high "
                            f"{config.ratio_high}; allowed: ratio_low <= ratio_high; swap them")
    train = training_rows(manifest, config.train_share, config.seed)
    suites = [Suite("train", "ogor", "ogor", None, train)]
    for split, rows in (("val", validation_rows(manifest)[0]), ("test", manifest.rows("query"))):
        suites.append(Suite(split, "ogor", "ogor", None, rows))
        suites.append(Suite(split, "gallery-ogor", "ogor", None, gallery_rows(manifest, split, config), "gallery"))
        for kind, ratios in (("masking", config.masking_ratios), ("people", config.people_ratios)):
            suites += [Suite(split, suite_name(kind, ratio), kind, ratio, rows)
                       for ratio in sorted(set(ratios))]
    return [suite for suite in suites if len(suite.rows)]


def suite_name(kind: str, ratio: float) -> str:
    """`masking-0.10`; more digits only where the ratio has them."""
    short = f"{ratio:.2f}"
    return f"{kind}-{short if float(short) == ratio else f'{ratio:g}'}"


def training_rows(manifest: Manifest, share: float, seed: int) -> np.ndarray:
    """The training rows that get an OGor copy, ascending: see `spread_share`."""
    return spread_share(manifest, manifest.rows("train"), share, seed, "train/choice")


def gallery_rows(manifest: Manifest, split: str, config: Occlude) -> np.ndarray:
    """The gallery rows of val or test that get an occluded copy, ascending, the same for all suites.

    `config.gallery_share` of the images of every identity, distractors (pid 0) counted as one, so that an
    occluded image is no sign of a match; junk (pid -1) is left alone. All of val is its gallery.
    """
    rows = manifest.rows("gallery" if split == "test" else split)
    return spread_share(manifest, rows[manifest.pid[rows] >= 0], config.gallery_share, config.seed,
                        f"{split}/gallery/choice")


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
