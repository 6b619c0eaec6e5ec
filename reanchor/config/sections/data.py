"""What images, and what hides them."""

import pkgutil
from dataclasses import dataclass

from reanchor.config.sections.field import field
from reanchor.data import datasets  # a folder of files: none of them is imported

DATASET_NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(datasets.__path__)))
NO_CARD = "none"  # of data about which nothing is known


@dataclass
class Render:
    """The procedural street. `enabled: false` where a dataset of your own is used."""

    enabled: bool = True
    seed: int = field(1, low=0)
    train_identities: int = field(720, low=4, high=100_000)  # validation identities included
    test_identities: int = field(240, low=4, high=100_000)
    train_images: int = field(8, low=2)  # per identity
    test_images: int = field(12, low=2)  # per identity
    distractors: int = field(200, low=0)  # images with pid 0
    junk: int = field(40, low=0)  # images with pid -1
    height: int = field(96, low=16, high=1024)
    width: int = field(48, low=8, high=1024)
    supersample: int = field(3, low=1, high=8)


@dataclass
class Prepare:
    reader: str = field("market1501", choices=DATASET_NAMES)  # whose layout the folder has
    root: str = "data/streetfolk"
    table: str = "dataset.csv"  # of a dataset listed in a table: its name in root
    card: str = field(NO_CARD, choices=(NO_CARD, *DATASET_NAMES))  # the protocol and known counts
    test_size: str = field("small", choices=("small", "medium", "large"))  # of several test lists
    test_records: int = field(0, low=0)  # of a text dataset's list, the first so many; 0: all
    experiment: str = ""  # of a dataset with several; "": its first
    drop_distractors: bool = False  # leave pid 0 out of the gallery
    drop_pids: list[int] = field([], low=1)  # identities to leave out
    acknowledge_withdrawn: bool = False  # needed for datasets that their publishers took back
    interpolation_train: str = field("bicubic", choices=("bicubic", "bilinear"))
    interpolation_test: str = field("bicubic", choices=("bicubic", "bilinear"))  # of val, query and gallery
    height: int = field(96, low=16, high=1024)
    width: int = field(48, low=8, high=1024)
    seed: int = field(0, low=0)
    validation_share: float = field(0.112, low=0.0, high=0.9)  # of training identities; 0: none, the last epoch is kept
    max_bad_share: float = field(0.02, low=0.0, high=1.0)  # of files; above it the run stops
    max_pixels: int = field(20_000_000, low=1)  # per image


RATIOS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


@dataclass
class Occlude:
    """Controlled suites vary one thing at a time: the first value of each list is the plain one."""

    seed: int = field(0, low=0)
    library: str = "drawn"  # or a folder of CLASSn.png or CLASS/ cut-outs
    masks: str = ""  # folder of person masks, PNGs named as the images; "": those of data/prepared
    variant: str = field("ogor-paper", choices=("ogor-paper", "ogor-literal", "ogor-released"))
    splits: list[str] = field(["train", "val", "test"], choices=("train", "val", "test"))  # that get OGor sets
    train_share: float = field(0.3, low=0.0, high=1.0)  # of training images with an OGor copy
    gallery_share: float = field(0.3, low=0.0, high=1.0)  # of each identity's gallery images in occluded galleries
    sides: str = field("query", choices=("query", "gallery", "both"))  # of the test suites that are judged
    ratio_low: float = field(0.1, low=0.01, high=0.9)
    ratio_high: float = field(0.6, low=0.01, high=0.9)
    unseen_classes: list[str] = field([])  # of cut-outs, kept for the suite ogor-unseen
    masking_ratios: list[float] = field(RATIOS, low=0.0, high=0.9)
    masking_shapes: list[str] = field(["block"], choices=("block", "stripe", "patches"))
    masking_positions: list[str] = field(["random"], choices=("random", "top", "middle", "bottom"))
    people_ratios: list[float] = field(RATIOS, low=0.0, high=0.9)
    people_from: list[str] = field(["random"], choices=("random", "left", "right"))
    people_layers: list[str] = field(["front"], choices=("front", "behind"))
    people_edges: list[str] = field(["soft"], choices=("soft", "hard", "feathered"))
    people_size: float = field(1.0, low=0.2, high=3.0)  # beside the height in the stranger's own photograph
    mixed_ratios: list[float] = field([], low=0.0, high=0.9)
    mixed_with: list[str] = field(["mask", "object"], choices=("mask", "object"))  # in front of a pasted person
