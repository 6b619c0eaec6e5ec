"""`reanchor doctor`: a dataset's folder held against what is known of the dataset."""

import argparse
import difflib
from pathlib import Path

from reanchor.config.sections.data import DATASET_NAMES, Prepare
from reanchor.config.setting import settings_of
from reanchor.data.catalogue import DATASETS
from reanchor.data.dataset import Dataset
from reanchor.errors import ReanchorError

FINDINGS = 1  # exit status
DESCRIPTION = """\
Compare a dataset's folder with what is known of the dataset, and say what is missing, misplaced or
miscounted and how to mend it. It opens no image (prepare does) and changes nothing.

  reanchor doctor                              the datasets that can be read
  reanchor doctor DATASET                      one dataset's card: layout, protocol, counts, terms
  reanchor doctor DATASET ROOT                 the examination

Exit status: 0 all agrees, 1 something was found, 2 wrong usage."""
SETTINGS = (("test_size", None, "the test list"), ("table", "NAME", "the table's name in ROOT"),
            ("experiment", "NAME", "the experiment"))  # of `prepare`, those that an examination depends on


def add(subparsers) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser("doctor", help="say what is wrong with a dataset's folder", description=DESCRIPTION,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", metavar="DATASET", help="a name as in conf/dataset")
    parser.add_argument("root", nargs="?", type=Path, metavar="ROOT", help="its folder, as prepare.root would name it")
    for name, metavar, what in SETTINGS:
        setting = settings_of(Prepare)[name]
        owners = ", ".join(owner for owner, dataset in DATASETS.items() if name in dataset.takes)
        parser.add_argument(f"--{name.replace('_', '-')}", default=setting.default, choices=setting.choices or None,
                            metavar=metavar, help=f"of {owners}: {what}, as prepare.{name}"
                            + f" (default: {setting.default})" * bool(setting.default))
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """List the datasets, show one's card, or examine a folder.

    Raises:
        ReanchorError: no such dataset or folder.
    """
    if given.dataset is None:
        print(_overview())
        return 0
    dataset = _known(given.dataset)
    if given.root is None:
        print(_details(dataset))
        return 0
    return _examine(dataset, given.root, {name: getattr(given, name) for name, _, _ in SETTINGS})


def _known(name: str) -> Dataset:
    if name in DATASET_NAMES:
        return DATASETS[name]
    near = difflib.get_close_matches(name, DATASET_NAMES, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ReanchorError(f"DATASET: got {name!r}; {hint}allowed: {', '.join(DATASET_NAMES)}")


def _examine(dataset: Dataset, root: Path, settings: dict[str, str]) -> int:
    from reanchor.doctor.diagnose import diagnose

    diagnosis = diagnose(dataset, root, **settings)
    print(f"{dataset.title} in {root}")
    if diagnosis.found:
        print("  " + "; ".join(f"{split} {diagnosis.found[f'{split}_images']:,} images of "
                               f"{diagnosis.found[f'{split}_identities']:,} identities" for split in dataset.splits))
    for finding in diagnosis.findings:
        print(f"  found: {finding.what}\n   mend: {finding.mend}")
    for note in diagnosis.notes:
        print(f"   note: {note}")
    if diagnosis.findings:
        return FINDINGS
    known = "all known counts agree" if dataset.counts or dataset.totals else (
        "the layout can be read; no count is known beforehand")
    chosen = "".join(f" prepare.{name}={value}" for name, value in settings.items()
                     if name in dataset.takes and value != settings_of(Prepare)[name].default)
    print(f"{known}: make run SET=\"dataset={dataset.name} prepare.root={root}{chosen}\"")
    return 0


def _overview() -> str:
    lines = [f"{'DATASET':<16}{'images':>9}  {'camera rule':<12}{'splits':<22}terms"]
    for name in DATASET_NAMES:
        dataset = DATASETS[name]
        images = [dataset.expected(next(iter(dataset.variants), "")).get(f"{split}_images") for split in dataset.splits]
        total = f"{sum(images):,}" if all(images) else f"{dataset.totals['images']:,}" if dataset.totals else "-"
        terms = f"{dataset.terms}{' [needs an acknowledgement]' if dataset.withdrawn else ''}"
        lines.append(f"{name:<16}{total:>9}  {dataset.camera_rule:<12}{' '.join(dataset.splits):<22}{terms}")
    return "\n".join([*lines, "", "reanchor doctor DATASET shows one in full; reanchor doctor DATASET ROOT examines a "
                                  "folder."])


def _details(dataset: Dataset) -> str:
    rules = [f"camera rule {dataset.camera_rule} (cameras: {_CAMERAS[dataset.cameras]})"]
    rules += ["queries are sentences"] * dataset.by_sentence
    rules += ["pid -1 is junk"] * dataset.junk + ["pid 0 are distractors"] * dataset.distractors
    rules += [f"figures average {dataset.galleries} random galleries"] * (dataset.galleries > 1)
    rules += [words for words in (dataset.protocol, dataset.averaged) if words]
    lines = [dataset.title, f"  layout    {dataset.layout}", f"  kind      {dataset.kind}",
             f"  protocol  {'; '.join(rules)}", f"  splits    {', '.join(dataset.splits)}"]
    for name, counts in (("", dataset.counts), ("all splits", dataset.totals), *dataset.variants.items()):
        if counts:
            words = ", ".join(f"{key.replace('_', ' ')} {count:,}" for key, count in counts.items())
            lines.append(f"  counts    {f'{name}: ' if name else ''}{words}")
    lines += [f"  source    {dataset.source}"] if dataset.source else []
    lines.append(f"  terms     {dataset.terms}")
    if dataset.withdrawn:
        lines.append(f"  withdrawn {dataset.withdrawn}; needs prepare.acknowledge_withdrawn=true")
    return "\n".join(lines)


_CAMERAS = {"name": "from file names", "made": "made by the reader", "none": "none"}
