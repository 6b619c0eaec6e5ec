"""Reading what the stages left behind."""

import json
from pathlib import Path
from typing import Any

from reanchor.errors import ReanchorError


def read_json(path: Path) -> Any:
    """Parsed JSON.

    Raises:
        ReanchorError: when the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ReanchorError(
            f"{path}: not found; the report reads it, run `dvc repro evaluate` first"
        ) from error
    except json.JSONDecodeError as error:
        raise ReanchorError(f"{path}: not JSON ({error}); delete it and run `dvc repro` again") from error
