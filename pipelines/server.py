"""The Prefect server a command talks to: the one configured, else one on this machine, else a passing one."""

import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import prefect
from prefect.settings import PREFECT_API_URL, temporary_settings

from pipelines.guard import guarded
from reanchor.errors import ReanchorError

LOCAL = "http://127.0.0.1:4200/api"
START_SECONDS = 300  # of a passing server: its first start on a busy machine takes a minute
STOP_SECONDS = 10
ASK_SECONDS = 5


@contextmanager
def chosen_server() -> Iterator[str]:
    """Within this context flows report to the chosen server; yields where to watch, in words.

    Raises:
        ReanchorError: the configured server does not answer, or the passing one does not start.
    """
    _reach_this_machine_directly()
    configured = PREFECT_API_URL.value()
    if configured:
        _require_answer(configured)
        yield f"watch it on {configured.removesuffix('/api')}"
    elif _is_prefect(LOCAL):
        with temporary_settings({PREFECT_API_URL: LOCAL}):
            yield f"watch it on {LOCAL.removesuffix('/api')}"
    else:
        with temporary_settings({PREFECT_API_URL: _passing_server()}):
            yield "no Prefect server on port 4200; `prefect server start` shows this run afterwards"


def _reach_this_machine_directly() -> None:
    """A proxy of the environment cannot know this machine's own servers.

    Both spellings get the hosts of both: most programs read only the lower-case one where it exists.
    """
    names = ("no_proxy", "NO_PROXY")
    known = [host.strip() for name in names for host in os.environ.get(name, "").split(",") if host.strip()]
    hosts = ["*"] if "*" in known else dict.fromkeys([*known, "127.0.0.1", "localhost"])  # all, only if it stands alone
    os.environ.update(dict.fromkeys(names, ",".join(hosts)))


def _require_answer(address: str) -> None:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=ASK_SECONDS):
            return
    except urllib.error.HTTPError:
        return  # somebody is there: what they think of us, Prefect will say
    except (OSError, ValueError) as error:
        raise ReanchorError(f"PREFECT_API_URL: got {address!r}, which does not answer ({error}); allowed: the API of a "
                            "running server; start it, or take the setting back (prefect config unset "
                            "PREFECT_API_URL, or unset PREFECT_API_URL)") from error


def _is_prefect(address: str) -> bool:
    """Whether a server of this version of Prefect answers there: others use that port, too."""
    try:
        with urllib.request.urlopen(f"{address}/admin/version", timeout=ASK_SECONDS) as answer:
            version = json.load(answer)
    except (OSError, ValueError):
        return False
    return isinstance(version, str) and version.partition(".")[0] == prefect.__version__.partition(".")[0]


def _passing_server() -> str:
    """Start a server of our own, which ends with this process however that ends; its address.

    Prefect would start one itself, but gives it twenty seconds, and leaves it behind when the run is killed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(guarded(command, STOP_SECONDS), stdin=subprocess.PIPE, stdout=said,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        atexit.register(_stop, process)  # not before: Prefect sends the last states and logs on its way out
        address = f"http://127.0.0.1:{port}/api"
        if not _started(process, address):
            _stop(process)
            said.seek(0)
            last = " ".join(said.read().decode(errors="replace")[-300:].split())
            raise ReanchorError(f"the Prefect server for this run did not start within {START_SECONDS} s: {last}; "
                                "start one yourself (prefect server start), then run again")
    return address


def _stop(process: subprocess.Popen) -> None:
    process.stdin.close()
    process.wait()


def _started(process: subprocess.Popen, address: str) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _is_prefect(address):
            return True
        time.sleep(0.2)
    return False
