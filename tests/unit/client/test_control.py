"""The control client sends requests to a real server, retries them, and keeps requests to this machine on it."""

from __future__ import annotations

import logging
import ssl
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.support.certificate import certificate
from tests.support.free_ports import free_port
from tillstream.client.control import ControlClient, RequestFailed, Response, unverified_tls


class Server(ThreadingHTTPServer):
    """Answers with the statuses in order; the last one repeats."""

    daemon_threads = True

    def __init__(self) -> None:
        self.statuses = [200]
        self.requests: list[tuple[str, str, bytes]] = []
        self.sent_headers: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, body))
        self.server.sent_headers.append(dict(self.headers))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_body_is_posted_and_without_one_the_method_is_get(server: Server) -> None:
    client = ControlClient(10)
    assert client.send(f"{server.address}/a", b"{}", {"X-Mine": "1"}) == Response(200, b"hello")
    assert client.send(f"{server.address}/b?c=d").body == b"hello"
    assert server.requests == [("POST", "/a", b"{}"), ("GET", "/b?c=d", b"")]
    assert server.sent_headers[0]["X-Mine"] == "1"
    assert server.sent_headers[0]["User-Agent"].startswith("tillstream/")


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_request_is_retried_while_the_caller_waits_with_growing_pauses(server: Server, status: int) -> None:
    server.statuses = [status]
    waits: list[tuple[str, float]] = []

    def wait(reason: str, pause_s: float) -> bool:
        waits.append((reason, pause_s))
        return len(waits) < 4

    client = ControlClient(10, pauses_s=(0.5, 2.0))
    response = client.send(server.address, wait=wait)
    assert (response.status, response.retryable) == (status, True)
    assert len(server.requests) == 4
    assert waits == [(f"it answered {status}", pause_s) for pause_s in (0.5, 2.0, 2.0, 2.0)]


def test_a_retry_that_succeeds_is_the_response(server: Server) -> None:
    server.statuses = [503, 200]
    assert ControlClient(10).send(server.address, wait=lambda *_: True).status == 200
    assert len(server.requests) == 2


def test_without_a_wait_a_request_is_sent_once(server: Server) -> None:
    server.statuses = [503]
    assert ControlClient(10).send(server.address).status == 503
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [302, 400, 404, 422])
def test_other_statuses_are_returned_at_once(server: Server, status: int) -> None:
    server.statuses = [status]
    response = ControlClient(10).send(f"{server.address}/here", b"", wait=lambda *_: True)
    assert (response.status, response.retryable) == (status, False)
    assert server.requests == [("POST", "/here", b"")]


def test_a_server_that_cannot_be_reached_is_an_error_after_the_last_attempt() -> None:
    reasons: list[str] = []

    def wait(reason: str, _pause_s: float) -> bool:
        reasons.append(reason)
        return len(reasons) < 2

    client = ControlClient(10)
    with pytest.raises(RequestFailed, match="Connection refused"):
        client.send(f"http://127.0.0.1:{free_port()}", wait=wait)
    assert len(reasons) == 2


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1", "http://127.0.0.1:x"])
def test_an_address_that_cannot_be_used_is_an_error(url: str) -> None:
    with pytest.raises(RequestFailed):
        ControlClient(10).send(url)


def test_a_header_that_cannot_be_sent_is_an_error(server: Server) -> None:
    for value in ("\u20ac", "a\r\nb: c"):
        with pytest.raises(RequestFailed):
            ControlClient(10).send(server.address, headers={"X-Mine": value})
    assert server.requests == []


def test_a_long_body_is_cut_at_the_limit(server: Server) -> None:
    assert ControlClient(10, limit_bytes=2).send(server.address) == Response(200, b"he")
    assert ControlClient(10, limit_bytes=0).send(server.address) == Response(200, b"")


def test_a_proxy_of_the_environment_is_used_for_other_machines_only(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.address)
    assert ControlClient(10).send("http://shop.example/alert").body == b"hello"
    assert server.requests == [("GET", "http://shop.example/alert", b"")]
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    for host in ("127.0.0.1", "localhost"):
        assert ControlClient(10).send(f"http://{host}:{server.server_port}").body == b"hello"
    with pytest.raises(RequestFailed):
        ControlClient(10, same_machine=True).send("http://shop.invalid/")


def test_the_log_does_not_show_the_address(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ControlClient(10).send(f"{server.address}/s3cret")
    assert [record.name for record in caplog.records if record.name.startswith("http")] == []
    assert "s3cret" not in caplog.text


def test_only_this_machine_is_trusted_with_any_certificate(server: Server, tmp_path: Path) -> None:
    files = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://127.0.0.1:{server.server_port}"
    assert ControlClient(10, same_machine=True).send(url).body == b"hello"
    with pytest.raises(RequestFailed, match="certificate verify failed"):
        ControlClient(10).send(url)
    assert (unverified_tls().check_hostname, unverified_tls().verify_mode) == (False, ssl.CERT_NONE)


def test_the_library_is_loaded_with_the_first_request() -> None:
    program = (
        "import sys, tillstream.cli.main, tillstream.client.control, tillstream.alerts.notifier, tillstream.composition,"
        " tillstream.runtime.roles; sys.exit('httpx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
