"""HTTP/1.1 of one connection: requests are parsed, bounded, put in order, and handed over whole."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import IntEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import httptools
import structlog

from tillstream.ingest import responses
from tillstream.ingest.request import Headers, Request
from tillstream.ingest.responses import Answer
from tillstream.ingest.room import Share

if TYPE_CHECKING:
    from tillstream.ingest.connections import Connections

PIPELINE_LIMIT = 128
"""Requests of one client that may wait for their turn."""

# A body whose length has so few digits is not counted while it is read: connection_limit bounds them.
_SMALL_DIGITS = 5

# How long a client that was refused may still send before the connection is cut: an answer that
# meets unread data would be lost with the reset that follows it.
_LINGER_S = 2.0

_STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_NEVER = float("inf")

_logger = structlog.get_logger()


class _Stage(IntEnum):
    """How far the request that comes now has come."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    LEAVING = 3


class Connection(asyncio.Protocol):
    """One client: its requests in order, one at a time, each answered before the next is begun.

    Requests that come before their turn wait, and nothing more is read until they were begun: a
    client that sends without reading fills its own buffers and not ours.
    """

    __slots__ = (
        "_answering",
        "_blocked",
        "_body",
        "_draining",
        "_ended",
        "_head_bytes",
        "_headers",
        "_keeps_alive",
        "_mixed",
        "_parser",
        "_paused",
        "_refusal",
        "_server",
        "_share",
        "_stage",
        "_target",
        "_trailing",
        "_transport",
        "_waiting",
        "_without_body",
        "deadline",
    )

    def __init__(self, server: Connections) -> None:
        self.deadline = server.now + server.limits.header_s
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        # Of the request that comes.
        self._stage = _Stage.IDLE
        self._target = b""
        self._headers: Headers = {}
        self._body: bytes | list[bytes] = b""
        self._share: Share | None = None
        self._head_bytes = 0
        self._mixed = False
        self._trailing = False
        # Of the request that is answered, and of those behind it.
        self._answering = False
        self._blocked = False
        self._keeps_alive = True
        self._without_body = False
        self._waiting: deque[Request] = deque()
        self._refusal: Answer | None = None
        self._draining = False
        self._paused = False
        self._ended = False

    # -- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.open.add(self)
        if self._server.closing:
            self.abort()
        elif len(self._server.open) > self._server.limits.connections:
            self._refuse(responses.too_many_connections())

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._forget()
        self._server.lose(self)

    def data_received(self, data: bytes) -> None:
        if self._stage is _Stage.LEAVING:
            return
        self._mixed = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # It was answered, or will be, as if nothing had been asked; the parser is of no more use.
            self._keeps_alive = False
            if not self._answering and self._transport is not None:
                self._transport.close()
        except httptools.HttpParserCallbackError:
            _logger.exception("request_failed")
            self.abort()
        except httptools.HttpParserError as error:
            self._refuse(responses.malformed(str(error)))
        if self._stage is _Stage.HEAD or (self._trailing and self._stage is _Stage.BODY):
            # Where another request or a chunk's size ended in these data, how much of them is head or
            # trailers is not known.
            self._head_bytes += 0 if self._mixed else len(data)
            if self._head_bytes > self._server.limits.header_bytes:
                self._refuse(responses.head_too_large(self._server.limits.header_bytes))

    def eof_received(self) -> bool:
        """The client sends no more; what it sent is answered all the same, a body that broke off too."""
        self._ended = True
        if self._stage is _Stage.BODY:
            self._take(broken=True)
        # TLS knows no connection that is half closed.
        return self._answering and self._transport is not None and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """The client does not read its answers: nothing more is begun until it does."""
        self._blocked = True
        self.deadline = self._server.now + self._server.limits.body_s

    def resume_writing(self) -> None:
        self._blocked = False
        if not self._draining:
            self._drain()

    # -- what the parser tells

    def on_message_begin(self) -> None:
        if self._stage is _Stage.IDLE:
            self._stage = _Stage.HEAD
            self._target, self._headers, self._body, self._head_bytes = b"", {}, b"", 0
            if not self._paused:
                self.deadline = self._server.now + self._server.limits.header_s

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are no headers (RFC 9110, section 6.5.1), and nothing here asks for any.
        if not self._trailing:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._stage is not _Stage.HEAD:
            return
        self._stage = _Stage.BODY
        if not self._paused:
            self.deadline = self._server.now + self._server.limits.body_s
        length = self._headers.get(b"content-length")
        if length is not None and len(length) > _SMALL_DIGITS:
            self._expect(int(length))
        if b"expect" in self._headers and self._stage is _Stage.BODY and not self._answering:
            assert self._transport is not None
            answer = self._server.app.turns_away(self._headers)
            if answer is None:
                self._transport.write(_CONTINUE)
            else:
                self._refuse(answer)

    def on_body(self, part: bytes) -> None:
        if self._stage is not _Stage.BODY:
            return
        if b"content-length" not in self._headers:
            self._trailing = False
            self._expect(len(part))
        if not self._body:
            self._body = part
        elif isinstance(self._body, list):
            self._body.append(part)
        else:
            self._body = [self._body, part]

    def on_chunk_header(self) -> None:
        """A chunk follows, or the trailers behind the last one: only what comes tells which."""
        if self._stage is _Stage.BODY:
            self._trailing = self._mixed = True

    def on_message_complete(self) -> None:
        if self._stage is _Stage.BODY:
            self._take(broken=False)

    # -- requests

    def _expect(self, size: int) -> None:
        """Count so much more of the body; refuse what is over a limit, or a stranger's, before it has come."""
        answer, share = None, self._share
        if share is None:
            answer = self._server.app.turns_away(self._headers)
            share = self._share = Share(self._server.room)
        if answer is not None:
            self._refuse(answer)
        elif share.taken_bytes + size > self._server.limits.body_bytes:
            self._refuse(responses.body_too_large(self._server.limits.body_bytes))
        elif not share.take(size):
            self._refuse(responses.unavailable("too much is being read"))

    def _give_back(self) -> None:
        """Forget what has come of the body."""
        self._body = b""
        if self._share is not None:
            self._share.give()
            self._share = None

    def _forget(self) -> None:
        """Forget all that was not begun."""
        self._give_back()
        for request in self._waiting:
            if request.share is not None:
                request.share.give()
        self._waiting.clear()

    def _take(self, *, broken: bool) -> None:
        """The request is whole, or all that will come of it is here: begin it, or let it wait its turn."""
        self._mixed, self._trailing = True, False
        parser, body = self._parser, self._body
        request = Request(
            parser.get_method(),
            self._target,
            self._headers,
            body if isinstance(body, bytes) else b"".join(body),
            parser.should_keep_alive() and not broken,
            broken,
            self._share,
        )
        self._body, self._share = b"", None
        self._stage = _Stage.IDLE
        if not (self._answering or self._blocked or self._waiting):
            self._begin(request)
            return
        self._waiting.append(request)
        if self._answering:
            self.deadline = _NEVER
        assert self._transport is not None
        self._transport.pause_reading()
        self._paused = True
        if len(self._waiting) > PIPELINE_LIMIT:
            self._refuse(responses.unavailable("too many requests wait on this connection"))

    def _begin(self, request: Request) -> None:
        self._answering = True
        self.deadline = _NEVER
        self._keeps_alive = request.keeps_alive
        self._without_body = request.method == b"HEAD"
        self._server.app.handle(request, self._reply)

    def _drain(self) -> None:
        """Begin what waits; a loop, since an answer may come before `handle` returns."""
        self._draining = True
        while self._waiting and not (self._answering or self._blocked):
            self._begin(self._waiting.popleft())
        self._draining = False
        if self._waiting or self._answering or self._transport is None:
            return
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif self._paused and not self._transport.is_closing():
            self._transport.resume_reading()
            self._paused = False
            # Of the next request a part may have come; only from here on can its client send the rest.
            if not self._blocked:
                limits = self._server.limits
                self.deadline = self._server.now + (limits.body_s if self._stage is _Stage.BODY else limits.header_s)

    # -- answers

    def _reply(self, answer: Answer) -> None:
        self._answering = False
        if self._transport is None or self._transport.is_closing():
            return
        waits = bool(self._waiting) or self._refusal is not None
        if answer.closes or not self._keeps_alive or (not waits and (self._ended or self._server.closing)):
            self._write(answer, closes=True)
            self._forget()
            self._hang_up()
            return
        self._write(answer, closes=False)
        if self._stage is _Stage.IDLE and not self._blocked:
            self.deadline = self._server.now + self._server.limits.header_s
        if (waits or self._paused) and not self._draining:
            self._drain()

    def _write(self, answer: Answer, *, closes: bool) -> None:
        assert self._transport is not None
        self._server.count(answer.status)
        self._transport.write(
            b"%b%b%bcontent-length: %d\r\n%b\r\n%b"
            % (
                _STATUS_LINES[answer.status],
                self._server.date_line,
                answer.headers,
                len(answer.body),
                _CLOSE if closes else b"",
                b"" if self._without_body else answer.body,
            )
        )

    # -- ends

    def _refuse(self, answer: Answer) -> None:
        """Read no more of this client, and answer what has not come whole once its turn has come."""
        self._give_back()
        self._stage = _Stage.LEAVING
        if self._transport is None:
            return
        if self._answering or self._blocked or self._waiting:
            self._refusal = answer
            self.deadline = _NEVER if self._answering else self._server.now + self._server.limits.body_s
            return
        self._without_body = False
        self._write(answer, closes=True)
        self.deadline = self._server.now + _LINGER_S
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def overdue(self) -> None:
        """It took longer than it may."""
        if self._stage is _Stage.BODY:
            self._refuse(responses.body_too_late(round(self._server.limits.body_s * 1_000)))
        elif self._stage is _Stage.HEAD:
            self._refuse(responses.head_too_late(round(self._server.limits.header_s * 1_000)))
        elif self._stage is _Stage.IDLE and not self._blocked:
            self._hang_up()
        else:
            self.abort()

    def leave(self) -> None:
        """Close where nothing is under way; else the answer will."""
        if self._stage is _Stage.IDLE and not self._answering:
            self._hang_up()

    def _hang_up(self) -> None:
        """Close once what was written is gone; a client that does not read it has only so long."""
        self._stage = _Stage.LEAVING
        self.deadline = self._server.now + self._server.limits.body_s
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
