"""Making one occluded copy after another, in this process or in several."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reanchor.config.sections.data import Occlude
from reanchor.formats.images import ImageStore
from reanchor.formats.manifest import Manifest
from reanchor.formats.occluded_set import record
from reanchor.formats.occlusion import Occlusion
from reanchor.occlusion import masking, mixed, ogor, people
from reanchor.occlusion.draws import image_seed
from reanchor.occlusion.library import Cutout, parted
from reanchor.occlusion.person_masks import MaskFolder
from reanchor.occlusion.plan import Suite

Copies = list[tuple[dict, np.ndarray, np.ndarray]]


class Workshop:
    """Everything that occluding a row needs; each process opens its own."""

    def __init__(self, config: Occlude, prepared: Path, library: Sequence[Cutout]):
        self.config = config
        self.libraries = dict(zip(("seen", "unseen"), parted(library, config.unseen_classes), strict=True))
        self.manifest = Manifest.read(prepared / "manifest.parquet")
        self.store = ImageStore.open(prepared / "images.arrow")
        self.masks, self.mask_source = self.store.masks, "silhouette" if self.store.masks is None else "labels"
        if config.masks:
            self.masks = MaskFolder(Path(config.masks), self.manifest, *self.store.images.shape[1:3])
            self.mask_source = "folder"
        self.crowds: dict[str, people.Crowd] = {}

    def person(self, row: int) -> np.ndarray | None:
        """[H, W] of a row, non-zero on the person; None where nothing tells."""
        return None if self.masks is None else self.masks[row]

    def crowd(self, split: str) -> people.Crowd:
        """The people who may be pasted: the gallery's in test, all rows of val in val."""
        if split not in self.crowds:
            manifest = self.manifest
            rows = manifest.rows("gallery" if split == "test" else split)
            self.crowds[split] = people.Crowd(self.store.images, self.masks, rows, manifest.image_id, manifest.pid,
                                              manifest.camid)
        return self.crowds[split]

    def require_masks(self, suites: Sequence[Suite]) -> None:
        """Raise ReanchorError where these suites need person masks and there are none, or a file is missing."""
        if self.masks is None and any(suite.options.get("layer") == "behind" for suite in suites):
            raise people.unknown_outline()
        if isinstance(self.masks, MaskFolder):
            crowded = {suite.split for suite in suites if suite.kind in ("people", "mixed")}
            rows = [suite.rows for suite in suites] + [self.crowd(split).rows for split in sorted(crowded)]
            self.masks.require(np.unique(np.concatenate(rows)).tolist())

    def occlude(self, suite: Suite, row: int) -> Occlusion:
        """The suite's copy of one row of the prepared manifest."""
        image, person, options = self.store.images[row], self.person(row), suite.options
        seed = image_seed(self.config.seed, self.manifest.image_id[row], suite.purpose)
        if suite.kind == "ogor":
            return ogor.occlude(image, person, self.libraries[options.get("library", "seen")], seed,
                                variant=self.config.variant, ratios=(self.config.ratio_low, self.config.ratio_high))
        if suite.kind == "masking":
            return masking.erase(image, person, suite.ratio, seed, **options)
        target = int(self.manifest.pid[row]), int(self.manifest.camid[row]), self.crowd(suite.split)
        if suite.kind == "mixed":
            variant = "ogor-literal" if self.config.variant == "ogor-literal" else "ogor-paper"
            return mixed.cover(image, person, *target, self.libraries["seen"], options["beside"], suite.ratio, seed,
                               people.Pasting(size=self.config.people_size), variant)
        how = people.Pasting(**options, size=self.config.people_size)
        return people.paste_over(image, person, *target, suite.ratio, seed, how)

    def copies(self, suite: Suite, rows: np.ndarray) -> Copies:
        """(manifest record, image, mask) of each row."""
        made = ((int(row), self.occlude(suite, int(row))) for row in rows)
        return [(record(row, self.manifest.image_id[row], int(self.manifest.pid[row]),
                        int(self.manifest.camid[row]), one), one.image, one.mask) for row, one in made]


_workshop: Workshop  # of a worker process


def open_workshop(*arguments) -> None:
    """A worker process begins."""
    global _workshop
    _workshop = Workshop(*arguments)


def work(suite: Suite, rows: np.ndarray) -> Copies:
    """What a worker process does."""
    return _workshop.copies(suite, rows)
