"""The Prefect server a command talks to: the one configured, else one on this machine, else a passing one."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.settings import PREFECT_API_URL, temporary_settings

LOCAL = "http://127.0.0.1:4200/api"


@contextmanager
def chosen_server() -> Iterator[str]:
    """Within this context flows report to the chosen server; yields where to watch, in words."""
    configured = PREFECT_API_URL.value()
    if configured or not _answers(LOCAL):
        yield (f"watch it on {configured.removesuffix('/api')}" if configured else
               "no server on port 4200; `prefect server start` shows this run afterwards")
        return
    with temporary_settings({PREFECT_API_URL: LOCAL}):
        yield f"watch it on {LOCAL.removesuffix('/api')}"


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False
