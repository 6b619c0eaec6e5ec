"""All datasets, by name, found in their folder; and how `prepare` reads one."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from reanchor.config.sections.data import DATASET_NAMES, NO_CARD, Prepare
from reanchor.config.setting import settings_of
from reanchor.data import datasets
from reanchor.data.captions import attach_captions, check_captions
from reanchor.data.dataset import Dataset
from reanchor.data.listing import Listing, apply_pid_rules, require_folder
from reanchor.errors import ReanchorError

NOTHING_KNOWN = Dataset(
    name=NO_CARD, title="your own data", layout="any that a reader knows", source="", terms="yours",
    camera_rule="auto", junk=True, distractors=True, published=False)
DATASETS: dict[str, Dataset] = {  # by the name that prepare.card has for it
    **{name: import_module(f"{datasets.__name__}.{name}").DATASET for name in DATASET_NAMES}, NO_CARD: NOTHING_KNOWN}
READERS: dict[str, Callable[..., Listing]] = {  # by the name that prepare.reader has for it
    name: dataset.read for name, dataset in DATASETS.items() if dataset.read}


def require_usable_card(card: Dataset, reader: str, acknowledged: bool) -> None:
    """Refuse a reader that is not the card's, and a withdrawn dataset that nobody has answered for.

    A withdrawn dataset's reader stands for it where there is no card.

    Raises:
        ReanchorError: naming prepare.reader or prepare.acknowledge_withdrawn.
    """
    if card.reader not in ("", reader):
        raise ReanchorError(f"prepare.reader: got {reader!r} with prepare.card {card.name!r}; allowed: "
                            f"{card.reader!r} (compose with dataset={card.name}), or prepare.card={NO_CARD}")
    known = card if card.reader else DATASETS[reader]
    if known.withdrawn and not acknowledged:
        raise ReanchorError(f"prepare.acknowledge_withdrawn: got false, but {known.title} was withdrawn "
                            f"({known.withdrawn}); set it to true only if you may still use the images, or "
                            "choose another dataset")


def chosen_settings(config: Prepare) -> dict[str, object]:
    """The settings that any dataset takes, by name."""
    names = sorted({name for dataset in DATASETS.values() for name in dataset.takes})
    return {name: getattr(config, name) for name in names}


def read_dataset(reader: str, root: Path, seed: int, *, junk: bool = True, distractors: bool = True,
                 **settings: object) -> Listing:
    """List the dataset under `root`, with junk set aside, captions attached and looked through.

    Args:
        reader: a name of `READERS`.
        seed: divides datasets that come without splits.
        junk, distractors: whether pid -1 and pid 0 have their meaning here (the dataset's card says so).
        settings: of `prepare`, those that datasets take; all others keep their defaults.

    Raises:
        ReanchorError: when the path or the layout is not what the reader expects, or it takes no such setting.
    """
    root = Path(root)
    if not root.exists():
        raise ReanchorError(f"prepare.root: {str(root)!r} does not exist; set prepare.root to the dataset's "
                            "folder (Streetfolk comes from the render stage)")
    require_folder(root)
    try:
        listing = READERS[reader](root, seed, **_taken(reader, settings))
    except PermissionError as error:
        raise ReanchorError(f"prepare.root: {str(error.filename)!r} cannot be read ({error.strerror}); allow it "
                            "to this user, or move it out of prepare.root") from error
    return check_captions(attach_captions(apply_pid_rules(listing, junk, distractors)))


def _taken(reader: str, settings: dict[str, object]) -> dict[str, object]:
    """What the reader takes of `settings`; it is no place for others that differ from their defaults."""
    takes = DATASETS[reader].takes
    for name, value in settings.items():
        default = settings_of(Prepare)[name].default
        if name not in takes and value != default:
            others = ", ".join(other.name for other in DATASETS.values() if name in other.takes)
            raise ReanchorError(f"prepare.{name}: got {value!r} with prepare.reader {reader!r}, which reads no {name}; "
                                f"allowed: {default or repr(default)}, or dataset={others}")
    return {name: value for name, value in settings.items() if name in takes}
