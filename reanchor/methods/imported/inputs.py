"""What the settings of this folder's methods name, looked for before anything runs."""

from pathlib import Path

from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.methods.imported.settings import NOTHING_IMPORTED


def require_source(params: Params, root: Path) -> None:
    """Raise ReanchorError where the method is to be judged and its setting names no model."""
    imported, wanted = params.imported.path, "imported" in params.evaluate.methods
    if wanted and (imported == NOTHING_IMPORTED or not (root / imported).exists()):
        raise ReanchorError(f"params.yaml: imported.path: got {imported!r}, which is no model; allowed: a checkpoint "
                            "of CLIP-ReID, or a model folder of this project (make run SET=\"method=imported "
                            "imported.path=...\")")
