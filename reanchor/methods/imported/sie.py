"""The table of side information embeddings (SIE) in a checkpoint."""

from dataclasses import dataclass

from torch import Tensor

from reanchor.errors import ReanchorError
from reanchor.methods.clip_reid.side import SideSettings
from reanchor.methods.imported.checkpoint import Checkpoint
from reanchor.methods.imported.naming import SIDE, SIDE_ALL
from reanchor.methods.imported.outcome import Outcome
from reanchor.methods.imported.settings import Imported

MOST_CAMERAS = 20  # of a published dataset: VeRi-776. A longer table counts cameras and views.
COEFFICIENTS = {SIDE: 1.0, SIDE_ALL: 3.0}  # published: CLIP-ReID's and TransReID's configurations


@dataclass(frozen=True)
class Side:
    """The table [R, D], how it is added, and its name in the file."""

    name: str
    table: Tensor
    settings: SideSettings


def table_names(checkpoint: Checkpoint) -> list[str]:
    """Every SIE table of the file, wherever it hangs; `cv_embed` first."""
    names = [name for name in checkpoint.tensors if name.rpartition(".")[2] in (SIDE, SIDE_ALL)]
    return sorted(names, key=lambda name: (SIDE not in name, name))


def read_side(checkpoint: Checkpoint, config: Imported, resnet: bool) -> tuple[Side | None, list[Outcome]]:
    """The table, None where there is none or it is left out, and what became of every such tensor.

    `cv_embed` [R, D] is CLIP-ReID's and added to [CLS]; [R, 1, D], or TransReID's `sie_embed`, to every token.

    Raises:
        ReanchorError: settings of a table that is not there, or that its rows contradict.
    """
    names = table_names(checkpoint)
    if not names:
        if config.cameras or config.views or config.sie_tokens in ("cls", "all"):
            raise ReanchorError(f"{checkpoint.path}: has no {SIDE}, so it learned no cameras or views; leave out "
                                "--cameras, --views and --sie-tokens (imported.cameras, .views, .sie_tokens)")
        return None, []
    others = [Outcome(name, "dropped", 1, f"a second table, {names[0]} is read") for name in names[1:]]
    if resnet or config.sie_tokens == "none":
        reason = "a ResNet has no [CLS] to add it to" if resnet else "as asked: images are read without their camera"
        return None, [Outcome(names[0], "dropped", 1, reason), *others]
    side = _read(names[0], checkpoint, config)
    settings = side.settings
    note = (f"{settings.cameras} cameras x {settings.views} views, added to "
            f"{'[CLS]' if settings.tokens == 'cls' else 'all tokens'} times {settings.coefficient:g}")
    return side, [Outcome(names[0], "used", 1, note), *others]


def _read(name: str, checkpoint: Checkpoint, config: Imported) -> Side:
    table = checkpoint.tensors[name]
    if table.ndim not in (2, 3) or (table.ndim == 3 and table.shape[1] != 1):
        raise ReanchorError(f"{checkpoint.path}: {name} is {tuple(table.shape)}; allowed: [rows, width] (CLIP-ReID) "
                            "or [rows, 1, width] (TransReID)")
    every = table.ndim == 3 or name.endswith(SIDE_ALL)
    tokens = config.sie_tokens if config.sie_tokens != "auto" else ("all" if every else "cls")
    cameras, views = _counts(len(table), config, f"{checkpoint.path}: {name}")
    kind = "camera" if views == 1 else ("view" if cameras == 1 else "both")
    coefficient = config.sie_coefficient or COEFFICIENTS[SIDE_ALL if every else SIDE]
    return Side(name, table.reshape(len(table), -1), SideSettings(kind, cameras, views, coefficient, tokens))


def _counts(rows: int, config: Imported, culprit: str) -> tuple[int, int]:
    """(cameras, views), whose product is the table's rows."""
    cameras, views = config.cameras, config.views
    if not cameras and not views:
        if rows > MOST_CAMERAS:
            raise ReanchorError(f"{culprit}: has {rows} rows, cameras times views; give both --cameras and --views "
                                "(imported.cameras, imported.views), such as 20 and 8 for VeRi-776")
        return rows, 1
    cameras, views = cameras or rows // views, views or rows // cameras
    if cameras * views != rows:
        raise ReanchorError(f"{culprit}: has {rows} rows, got --cameras {config.cameras} and --views {config.views} "
                            f"(imported.cameras, imported.views); allowed: two numbers whose product is {rows}, or "
                            "--sie-tokens none (imported.sie_tokens) to read images without their camera")
    return cameras, views
