"""From a dataset's folder to manifest.parquet and images.arrow, with everything doubtful set aside."""

from pathlib import Path

import numpy as np

from reanchor.config.sections.data import Prepare
from reanchor.data.catalogue import DATASETS, chosen_settings, read_dataset, require_usable_card
from reanchor.data.dataset import Dataset
from reanchor.data.listing import Listing, Rejection, without_distractors, without_pids
from reanchor.data.quarantine import (
    Checked,
    Scratch,
    check_files,
    decode_again,
    drop_duplicates,
    drop_one_camera,
    require_few,
    require_usable,
    write_quarantine,
)
from reanchor.data.sheet import write_contact_sheet
from reanchor.data.split import held_out_pids
from reanchor.data.statistics import describe
from reanchor.files import atomic_directory, write_json
from reanchor.formats.images import ImageStore, write_store
from reanchor.formats.manifest import SPLITS, Manifest


def prepare(config: Prepare, out: Path, processes: int, workspace: Path = Path()) -> dict:
    """Make `out` whole.

    It holds manifest.parquet, images.arrow, quarantine.parquet, statistics.json and contact_sheet.png.
    `config.root` is taken relative to `workspace`. Every image is decoded and resized once,
    `processes` at a time; the outputs' bytes do not depend on how many. The dataset's card decides
    what pids -1 and 0 mean, and that an authors' split stays whole but for unusable files.
    Returns flat metrics: images and identities of each split, captions, quarantined files by reason.

    Raises:
        ReanchorError: wrong path, layout or card, too many bad files, too few identities, disk full.
    """
    card = DATASETS[config.card]
    require_usable_card(card, config.reader, config.acknowledge_withdrawn)
    listing = read_dataset(config.reader, Path(workspace) / config.root, config.seed, junk=card.junk,
                           distractors=card.distractors, **chosen_settings(config))
    has_masks = listing.masks is not None
    with atomic_directory(out) as folder:
        scratch_path = folder / "scratch.raw"
        with Scratch(scratch_path, config.height, config.width, has_masks) as scratch:
            images, rejections = _examine(listing, scratch, config, card, processes)
            images, manifest = _arrange(images, listing, config, card)
            if config.interpolation_train != config.interpolation_test:
                held_out = [images[row] for row in manifest.rows("val") if images[row].entry.split == "train"]
                decode_again(held_out, listing, scratch, config, processes)
            indices = [image.index for image in images]
            write_store(folder / "images.arrow", (scratch.pixels(index) for index in indices),
                        (scratch.mask(index) for index in indices) if has_masks else None, count=len(indices))
        scratch_path.unlink()
        manifest.write(folder / "manifest.parquet")
        write_quarantine(folder / "quarantine.parquet", rejections)
        statistics = describe(listing, manifest, rejections, card, config, has_masks)
        write_json(folder / "statistics.json", statistics)
        write_contact_sheet(folder / "contact_sheet.png", manifest, ImageStore.open(folder / "images.arrow"))
    return _metrics(statistics)


def _examine(listing: Listing, scratch: Scratch, config: Prepare, card: Dataset, processes: int
             ) -> tuple[list[Checked], list[Rejection]]:
    """(usable images, everything rejected so far or now)."""
    kept = without_pids(listing, config.drop_pids)
    kept = without_distractors(kept) if config.drop_distractors else kept
    images, rejections = check_files(kept, scratch, config, processes)
    rejections = listing.rejections + rejections
    if not card.published:
        for drop in (drop_duplicates, drop_one_camera):
            images, dropped = drop(images)
            rejections += dropped
    require_few(rejections, images, config)
    splits = {entry.split for entry in kept.entries}
    require_usable(images, rejections, train="train" in splits or (card.published and not card.test_only),
                   val="val" in splits, query="query" in splits)
    return images, rejections


def _arrange(images: list[Checked], listing: Listing, config: Prepare, card: Dataset
             ) -> tuple[list[Checked], Manifest]:
    """Hold out validation identities, where any train and none are the dataset's own; sort by (split, path)."""
    train = [image.entry.pid for image in images if image.entry.split == "train"]
    own = any(image.entry.split == "val" for image in images)
    held_out = held_out_pids(train, config.validation_share, config.seed) if train and not own else set()

    def split_of(image: Checked) -> str:
        split = image.entry.split
        return "val" if split == "train" and image.entry.pid in held_out else split

    images = sorted(images, key=lambda image: (SPLITS.index(split_of(image)), image.entry.path))
    entries = [image.entry for image in images]
    manifest = Manifest(
        image_id=[entry.image_id for entry in entries],
        path=[entry.path for entry in entries],
        pid=np.array([entry.pid for entry in entries], np.int64),
        camid=np.array([entry.camid for entry in entries], np.int32),
        viewid=np.array([entry.viewid for entry in entries], np.int32),
        split=np.array([split_of(image) for image in images], dtype="U7"),
        captions=[list(entry.captions) for entry in entries],
        width=np.array([image.width for image in images], np.int32),
        height=np.array([image.height for image in images], np.int32),
        checksum=[image.checksum for image in images],
        metadata=_metadata(listing, config, card),
    )
    return images, manifest


def _metadata(listing: Listing, config: Prepare, card: Dataset) -> dict[str, str]:
    """What later stages ask: where the images come from, how they were stored, by which protocol."""
    return {"name": listing.name, "reader": config.reader, "root": config.root,
            "height": str(config.height), "width": str(config.width),
            "interpolation_train": config.interpolation_train, "interpolation_test": config.interpolation_test,
            "card": card.name, "kind": card.kind, "camera_rule": card.camera_rule,
            "galleries": str(card.galleries), "terms": card.terms}


def _metrics(statistics: dict) -> dict:
    metrics = {f"{split}_{kind}": values[kind] for split, values in statistics["splits"].items()
               for kind in ("images", "identities")}
    metrics |= {name: statistics["found"][name] for name in ("distractors", "junk")}
    metrics |= {name: statistics[name] for name in ("captions", "queries_without_match")}
    metrics |= {"card_differences": len(statistics["card"]["differences"]),
                "quarantined": sum(statistics["quarantined"].values())}
    return metrics | {f"quarantined_{reason}": count for reason, count in statistics["quarantined"].items()}
