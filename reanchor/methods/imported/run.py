"""The stage `imported`: a file or folder from elsewhere becomes a model folder."""

from pathlib import Path

from reanchor.config.params import Params
from reanchor.errors import Skipped
from reanchor.methods.imported.importing import import_model
from reanchor.methods.imported.outcome import figures, table
from reanchor.methods.imported.settings import NOTHING_IMPORTED
from reanchor.printing import show
from reanchor.training.recorder import Recorder


def make(name: str, params: Params, root: Path, out: Path, recorder: Recorder) -> dict[str, float]:
    """Write the model folder `out`, print what became of every part, return how many parts came and did not.

    Raises:
        Skipped: `imported.path` names nothing.
        ReanchorError: as in `reanchor.methods.imported.importing.import_model`.
    """
    if params.imported.path == NOTHING_IMPORTED:
        raise Skipped("imported.path names no checkpoint")
    outcomes = import_model(params.imported, out, root)
    show(table(outcomes))
    return figures(outcomes)
