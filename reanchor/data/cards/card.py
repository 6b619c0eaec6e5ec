"""What is known of a dataset before it is opened, and the protocol that its published figures follow."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SPLITS = ("train", "query", "gallery")
TEST_SPLITS = ("query", "gallery")


@dataclass(frozen=True)
class Card:
    """A dataset's protocol.

    `counts` are of files as distributed, under the names of `statistics.files_found`; only what a
    public source states. `variants` adds counts of a part chosen by folder or setting. `totals` are the
    images and identities of all splits together, where these alone are published. `needs` are
    the folders that make the layout, alternatives apart; `lists` the files that a reader must find;
    `records` the names that its one list of described images may have; `folders` are those below `imgs`.
    """

    name: str  # also conf/dataset/<name>.yaml
    title: str
    reader: str  # a key of `reanchor.data.readers.READERS`; "" for any
    layout: str  # what lies where, in a line
    source: str  # the paper
    terms: str
    kind: str = "person"  # or vehicle
    splits: tuple[str, ...] = SPLITS
    cameras: str = "name"  # camid from the file name or list; made: by the reader; none: all 0
    camera_rule: str = "market"  # market, none, or auto where nothing is known
    junk: bool = False  # pid -1 marks junk, which belongs to no split
    distractors: bool = False  # pid 0 marks gallery images of people nobody asks for
    published: bool = True  # the authors' split, kept whole: figures are compared over the same images
    galleries: int = 1  # random galleries whose figures are averaged
    counts: Mapping[str, int] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)
    withdrawn: str = ""  # by whom and when, where its publishers took it back
    needs: tuple[tuple[str, ...], ...] = ()
    lists: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    @property
    def test_only(self) -> bool:
        """Whether it has no training split."""
        return "train" not in self.splits

    @property
    def by_sentence(self) -> bool:
        """Whether sentences alone are queries: no image is one."""
        return "query" not in self.splits

    def expected(self, variant: str = "") -> dict[str, int]:
        """Known counts, those of `variant` included."""
        return {**self.counts, **self.variants.get(variant, {})}
