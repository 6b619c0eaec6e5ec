"""Where runs go: the repository's own SQLite file, or what MLFLOW_TRACKING_URI names."""

import os
import re
from pathlib import Path

from reanchor.errors import ReanchorError

EXPERIMENT = "reanchor"
_MEANT_OTHERWISE = re.compile("[?%]")  # in SQLAlchemy's addresses; quoted, MLflow makes a folder of the quoted name
URI_VARIABLE = "MLFLOW_TRACKING_URI"


def home(root: Path) -> Path:
    """The repository itself where `root` is a temporary copy of it made by DVC."""
    return Path(os.environ.get("DVC_ROOT") or root).resolve()


def is_own() -> bool:
    """Whether runs go to the repository's own file: a server of the user's is never looked into."""
    return not os.environ.get(URI_VARIABLE)


def database(root: Path) -> Path:
    """The repository's own SQLite file."""
    return home(root) / "mlruns" / "mlflow.db"


def artifacts(root: Path) -> Path:
    """The folder of the models that belong to it."""
    return home(root) / "mlruns" / "artifacts"


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, or the SQLite file of the repository.

    Raises:
        ReanchorError: the repository's path holds "?" or "%", and the current folder lies outside.
    """
    if not is_own():
        return os.environ[URI_VARIABLE]
    file = str(database(root))
    if _MEANT_OTHERWISE.search(file):
        file = os.path.relpath(file)
    if _MEANT_OTHERWISE.search(file):
        raise ReanchorError(f"{database(root)}: MLflow cannot open a path that holds '?' or '%'; start from the "
                            "repository's folder or rename it")
    return f"sqlite:///{file}"
