"""What the settings of this folder's methods name, looked for before anything runs."""

from pathlib import Path

from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.methods.tbps.settings import NO_BACK_TRANSLATIONS


def require_back_translations(params: Params, root: Path) -> None:
    """Raise ReanchorError where the setting names no file."""
    back = params.tbps.recipe.captions_bt
    if back != NO_BACK_TRANSLATIONS and not (root / back).is_file():
        raise ReanchorError(f"params.yaml: tbps.recipe.captions_bt: got {back!r}, which is no file; allowed: a JSON "
                            f"list of back translations, or {NO_BACK_TRANSLATIONS}, which holds none")
