"""A Prefect server for the tests, started once: that takes half a minute on a busy machine."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def running_server(home: Path) -> Iterator[str]:
    """A real `prefect server start` on a free port with its database in `home`; the address of its API.

    This process talks to it within the context.
    """
    address = f"http://127.0.0.1:{free_port()}/api"
    variables = {"PREFECT_HOME": str(home), "PREFECT_API_URL": address, "DO_NOT_TRACK": "true",
                 "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", address.split(":")[2].split("/")[0],
               "--no-ui"]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"{address}/health", process, home / "log")
        from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

        with temporary_settings({PREFECT_API_URL: address, PREFECT_HOME: home}):
            yield address
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def ask(question):
    """The answer of `question(client)`, asked through Prefect's own client."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return question(client)


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(480):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"the Prefect server did not start:\n{log.read_text()[-2000:]}")
