"""One HTTP/1.1 connection: passes whole requests to the application in order, and sends its responses."""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from tillstream.http import messages
from tillstream.http.messages import Request, Response
from tillstream.http.reader import BODY, CLOSING, HEAD, IDLE, RequestReader

if TYPE_CHECKING:
    from tillstream.http.server import Connections

PIPELINE_LIMIT = 128
"""The maximum number of requests that one connection queues."""

# After a rejection, the server reads and drops data for this long before it closes the connection. If it closed the
# connection immediately, unread data would cause a TCP reset, and the client could lose the response.
_LINGER_S = 2.0

_STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"
_NEVER = float("inf")


class Connection(RequestReader, asyncio.Protocol):
    """The connection of one client.

    The application gets one request at a time. Requests that arrive before the previous response is sent (pipelining)
    are queued, and the connection reads no further data until the queue is empty. For speed, no task or future is
    created per request.

    The application calls `respond` with a whole response, or it calls `start`, `write` and `finish`.
    """

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        # The address and port of the client. None if the client disconnected before the server could read them.
        self.client: tuple[str, int] | None = None
        self._transport: asyncio.Transport | None = None
        self._answering = self._chunked = self._without_body = False
        self._keep_open = True
        # `_blocked`: the client does not read its responses. `_draining`: `_drain` is running.
        # `_ended`: the client has closed its sending side.
        self._blocked = self._draining = self._ended = False
        self._queue: deque[Request] = deque()
        self._rejection: Response | None = None
        self._disconnected: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None

    @property
    def address(self) -> str:
        """The IP address of the client, or an empty string if `client` is None."""
        return self.client[0] if self.client else ""

    # -- callbacks of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.client = (str(peer[0]), int(peer[1])) if peer else None
        allowed = self._connections.add(self)
        if self._connections.closing:
            self.abort()
        elif not allowed:
            problem = "too many connections are open"
            self._reject(
                messages.error(503, problem, "open fewer connections, and reuse them", messages.RETRY, close=True)
            )

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._drop_queue()
        _resolve(self._disconnected)
        _resolve(self._writable)
        self._connections.remove(self)

    def eof_received(self) -> bool:
        """Handle the end of the data from the client. Return whether the connection stays open for responses."""
        self._ended = True
        if self._stage == BODY:
            self._complete(truncated=True)
        # For TLS, `can_write_eof` returns False, because TLS has no half-closed connections.
        half_open = self._connections.app.answers_half_closed and self._answering
        return half_open and self._transport is not None and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """Process no further requests while the client does not read its responses."""
        self._blocked = True
        self._limit_writing()

    def resume_writing(self) -> None:
        self._blocked = False
        _resolve(self._writable)
        self._writable = None
        if self._answering:
            self.deadline = _NEVER
        elif not self._draining:
            self._drain()

    # -- requests

    def _continue(self) -> None:
        if self._answering:
            return
        assert self._transport is not None
        rejection = self._connections.app.reject(self._headers)
        if rejection is None:
            self._transport.write(_CONTINUE)
        else:
            self._reject(rejection._replace(close=True))

    def _drop_queue(self) -> None:
        """Drop the request that is being read, and all queued requests."""
        self._drop_body()
        for request in self._queue:
            if request.reservation is not None:
                request.reservation.release()
        self._queue.clear()

    def _read(self, request: Request) -> None:
        if not (self._answering or self._blocked or self._queue):
            self._handle(request)
            return
        self._queue.append(request)
        if self._answering:
            self.deadline = _NEVER
        assert self._transport is not None
        self._transport.pause_reading()
        self._paused = True
        if len(self._queue) > PIPELINE_LIMIT:
            self._reject(messages.overloaded("too many requests are queued on this connection"))

    def _handle(self, request: Request) -> None:
        self._answering = True
        self.deadline = _NEVER
        self._keep_open = request.keep_alive
        self._without_body = request.method == b"HEAD"
        self._connections.app.handle(request, self)

    def _drain(self) -> None:
        """Process the queued requests.

        After the last response, send the pending rejection. If no rejection is pending, continue reading.
        """
        self._draining = True
        while self._queue and not (self._answering or self._blocked):
            self._handle(self._queue.popleft())
        self._draining = False
        if self._queue or self._answering or self._transport is None:
            return
        if self._rejection is not None:
            self._send_rejection()
            return
        if self._paused and not self._transport.is_closing():
            self._transport.resume_reading()
            self._paused = False
        if not self._blocked and self._stage != CLOSING:
            # Part of the next request may have arrived. The client could not send the rest while reading was paused.
            # Therefore, restart the time limit for this request.
            self._restart_deadline()

    # -- responses

    def respond(self, response: Response) -> None:
        """Send a whole response."""
        self._answering = False
        if self._transport is None or self._transport.is_closing():
            return
        closes = response.close or self._is_last()
        self._write_whole(response, closes)
        self._end_response(closes)

    def start(self, status: int, headers: bytes, *, chunked: bool = False, close: bool = False) -> None:
        """Send the head of a response.

        If there is a body, but no Content-Length in `headers`, set `chunked` or `close`. With `close`, the end of the
        connection marks the end of the body.
        """
        self._chunked = chunked
        self._keep_open = self._keep_open and not close and not self._is_last()
        self._connections.on_response(status)
        if self._transport is not None:
            lines = headers + (_CHUNKED if chunked else b"") + (b"" if self._keep_open else _CLOSE)
            self._transport.write(b"%b%b%b\r\n" % (_STATUS_LINES[status], self._connections.date_line, lines))

    def write(self, part: bytes) -> None:
        """Send a part of the body."""
        if self._transport is not None and part:
            # Many connections may send the same part, so use `writelines`, which does not copy it.
            self._transport.writelines((b"%x\r\n" % len(part), part, b"\r\n") if self._chunked else (part,))

    def finish(self) -> None:
        """End the response after its last part."""
        self._answering = False
        if self._transport is None or self._transport.is_closing():
            return
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")
        self._end_response(not self._keep_open or self._is_last())

    def writable(self) -> asyncio.Future[None] | None:
        """Return a future that is done when the client can receive more data, or None if it already can."""
        if not self._blocked or self._transport is None:
            return None
        if self._writable is None or self._writable.done():
            self._writable = asyncio.get_running_loop().create_future()
        return self._writable

    def disconnected(self) -> asyncio.Future[None]:
        """Return a future that is done when the client has disconnected."""
        if self._disconnected is None:
            self._disconnected = asyncio.get_running_loop().create_future()
            if self._transport is None:
                self._disconnected.set_result(None)
        return self._disconnected

    def _is_last(self) -> bool:
        """Return whether the connection closes after the response to the current request."""
        if not self._keep_open:
            return True
        more = self._queue or self._rejection is not None
        return not more and (self._ended or self._connections.closing)

    def _end_response(self, closes: bool) -> None:
        if closes:
            self._drop_queue()
            self._hang_up()
            return
        if not self._blocked and self._stage == IDLE:
            # This does the same as `_restart_deadline`, but is faster than a call.
            self.deadline = self._connections.now + self._connections.header_timeout_s
        elif not self._blocked and self.deadline == _NEVER:
            self._restart_deadline()
        if (self._paused or self._queue or self._rejection is not None) and not self._draining:
            self._drain()

    def _write_whole(self, response: Response, closes: bool) -> None:
        assert self._transport is not None
        self._connections.on_response(response.status)
        self._transport.write(
            b"%b%b%bcontent-length: %d\r\n%b\r\n%b"
            % (
                _STATUS_LINES[response.status],
                self._connections.date_line,
                response.headers,
                len(response.body),
                _CLOSE if closes else b"",
                b"" if self._without_body else response.body,
            )
        )

    # -- closing

    def _reject(self, response: Response) -> None:
        self._drop_body()
        if self._stage == CLOSING:
            return
        self._stage = CLOSING
        self._rejection = response
        self._send_rejection()

    def _send_rejection(self) -> None:
        if self._rejection is None or self._transport is None or self._transport.is_closing():
            return
        if self._answering or self._blocked or self._queue:
            if self._answering:
                self.deadline = _NEVER
            else:
                self._limit_writing()
            return
        self._without_body = False
        self._write_whole(self._rejection, True)
        self._rejection = None
        self.deadline = self._connections.now + _LINGER_S
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def overdue(self) -> None:
        """End the connection because its deadline has passed."""
        if self._blocked or self._stage == CLOSING:
            self.abort()
        elif self._stage == BODY:
            self._reject(messages.timeout("body", self._connections.body_timeout_s))
        elif self._stage == HEAD:
            self._reject(messages.timeout("headers", self._connections.header_timeout_s))
        else:
            self._hang_up()

    def close_if_idle(self) -> None:
        """Close the connection if it has no open request. Otherwise it closes after its last response."""
        if self._stage == IDLE and not self._answering:
            self._hang_up()

    def _hang_up(self) -> None:
        """Close the connection after all data is sent, and limit the time in which the client must read the data."""
        self._stage = CLOSING
        self._limit_writing()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _limit_writing(self) -> None:
        """Start the time limit within which the client must read its responses."""
        self.deadline = self._connections.now + self._connections.body_timeout_s


def _resolve(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
