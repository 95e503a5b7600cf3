"""The ASGI adapter: scope, body, framing of responses, back-pressure, disconnects, TLS, and the stop."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.inprocess.asgi import AsgiServer, asgi_server
from tests.support.certificate import certificate
from tests.support.waiting import wait_until
from tillstream.errors import AccessError

PLAIN = [(b"content-type", b"text/plain")]


def starting(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [*PLAIN, *headers]}


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def sending(*messages: dict[str, Any]) -> ASGIApp:
    """An application that answers every request with these messages."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for message in messages:
                await send(message)

    return app


def exchange(app: ASGIApp, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the response to a request, read until the connection closes."""
    with asgi_server(app) as server:
        connection = server.connect()
        connection.send(request)
        came = b"".join(iter(lambda: connection.socket.recv(65_536), b""))
        connection.close()
    head, _, body = came.partition(b"\r\n\r\n")
    return head, body


def get(version: str = "1.1", method: str = "GET", path: str = "/") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nhost: x\r\nconnection: close\r\n\r\n".encode()


def test_one_address_gets_half_of_the_connections_and_others_still_get_in() -> None:
    with asgi_server(sending(starting(), part(b"ok")), connection_limit=4) as server:
        kept = [server.connect() for _ in range(2)]
        assert [each.request("GET", "/").status for each in kept] == [200, 200]
        assert server.connect().answer().status == 503
        with socket.create_connection(("127.0.0.1", server.port), 10, source_address=("127.0.0.2", 0)) as other:
            other.sendall(get())
            assert other.makefile("rb").readline().split()[1] == b"200"
        kept[0].close()
        wait_until(lambda: httpx.get(server.address).status_code == 200, "the address may connect again")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    message = await receive()
    told = {
        "body": message["body"].decode(),
        "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
        "raw_path": scope["raw_path"].decode(),
        "query_string": scope["query_string"].decode(),
        "client": scope["client"][0],
        **{key: scope[key] for key in ("http_version", "method", "path", "scheme", "server", "root_path")},
    }
    await send(starting(200))
    await send(part(json.dumps(told).encode()))


def told(request: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(exchange(echo, request)[1])
    return found


def test_the_scope_describes_the_request() -> None:
    scope = told(
        b"POST /a%20b?c=%20d#e HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
        b"Cookie: a=1\r\nX-Forwarded-For: 1\r\nCookie: b=2\r\nX-Forwarded-For: 2\r\n\r\nhi"
    )
    assert scope["server"][0] == "127.0.0.1"
    del scope["server"]
    assert scope == {
        "body": "hi",
        "client": "127.0.0.1",
        "headers": [
            ["host", "x"],
            ["connection", "close"],
            ["content-length", "2"],
            ["cookie", "a=1; b=2"],
            ["x-forwarded-for", "1, 2"],
        ],
        "http_version": "1.1",
        "method": "POST",
        "path": "/a b",
        "query_string": "c=%20d",
        "raw_path": "/a%20b",
        "root_path": "",
        "scheme": "http",
    }


def test_the_host_of_an_absolute_target_replaces_the_host_field() -> None:
    scope = told(b"GET http://other:80?q HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert (scope["path"], scope["query_string"], scope["headers"][0]) == ("/", "q", ["host", "other:80"])


def test_a_body_in_one_message_gets_its_length() -> None:
    head, body = exchange(sending(starting(), part(b"hello")), get())
    assert b"content-length: 5" in head
    assert b"transfer-encoding" not in head
    assert body == b"hello"


def test_a_body_of_unknown_length_is_sent_in_chunks() -> None:
    head, body = exchange(sending(starting(), part(b"hel", more=True), part(b"", more=True), part(b"lo")), get())
    assert b"transfer-encoding: chunked" in head
    assert body == b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


def test_over_http_1_0_the_close_of_the_connection_ends_a_body_of_unknown_length() -> None:
    request = b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
    head, body = exchange(sending(starting(), part(b"hel", more=True), part(b"lo")), request)
    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    assert body == b"hello"


def test_a_length_of_the_application_is_kept() -> None:
    app = sending(starting(200, (b"Content-Length", b"5")), part(b"hel", more=True), part(b"lo"))
    head, body = exchange(app, get())
    assert head.lower().count(b"content-length: 5") == 1
    assert body == b"hello"


@pytest.mark.parametrize("parts", [[part(b"hello!")], [part(b"hel")], [part(b"hel", more=True), part(b"")]])
def test_a_body_of_another_length_than_announced_is_cut_off(parts: list[dict[str, Any]]) -> None:
    with asgi_server(sending(starting(200, (b"content-length", b"5")), *parts)) as server:
        connection = server.connect()
        connection.send(get())
        with pytest.raises((ConnectionError, TimeoutError)):
            connection.answer()


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204)])
def test_a_response_without_a_body_has_none(method: str, status: int) -> None:
    head, body = exchange(sending(starting(status), part(b"hello", more=True), part(b"!")), get(method=method))
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"transfer-encoding" not in head
    assert body == b""


def test_a_head_request_learns_the_length() -> None:
    assert b"content-length: 5" in exchange(sending(starting(), part(b"hello")), get(method="HEAD"))[0]
    app = sending(starting(200, (b"content-length", b"7")), part(b""))
    assert b"content-length: 7" in exchange(app, get(method="HEAD"))[0]


def test_the_application_may_close_the_connection() -> None:
    request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    head, _ = exchange(sending(starting(200, (b"connection", b"close")), part(b"")), request)
    assert head.count(b"connection: close") == 1


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [part(b"")],
        [starting(200, (b"x", b"y\r\nset-cookie: z"))],
        [starting(), starting()],
        [starting(200, (b"x", b"y\nz")), part(b"")],
    ],
)
def test_a_fault_before_the_response_is_answered_500(messages: list[dict[str, Any]]) -> None:
    with asgi_server(sending(*messages)) as server:
        connection = server.connect()
        for _ in range(2):
            assert connection.request("GET", "/").status == 500


def test_a_fault_within_the_response_cuts_it_off() -> None:
    app = sending(starting(), part(b"hello", more=True))
    with asgi_server(app) as server, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(server.address)


def test_a_kept_connection_serves_responses_of_every_framing() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/chunks":
            await send(starting())
            await send(part(b"a", more=True))
            await send(part(b"b"))
        else:
            await sending(starting(), part(b"whole"))(scope, receive, send)

    with asgi_server(app) as server, httpx.Client() as client:
        bodies = [client.get(server.address + path).text for path in ("/", "/chunks", "/", "/chunks")]
        assert bodies == ["whole", "ab"] * 2
        pipelined = server.connect()
        pipelined.send(b"GET /chunks HTTP/1.1\r\nhost: x\r\n\r\n" * 2 + get())
        came = b"".join(iter(lambda: pipelined.socket.recv(65_536), b""))
        assert came.count(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n") == 2
        assert came.endswith(b"whole")


class Stream:
    """An application that sends without end until its client is gone."""

    def __init__(self, chunk: bytes = b"x" * 65_536) -> None:
        self.sent = 0
        self.outcome = ""
        self.ended = threading.Event()
        self._chunk = chunk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        try:
            await send(starting())
            while True:
                await send(part(self._chunk, more=True))
                self.sent += 1
                await asyncio.sleep(0)
        except OSError:
            self.outcome = "gone"
            raise
        except asyncio.CancelledError:
            self.outcome = "cancelled"
            raise
        finally:
            self.ended.set()


def slow_reader(server: AsgiServer) -> socket.socket:
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.connect(("127.0.0.1", server.port))
    reader.sendall(get())
    return reader


def test_a_client_that_does_not_read_holds_the_application_back_and_is_cut_off() -> None:
    stream = Stream()
    with asgi_server(stream, body_timeout_ms=300) as server, slow_reader(server):
        assert stream.ended.wait(20)
    assert stream.outcome == "gone"
    # The kernel's buffers and one high-water mark: a few megabytes at most.
    assert 0 < stream.sent < 200


def test_a_client_that_reads_again_gets_the_rest() -> None:
    size = 20_000_000

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(starting())
        for _ in range(20):
            await send(part(b"x" * (size // 20), more=True))
        await send(part(b""))

    with asgi_server(app) as server, httpx.stream("GET", server.address, timeout=20) as answer:
        assert sum(map(len, answer.iter_raw(4_096))) == size


@pytest.mark.parametrize("half", [False, True])
def test_a_stream_ends_when_its_client_leaves(half: bool) -> None:
    stream = Stream(b"x")
    with asgi_server(stream) as server:
        connection = server.connect()
        connection.send(get())
        connection.socket.recv(10)
        if half:
            connection.socket.shutdown(socket.SHUT_WR)
        else:
            connection.close()
        assert stream.ended.wait(20)
        assert stream.outcome == "gone"


def test_receive_tells_that_the_client_is_gone_or_the_response_is_complete() -> None:
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        heard.append((await receive())["type"])
        if scope["path"] == "/complete":
            await send(starting())
            await send(part(b""))
        heard.append((await receive())["type"])

    with asgi_server(app) as server:
        httpx.get(f"{server.address}/complete")
        connection = server.connect()
        connection.send(get())
        wait_until(lambda: len(heard) == 3, "the request has begun")
        connection.close()
        wait_until(lambda: len(heard) == 4, "the application hears of it")
    assert heard == ["http.request", "http.disconnect"] * 2


def test_a_body_that_breaks_off_is_a_disconnect() -> None:
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            heard.append((await receive())["type"])

    with asgi_server(app) as server:
        connection = server.connect()
        connection.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhel")
        connection.close()
        wait_until(lambda: heard == ["http.disconnect"], "the application hears of it")


def test_a_body_over_the_limit_never_reaches_the_application() -> None:
    with asgi_server(echo, body_limit_bytes=200_000) as server:
        assert httpx.post(server.address, content=b"x" * 200_000).status_code == 200
        assert httpx.post(server.address, content=b"x" * 200_001).status_code == 413


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_with_a_certificate_it_serves_by_tls(tmp_path: Path, kind: str) -> None:
    own = certificate(tmp_path, kind)
    with asgi_server(echo, **own.settings) as server:
        assert httpx.post(server.address, content="hi", verify=own.trusted).json()["scheme"] == "https"


def test_a_certificate_that_cannot_be_used_ends_it_before_it_serves(tmp_path: Path) -> None:
    with pytest.raises(AccessError):
        AsgiServer(echo, tls_certificate_file=str(certificate(tmp_path).certificate))


def test_a_stream_that_does_not_end_is_cut_off_at_the_stop() -> None:
    stream = Stream(b"x")
    with asgi_server(stream, limit_s=0.2) as server:
        connection = server.connect()
        connection.send(get())
        connection.socket.recv(10)
        server.stop()
        assert server.events == ["stopping"]
        assert stream.ended.is_set()


def test_a_request_that_never_ends_is_cancelled_at_the_stop() -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            began.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

    with asgi_server(app, limit_s=0.2) as server:
        connection = server.connect()
        connection.send(get())
        assert began.wait(20)
    assert cancelled.is_set()
