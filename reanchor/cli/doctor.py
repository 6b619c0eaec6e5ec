"""`reanchor doctor`: a dataset's folder held against what is known of the dataset."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from reanchor.config.sections.data import DATASET_NAMES, Prepare
from reanchor.config.setting import settings_of
from reanchor.errors import ReanchorError
from reanchor.printing import columns, show, working

if TYPE_CHECKING:
    from reanchor.data.dataset import Dataset

FINDINGS = 1  # exit status


def datasets() -> "Mapping[str, Dataset]":
    """What is known of all datasets that can be read, by name."""
    from reanchor.data.catalogue import DATASETS

    return {name: DATASETS[name] for name in DATASET_NAMES}


def _complete(incomplete: str) -> list[str]:
    return [name for name in DATASET_NAMES if name.startswith(incomplete)]


def doctor(
    dataset: Annotated[str | None, typer.Argument(
        metavar="DATASET", help="a name as in conf/dataset", autocompletion=_complete)] = None,
    root: Annotated[Path | None, typer.Argument(
        metavar="ROOT", help="its folder, as prepare.root would name it")] = None,
    *,
    test_size: Annotated[Literal["small", "medium", "large"], typer.Option(
        help="of datasets with several test lists, as prepare.test_size")] = "small",
    table: Annotated[str, typer.Option(
        metavar="NAME", help="of a dataset listed in a table: its name in ROOT, as prepare.table")] = "dataset.csv",
    experiment: Annotated[str, typer.Option(
        metavar="NAME", help="of a dataset with several, as prepare.experiment")] = "",
) -> int:
    """Say what is wrong with a dataset's folder, and how to mend it.

    Compare the folder with what is known of the dataset: what is missing, misplaced or miscounted. No image is opened
    (prepare does that) and nothing is changed. Without ROOT a dataset's card is shown: layout, protocol, counts, terms.
    Without DATASET all that can be read are listed.

    Exit status: 0 all agrees, 1 something was found, 2 wrong usage.

    Examples:

        reanchor doctor
        reanchor doctor market1501
        reanchor doctor market1501 /data/Market-1501
    """
    if dataset is None:
        show(_overview(), "",
             "reanchor doctor DATASET shows one in full; reanchor doctor DATASET ROOT examines a folder.")
        return 0
    known = _known(dataset)
    if root is None:
        show(Text(known.title, "bold"), _details(known))
        return 0
    return _examine(known, root, {"test_size": test_size, "table": table, "experiment": experiment})


def _known(name: str) -> "Dataset":
    if name in DATASET_NAMES:
        return datasets()[name]
    near = difflib.get_close_matches(name, DATASET_NAMES, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ReanchorError(f"DATASET: got {name!r}; {hint}allowed: {', '.join(DATASET_NAMES)}")


def _examine(dataset: "Dataset", root: Path, settings: dict[str, str]) -> int:
    from reanchor.doctor.diagnose import diagnose

    with working(f"examining {root}"):
        diagnosis = diagnose(dataset, root, **settings)
    show(Text(f"{dataset.title} in {root}", "bold"))
    if diagnosis.found:
        show("  " + "; ".join(f"{split} {diagnosis.found[f'{split}_images']:,} images of "
                              f"{diagnosis.found[f'{split}_identities']:,} identities" for split in dataset.splits))
    for finding in diagnosis.findings:
        show(Text.assemble("  ", ("found:", "bold red"), f" {finding.what}"),
             Text.assemble("   ", ("mend:", "green"), f" {finding.mend}"))
    for note in diagnosis.notes:
        show(Text.assemble("   ", ("note:", "cyan"), f" {note}"))
    if diagnosis.findings:
        return FINDINGS
    known = "all known counts agree" if dataset.counts or dataset.totals else (
        "the layout can be read; no count is known beforehand")
    chosen = "".join(f" prepare.{name}={value}" for name, value in settings.items()
                     if name in dataset.takes and value != settings_of(Prepare)[name].default)
    show(Text.assemble((known, "green"), f": make run SET=\"dataset={dataset.name} prepare.root={root}{chosen}\""))
    return 0


def _overview() -> Table:
    rows = columns("DATASET", "images", "camera rule", "splits", "terms", right=("images",))
    for name, dataset in datasets().items():
        images = [dataset.expected(next(iter(dataset.variants), "")).get(f"{split}_images") for split in dataset.splits]
        known = [count for count in images if count]
        total = f"{sum(known):,}" if len(known) == len(images) else (
            f"{dataset.totals['images']:,}" if dataset.totals else "-")
        terms = Text.assemble(dataset.terms, (" [needs an acknowledgement]", "yellow") if dataset.withdrawn else "")
        rows.add_row(Text(name, "cyan"), total, dataset.camera_rule, " ".join(dataset.splits), terms)
    return rows


def _details(dataset: "Dataset") -> Table:
    rules = [f"camera rule {dataset.camera_rule} (cameras: {_CAMERAS[dataset.cameras]})"]
    rules += ["queries are sentences"] * dataset.by_sentence
    rules += ["pid -1 is junk"] * dataset.junk + ["pid 0 are distractors"] * dataset.distractors
    rules += [f"figures average {dataset.galleries} random galleries"] * (dataset.galleries > 1)
    rules += [words for words in (dataset.protocol, dataset.averaged) if words]
    rows = [("layout", dataset.layout), ("kind", dataset.kind), ("protocol", "; ".join(rules)),
            ("splits", ", ".join(dataset.splits))]
    for name, counts in (("", dataset.counts), ("all splits", dataset.totals), *dataset.variants.items()):
        if counts:
            words = ", ".join(f"{key.replace('_', ' ')} {count:,}" for key, count in counts.items())
            rows.append(("counts", f"{name}: {words}" if name else words))
    rows += [("source", dataset.source)] if dataset.source else []
    rows.append(("terms", dataset.terms))
    if dataset.withdrawn:
        rows.append(("withdrawn", f"{dataset.withdrawn}; needs prepare.acknowledge_withdrawn=true"))
    grid = Table.grid(padding=(0, 1), pad_edge=True)
    for key, value in rows:
        grid.add_row(Text(f" {key}", "cyan"), Text(value))
    return grid


_CAMERAS = {"name": "from file names", "made": "made by the reader", "none": "none"}
