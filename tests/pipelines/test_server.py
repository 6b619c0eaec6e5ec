"""Which Prefect server a command talks to."""

import http.server
import json
import os
import threading
import urllib.request
from contextlib import contextmanager
from unittest import mock

import pytest
from prefect_server import free_port

from pipelines import server as chosen
from reanchor.errors import ReanchorError

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def nothing_configured():
    """Other tests' server is not this process's, and its environment stays as it was."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with mock.patch.dict(os.environ), temporary_settings(restore_defaults=[PREFECT_API_URL]):
        yield


@contextmanager
def answering(answers: dict[str, object]):
    """A web server that answers these paths with JSON, all others with a page; its address."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(answers[self.path]) if self.path in answers else "<!doctype html><title>MyApp</title>"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}/api"
        made.shutdown()


@pytest.mark.parametrize(("answers", "expected"), [
    ({}, False),  # a page for every path, as many web frameworks give
    ({"/api/health": True, "/api/admin/version": "2.20.4"}, False),
    ({"/api/health": True, "/api/admin/version": {"version": "3.8.8"}}, False),
    ({"/api/admin/version": "3.0.0"}, True),
])
def test_only_a_prefect_of_this_generation_is_taken_for_one(answers, expected):
    with answering(answers) as address:
        assert chosen._is_prefect(address) is expected
    assert not chosen._is_prefect(address)  # gone by now


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.delenv("no_proxy", raising=False)
    with answering({"/api/admin/version": "3.8.8"}) as address:
        monkeypatch.setattr(chosen, "LOCAL", address)
        with chosen.chosen_server() as where:
            from prefect.settings import PREFECT_API_URL

            assert PREFECT_API_URL.value() == address and address.removesuffix("/api") in where
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.org,127.0.0.1,localhost"


@pytest.mark.parametrize(("given", "hosts"), [
    ({}, "127.0.0.1,localhost"),
    ({"NO_PROXY": "corp.internal"}, "corp.internal,127.0.0.1,localhost"),
    ({"no_proxy": "a.org, localhost", "NO_PROXY": "b.org,,a.org"}, "a.org,localhost,b.org,127.0.0.1"),
    ({"no_proxy": "*"}, "*"),
    ({"no_proxy": "a.org", "NO_PROXY": "*"}, "*"),
])
def test_hosts_that_no_proxy_is_asked_for_stay_so_in_both_spellings(given, hosts):
    for name in ("no_proxy", "NO_PROXY"):
        os.environ.pop(name, None)
    os.environ.update(given, http_proxy="http://127.0.0.1:9")
    chosen._reach_this_machine_directly()
    assert (os.environ["no_proxy"], os.environ["NO_PROXY"]) == (hosts, hosts)
    for host in [host for text in given.values() for host in text.split(",") if host] + ["127.0.0.1"]:
        assert urllib.request.proxy_bypass(host.strip())


@pytest.mark.parametrize("address", ["http://127.0.0.1:{}/api", "nonsense"])
def test_a_configured_server_that_does_not_answer_is_named(address):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    address = address.format(free_port())
    with (temporary_settings({PREFECT_API_URL: address}), pytest.raises(ReanchorError) as raised,
          chosen.chosen_server()):
        pytest.fail("it was taken")
    assert str(raised.value).startswith(f"PREFECT_API_URL: got '{address}', which does not answer")


def test_a_passing_server_that_cannot_start_is_one_line(monkeypatch):
    monkeypatch.setattr(chosen, "LOCAL", f"http://127.0.0.1:{free_port()}/api")
    monkeypatch.setattr(chosen, "START_SECONDS", 0)
    with pytest.raises(ReanchorError, match="did not start within 0 s"), chosen.chosen_server():
        pytest.fail("it was taken")
