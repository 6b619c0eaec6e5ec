"""What images, and what hides them."""

from pathlib import Path

from reanchor.config.setting import section, setting

_DATASETS = Path(__file__).parents[2] / "data/datasets"  # a file each, none of which is imported
DATASET_NAMES = tuple(sorted(file.stem for file in _DATASETS.glob("[!_]*.py")))
NO_CARD = "none"  # of data about which nothing is known

RATIOS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


@section
class Render:
    """The procedural street that the study renders for itself."""

    enabled: bool = setting(True, "false: a dataset of your own is used, the stage notes that it was skipped")
    seed: int = setting(7, "every pixel follows from it", low=0)
    train_identities: int = setting(720, "of bounding_box_train, validation identities included", low=4, high=100_000)
    test_identities: int = setting(240, "of query and bounding_box_test", low=4, high=100_000)
    train_images: int = setting(8, "per training identity", low=2)
    test_images: int = setting(12, "per test identity", low=2)
    distractors: int = setting(200, "gallery images of people that no query asks for (pid 0)", low=0)
    junk: int = setting(40, "gallery images of bad boxes, ignored by the protocol (pid -1)", low=0)
    height: int = setting(96, "pixels", low=16, high=1024)
    width: int = setting(48, "pixels", low=8, high=1024)
    supersample: int = setting(3, "images are drawn this many times larger, then averaged", low=1, high=8)


@section
class Prepare:
    """How a dataset is read, checked and stored."""

    reader: str = setting("market1501", "the dataset whose layout the folder has (docs/reference/datasets.md)",
                          choices=DATASET_NAMES)
    root: str = setting("data/streetfolk", "the dataset's folder")
    table: str = setting("dataset.csv", "where the reader is csv: its table of images, in root")
    card: str = setting("streetfolk", "the dataset whose protocol and known counts hold; `reanchor doctor` lists them",
                        choices=(NO_CARD, *DATASET_NAMES))
    test_size: str = setting("small", "of several test lists", choices=("small", "medium", "large"))
    test_records: int = setting(0, "of a text dataset's test list, the first so many; 0: all", low=0)
    experiment: str = setting("", "of a dataset with several; empty: its first")
    drop_distractors: bool = setting(False, "true: images of pid 0 are left out of the gallery")
    drop_pids: list[int] = setting([], "identities to leave out", low=1)
    acknowledge_withdrawn: bool = setting(False, "true: you may use images that their publisher took back")
    interpolation_train: str = setting("bicubic", "of the resize of training images", choices=("bicubic", "bilinear"))
    interpolation_test: str = setting("bicubic", "of val, query and gallery", choices=("bicubic", "bilinear"))
    height: int = setting(96, "pixels of every stored image; the models see this size", low=16, high=1024)
    width: int = setting(48, "pixels", low=8, high=1024)
    seed: int = setting(0, "of the draw of validation identities", low=0)
    validation_share: float = setting(0.112, "of the training identities: 80 of Streetfolk's 720; 0: none, and the "
                                             "last epoch is kept", low=0.0, high=0.9)
    max_bad_share: float = setting(0.02, "of the files; more unusable ones stop the run", low=0.0, high=1.0)
    max_pixels: int = setting(20_000_000, "larger images are quarantined unread", low=1)


@section
class Occlude:
    """OGor copies of training images, and test suites that vary one thing at a time (docs/reference/occlusion.md).

    Of each list, the first value is the plain one; each further value is one more series of test suites.
    """

    seed: int = setting(0, "of every draw", low=0)
    library: str = setting("drawn", "the cut-outs drawn here, or a folder of CLASSn.png or CLASS/xx.png files")
    masks: str = setting("", "folder of person masks, PNGs named as the images; empty: those of the dataset")
    variant: str = setting("ogor-paper", "of OGor: as the text has it; Algorithm 1 as printed; as the authors' code "
                                         "runs", choices=("ogor-paper", "ogor-literal", "ogor-released"))
    splits: list[str] = setting(["train", "val", "test"], "that get OGor sets", choices=("train", "val", "test"))
    train_share: float = setting(0.3, "of the training images get an occluded copy", low=0.0, high=1.0)
    gallery_share: float = setting(0.3, "of each identity's gallery images are occluded in gallery-ogor; of validation "
                                        "images too, where sides is gallery", low=0.0, high=1.0)
    sides: str = setting("query", "of the test suites that are judged", choices=("query", "gallery", "both"))
    ratio_low: float = setting(0.1, "least covered share of the image", low=0.01, high=0.9)
    ratio_high: float = setting(0.6, "greatest", low=0.01, high=0.9)
    unseen_classes: list[str] = setting([], "of cut-outs: kept for the test suite ogor-unseen")
    masking_ratios: list[float] = setting(RATIOS, "one suite each: a grey box of this share", low=0.0, high=0.9)
    masking_shapes: list[str] = setting(["block"], "of the box", choices=("block", "stripe", "patches"))
    masking_positions: list[str] = setting(["random"], "of the box", choices=("random", "top", "middle", "bottom"))
    people_ratios: list[float] = setting(RATIOS, "one suite each: another person over this share", low=0.0, high=0.9)
    people_from: list[str] = setting(["random"], "the side they come from", choices=("random", "left", "right"))
    people_layers: list[str] = setting(["front"], "behind: needs person masks", choices=("front", "behind"))
    people_edges: list[str] = setting(["soft"], "of their cut-outs; hard: jagged",
                                      choices=("soft", "hard", "feathered"))
    people_size: float = setting(1.0, "beside the height in the stranger's own photograph", low=0.2, high=3.0)
    mixed_ratios: list[float] = setting([], "one suite each: another person, with something in front", low=0.0,
                                        high=0.9)
    mixed_with: list[str] = setting(["mask", "object"], "what stands in front of that person",
                                    choices=("mask", "object"))
