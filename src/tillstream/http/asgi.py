"""Serves an ASGI 3 application (HTTP and lifespan) on the HTTP/1.1 server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.http import messages, server
from tillstream.http.connections import Connections, Limits
from tillstream.http.memory import MemoryBudget
from tillstream.http.messages import Exchange, Headers, Request, Response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_VERSIONS = {"version": "3.0", "spec_version": "2.4"}
_WITHOUT_BODY = (204, 304)
_OF_THE_SERVER = (b"date", b"transfer-encoding")

_logger = structlog.get_logger()


async def serve(
    app: App,
    listener: socket.socket,
    settings: Settings,
    clock: Clock,
    *,
    name: str,
    stop: asyncio.Event,
    ready: Callable[[int], None],
    stopping: Callable[[], None] = lambda: None,
    limit_s: float,
) -> None:
    """Serve the application until `stop` is set; see `tillstream.http.server.serve`.

    Raises `OperationalError` also if the application's start-up fails.
    """
    lifespan = _Lifespan(app, name)
    with listener:
        await lifespan.start()
        adapter = _Adapter(app, listener, settings, lifespan.state)
        budget = MemoryBudget(settings.pending_limit_bytes)
        connections = Connections(adapter, Limits.of(settings), budget, clock)
        try:
            await server.serve(
                connections, listener, settings, name=name, stop=stop, ready=ready, stopping=stopping, limit_s=limit_s
            )
        finally:
            await adapter.close()
            await lifespan.stop()


class _Adapter:
    """Runs the ASGI application, one task for each request."""

    answers_half_closed = False

    def __init__(self, app: App, listener: socket.socket, settings: Settings, state: dict[str, Any]) -> None:
        self._app = app
        self._base: Scope = {
            "type": "http",
            "asgi": _VERSIONS,
            "scheme": "https" if settings.tls else "http",
            "root_path": "",
            "server": listener.getsockname()[:2],
        }
        self._state = state
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, request: Request, exchange: Exchange) -> None:
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
            "client": exchange.client,
            "state": self._state.copy(),
        }
        task = asyncio.get_running_loop().create_task(_Cycle(request, exchange).run(self._app, scope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def reject(self, _headers: Headers) -> Response | None:
        """Read every body: the limits of the server bound it."""
        return None

    async def close(self) -> None:
        """Cancel the requests that are still open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Cycle:
    """One request and its response, as the application sees them."""

    def __init__(self, request: Request, exchange: Exchange) -> None:
        self._request = request
        self._exchange = exchange
        self._unread = not request.truncated
        self._start: Message | None = None
        self._begun = False
        # Bytes that are still to come if the headers announce a length.
        self._left: int | None = None
        self._silent = request.method == b"HEAD"
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception:
            if not self._gone():
                _logger.exception("http.request_failed", path=scope["path"])
        finally:
            self._clean_up(scope["path"])

    def _gone(self) -> bool:
        return self._exchange.disconnected().done()

    def _clean_up(self, path: str) -> None:
        """Release the body, and end a response that the application left open."""
        if self._request.reservation is not None:
            self._request.reservation.release()
        if self._done.done():
            return
        self._done.set_result(None)
        if not self._gone():
            _logger.warning("http.response_incomplete", path=path)
        if self._begun:
            self._exchange.abort()
        else:
            self._exchange.respond(messages.error(500, "something went wrong here", "the log says more"))

    async def _receive(self) -> Message:
        if self._unread:
            self._unread = False
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        await asyncio.wait((self._done, self._exchange.disconnected()), return_when=asyncio.FIRST_COMPLETED)
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._gone():
            raise OSError("the client is gone")
        if message["type"] == "http.response.start" and self._start is None:
            self._start = message
            return
        if message["type"] != "http.response.body" or self._start is None or self._done.done():
            raise RuntimeError(f"{message['type']} is out of order")
        body, more = message.get("body", b""), message.get("more_body", False)
        if not self._begun:
            self._begin(self._start, None if more else len(body))
        if not self._silent:
            self._write(body, more=more)
        if not more:
            self._done.set_result(None)
            self._exchange.finish()
        elif (writable := self._exchange.writable()) is not None:
            await writable

    def _begin(self, start: Message, whole_bytes: int | None) -> None:
        """Send the headers. `whole_bytes` is the body's length if it comes in one message."""
        lines, length, close = [], None, False
        for name, value in start.get("headers", ()):
            name = name.lower()
            if name == b"connection":
                close = value.lower() == b"close"
            elif name not in _OF_THE_SERVER:
                lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                length = int(value)
        block = b"".join(lines)
        if block.count(b"\n") != len(lines) or block.count(b"\r") != len(lines):
            raise RuntimeError("a header field holds a line break")
        if length is None and whole_bytes is not None and start["status"] not in _WITHOUT_BODY:
            if whole_bytes or not self._silent:
                block += b"content-length: %d\r\n" % whole_bytes
            length = whole_bytes
        self._silent = self._silent or start["status"] in _WITHOUT_BODY
        unknown = length is None and not self._silent
        chunked = unknown and self._request.version == "1.1"
        self._left, self._begun = length, True
        self._exchange.start(start["status"], block, chunked=chunked, close=close or (unknown and not chunked))

    def _write(self, body: bytes, *, more: bool) -> None:
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the body does not have the length that the headers announce")
        self._exchange.write(body)


class _Lifespan:
    """The application's start-up and shut-down. Applications that do not support it are served without."""

    def __init__(self, app: App, name: str) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._name = name
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        scope = {"type": "lifespan", "asgi": _VERSIONS, "state": self.state}
        running = self._app(scope, self._events.get, self._answers.put)
        self._task = asyncio.ensure_future(running)
        answer = await self._ask("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise OperationalError("start", self._name, answer.get("message", "") or "its start-up failed")

    async def stop(self) -> None:
        await self._ask("lifespan.shutdown")
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _ask(self, event: str) -> Message | None:
        """The application's answer to an event; None if it ended without one."""
        if self._task is None or self._task.done():
            return None
        self._events.put_nowait({"type": event})
        answering = asyncio.create_task(self._answers.get())
        await asyncio.wait((answering, self._task), return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        answering.cancel()
        return None


def _split(target: bytes) -> tuple[bytes, bytes, bytes]:
    """The path, the query, and the host of an absolute target (RFC 9112, section 3.2.2)."""
    if target.startswith(b"/") or b"://" not in target:
        path, _, query = target.partition(b"#")[0].partition(b"?")
        return path, query, b""
    url = urlsplit(target)
    return url.path or b"/", url.query, url.netloc.rpartition(b"@")[2]
