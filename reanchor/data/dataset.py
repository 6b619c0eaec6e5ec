"""One dataset: what is known before it is opened, how its folder is read, and what the doctor knows of it alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reanchor.data.listing import Listing

SPLITS = ("train", "query", "gallery")
TEST_SPLITS = ("query", "gallery")
UNPACKED_IN_PART = "unpacked in part? unpack the archive again"

Trouble = tuple[str, str]  # what is wrong, and how it is mended


@dataclass(frozen=True)
class Hints:
    """What the doctor says of one dataset alone; `root` is the folder it was given.

    `folders` is asked where not exactly one alternative of `Dataset.needs` is there; `lists` names the files
    that the chosen settings ask for, beside `Dataset.lists`; `bare` gives folders of identities without an
    image, and what they hold. `named_by` says what names the images where no list does; `outside` and
    `absent` mend images that lie elsewhere or are not there (of which one path is given).
    """

    folders: Callable[[Path], Trouble | None] = lambda root: None
    lists: Callable[..., tuple[str, ...]] = lambda root, **settings: ()
    notes: Callable[[Path], list[str]] = lambda root: []
    bare: Callable[[Path], dict[str, str]] = lambda root: {}
    named_by: str = ""
    outside: str = "copy the images there; prepare follows no link out of the dataset's folder"
    absent: Callable[[Path, str], str] = lambda root, path: UNPACKED_IN_PART


@dataclass(frozen=True)
class Dataset:
    """The record that a file in `reanchor.data.datasets` holds as DATASET.

    `read(root, seed, **settings)` lists the images and opens none; of the settings of `prepare` it takes those
    that `takes` names. `counts` are of files as distributed, under the names of `statistics.files_found`; only
    what a public source states. `variants` adds counts of a part chosen by folder or setting. `totals` are the
    images and identities of all splits together, where these alone are published. `needs` are the folders that
    make the layout, alternatives apart; `lists` the files that must be found; `records` the names that its one
    list of described images may have; `folders` are those below `imgs`.
    """

    name: str  # of its file, and of conf/dataset/<name>.yaml
    title: str
    layout: str  # what lies where, in a line
    source: str  # the paper
    terms: str
    read: Callable[..., Listing] | None = None  # None: whatever prepare.reader names
    shares: str = ""  # the dataset whose layout this is too
    takes: tuple[str, ...] = ()
    kind: str = "person"  # or vehicle
    splits: tuple[str, ...] = SPLITS
    cameras: str = "name"  # camid from the file name or list; made: by the reader; none: all 0
    camera_rule: str = "market"  # market, none, or auto where nothing is known
    junk: bool = False  # pid -1 marks junk, which belongs to no split
    distractors: bool = False  # pid 0 marks gallery images of people nobody asks for
    published: bool = True  # its protocol's split, kept whole: figures are compared over the same images
    galleries: int = 1  # random galleries whose figures are averaged
    random_splits: int = 1  # splits drawn by prepare.seed = 0, 1, ... whose figures are averaged
    protocol: str = ""  # what the other fields do not say of it, in a line
    counts: Mapping[str, int] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)
    withdrawn: str = ""  # by whom and when, where its publishers took it back
    needs: tuple[tuple[str, ...], ...] = ()
    lists: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    hints: Hints = field(default_factory=Hints)

    @property
    def reader(self) -> str:
        """What prepare.reader says of it: the name of the dataset in whose file its layout is read; "" for any."""
        return (self.shares or self.name) if self.read else ""

    @property
    def test_only(self) -> bool:
        """Whether it has no training split."""
        return "train" not in self.splits

    @property
    def by_sentence(self) -> bool:
        """Whether sentences alone are queries: no image is one."""
        return "query" not in self.splits

    @property
    def averaged(self) -> str:
        """How its figures are averaged over random splits; "" where its split is fixed."""
        return (f"figures average {self.random_splits} random splits, prepare.seed=0 to "
                f"{self.random_splits - 1}") if self.random_splits > 1 else ""

    def expected(self, variant: str = "") -> dict[str, int]:
        """Known counts, those of `variant` included."""
        return {**self.counts, **self.variants.get(variant, {})}
