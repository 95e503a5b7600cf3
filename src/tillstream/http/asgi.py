"""Serves an ASGI 3 application on the HTTP/1.1 server. WebSockets and lifespan events are not supported."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import structlog
from starlette.types import ASGIApp, Message, Scope

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.http import messages, server
from tillstream.http.memory import MemoryBudget
from tillstream.http.messages import Headers, Request, Response
from tillstream.http.protocol import Connection
from tillstream.http.server import Connections

_WITHOUT_BODY = (204, 304)
_SET_BY_SERVER = (b"date", b"transfer-encoding")

_logger = structlog.get_logger()


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    settings: Settings,
    clock: Clock,
    *,
    name: str,
    stop: asyncio.Event,
    ready: Callable[[int], None],
    stopping: Callable[[], None],
    limit_s: float,
) -> None:
    """Serve the application with `tillstream.http.server.serve` until `stop` is set.

    One IP address may open at most half of the allowed connections.
    """
    adapter = _Adapter(app, listener, settings)
    budget = MemoryBudget(settings.pending_limit_bytes)
    connections = Connections(adapter, settings, budget, clock, address_limit=max(1, settings.connection_limit // 2))
    try:
        await server.serve(
            connections, listener, settings, name=name, stop=stop, ready=ready, stopping=stopping, limit_s=limit_s
        )
    finally:
        await adapter.close()


class _Adapter:
    """Calls the ASGI application in one task per request. Implements `tillstream.http.server.Application`."""

    answers_half_closed = False

    def __init__(self, app: ASGIApp, listener: socket.socket, settings: Settings) -> None:
        self._app = app
        self._base: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "scheme": "https" if settings.tls else "http",
            "root_path": "",
            "server": listener.getsockname()[:2],
        }
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, request: Request, connection: Connection) -> None:
        path, query, host = _split(request.target)
        headers = request.headers | {b"host": host} if host else request.headers
        scope = {
            **self._base,
            "http_version": request.version,
            "method": request.method.decode(),
            "path": unquote(path.decode()),
            "raw_path": path,
            "query_string": query,
            "headers": list(headers.items()),
            "client": connection.client,
        }
        task = asyncio.get_running_loop().create_task(_Cycle(request, connection).run(self._app, scope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def reject(self, _headers: Headers) -> Response | None:
        """Return None, so the server reads the body of every request. The application can still reject the request."""
        return None

    async def close(self) -> None:
        """Cancel the tasks of open requests."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Cycle:
    """One request and its response."""

    def __init__(self, request: Request, connection: Connection) -> None:
        self._request = request
        self._connection = connection
        self._unread = not request.truncated
        self._start: Message | None = None
        self._started = False
        # The number of bytes of the response body that are still to be sent. None if the length of the body is unknown.
        self._remaining: int | None = None
        self._without_body = request.method == b"HEAD"
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception:
            if not self._is_disconnected():
                _logger.exception("http.request_failed", path=scope["path"])
        finally:
            self._clean_up(scope["path"])

    def _is_disconnected(self) -> bool:
        return self._connection.disconnected().done()

    def _clean_up(self, path: str) -> None:
        """Release the memory of the request body, and handle a response that the application has not finished.

        If the response has already started, abort the connection. Otherwise, respond with status 500.
        """
        if self._request.reservation is not None:
            self._request.reservation.release()
        if self._done.done():
            return
        self._done.set_result(None)
        if not self._is_disconnected():
            _logger.warning("http.response_incomplete", path=path)
        if self._started:
            self._connection.abort()
        else:
            self._connection.respond(messages.error(500, "internal error", "see the log of the server"))

    async def _receive(self) -> Message:
        if self._unread:
            self._unread = False
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        await asyncio.wait((self._done, self._connection.disconnected()), return_when=asyncio.FIRST_COMPLETED)
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._is_disconnected():
            raise OSError("the client has disconnected")
        if message["type"] == "http.response.start" and self._start is None:
            self._start = message
            return
        if message["type"] != "http.response.body" or self._start is None or self._done.done():
            raise RuntimeError(f"the message {message['type']} is out of order")
        body, more = message.get("body", b""), message.get("more_body", False)
        if not self._started:
            self._send_head(self._start, None if more else len(body))
        if not self._without_body:
            self._write(body, more=more)
        if not more:
            self._done.set_result(None)
            self._connection.finish()
        elif (writable := self._connection.writable()) is not None:
            await writable

    def _send_head(self, start: Message, size_bytes: int | None) -> None:
        """Send the head. `size_bytes` is the length of the whole body, or None if the body has several parts."""
        lines, length, close = [], None, False
        for name, value in start.get("headers", ()):
            name = name.lower()
            if name == b"connection":
                close = value.lower() == b"close"
            elif name not in _SET_BY_SERVER:
                lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                length = int(value)
        block = b"".join(lines)
        if block.count(b"\n") != len(lines) or block.count(b"\r") != len(lines):
            raise RuntimeError("a header field contains a line break")
        if length is None and size_bytes is not None and start["status"] not in _WITHOUT_BODY:
            if size_bytes or not self._without_body:
                block += b"content-length: %d\r\n" % size_bytes
            length = size_bytes
        self._without_body = self._without_body or start["status"] in _WITHOUT_BODY
        unknown = length is None and not self._without_body
        chunked = unknown and self._request.version == "1.1"
        self._remaining, self._started = length, True
        self._connection.start(start["status"], block, chunked=chunked, close=close or (unknown and not chunked))

    def _write(self, body: bytes, *, more: bool) -> None:
        if self._remaining is not None:
            self._remaining -= len(body)
            if self._remaining < 0 or (self._remaining and not more):
                raise RuntimeError("the body does not have the length in its Content-Length field")
        self._connection.write(body)


def _split(target: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the path, query and host of a request target (RFC 9112, section 3.2).

    Only an absolute target, such as `http://host/path`, contains a host. For other targets, the host is empty.
    """
    if target.startswith(b"/") or b"://" not in target:
        path, _, query = target.partition(b"#")[0].partition(b"?")
        return path, query, b""
    url = urlsplit(target)
    return url.path or b"/", url.query, url.netloc.rpartition(b"@")[2]
