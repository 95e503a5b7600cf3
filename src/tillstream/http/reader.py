"""The reading half of a connection: assembles requests from llhttp's callbacks and enforces the limits."""

from __future__ import annotations

from enum import IntEnum

import httptools
import structlog

from tillstream.http import head, messages
from tillstream.http.connections import Connections
from tillstream.http.memory import Reservation
from tillstream.http.messages import Headers, Request, Response

REPEAT_LIMIT = 100
"""Most repeated fields in the head of one request: joining more of them would take long."""

# A body whose length has at most five digits is not counted: the connection limit bounds them all.
_SMALL_DIGITS = 5

_logger = structlog.get_logger()


class Stage(IntEnum):
    """Progress of the request that is being read."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    CLOSING = 3


# Read from the class, each would be looked up twice.
IDLE, HEAD, BODY, CLOSING = Stage


class RequestReader:
    """Parses the bytes received from one client. The connection says what happens to a request and to a rejected client."""

    def __init__(self, connections: Connections) -> None:
        self.deadline = connections.now + connections.limits.header_s
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._stage: Stage = IDLE
        self._target = b""
        self._headers: Headers = {}
        self._keep_alive, self._version = True, ""
        self._host: bytes | None = b""
        self._body: bytes | list[bytes] = b""
        self._reservation: Reservation | None = None
        self._read_bytes = self._head_bytes = self._repeats = 0
        self._framing_seen = self._in_trailers = self._paused = False

    def _read(self, request: Request) -> None:
        """Handle a request, either complete or truncated."""
        raise NotImplementedError

    def _reject(self, response: Response) -> None:
        """Stop reading from this client, and send the response after all earlier ones."""
        raise NotImplementedError

    def _continue(self) -> None:
        """Ask the client for the body."""
        raise NotImplementedError

    def _tunnel(self) -> None:
        """End the connection after the response to CONNECT: what follows is not HTTP."""
        raise NotImplementedError

    def abort(self) -> None:
        """Cut the connection off."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Parse the next bytes from the client."""
        if self._stage is CLOSING:
            return
        self._framing_seen = False
        self._read_bytes = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            _logger.exception("http.callback_failed")
            self.abort()
        except httptools.HttpParserError as error:
            self._reject(messages.malformed(str(error)))
        if self._stage is HEAD or (self._in_trailers and self._stage is BODY):
            # If a request or a chunk size ended in these data, it is unknown how much of them is head or trailers.
            self._head_bytes += 0 if self._framing_seen else len(data)
            if self._head_bytes > self._connections.limits.header_bytes:
                self._reject(messages.head_too_large(self._connections.limits.header_bytes))

    def _restart_deadline(self) -> None:
        """Restart the time limit for whatever the client has to send next."""
        limits = self._connections.limits
        self.deadline = self._connections.now + (limits.body_s if self._stage is BODY else limits.header_s)

    # -- callbacks of llhttp

    def on_message_begin(self) -> None:
        if self._stage is IDLE:
            self._stage = HEAD
            self._target, self._headers, self._body, self._head_bytes, self._repeats = b"", {}, b"", 0, 0
            if not self._paused:
                self.deadline = self._connections.now + self._connections.limits.header_s

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are not headers (RFC 9110, section 6.5.1), and nothing here needs them.
        if self._in_trailers:
            return
        name, headers = name.lower(), self._headers
        if name in headers:
            self._repeats += 1
            if self._repeats > REPEAT_LIMIT:
                self._reject(messages.error(431, f"more than {REPEAT_LIMIT} fields repeat", "send fewer", close=True))
                return
            value = headers[name] + (b"; " if name == b"cookie" else b", ") + value
        headers[name] = value

    def on_headers_complete(self) -> None:
        if self._stage is not HEAD:
            return
        headers, limits, parser = self._headers, self._connections.limits, self._parser
        # Asking for the version is slow. HTTP/1.1 alone keeps a connection without a Connection field.
        self._keep_alive, self._version = parser.should_keep_alive(), "1.1"
        if not self._keep_alive or b"connection" in headers:
            self._version = parser.get_http_version()
        host = headers.get(b"host")
        if host != self._host or self._version != "1.1" or b"transfer-encoding" in headers:
            problem = head.find_problem(self._version, headers)
            if problem is not None:
                self._reject(problem)
                return
            self._host = host
        if self._read_bytes > limits.header_bytes < head.size_bytes(self._target, headers):
            self._reject(messages.head_too_large(limits.header_bytes))
            return
        if b"upgrade" in headers and parser.should_upgrade():
            return
        self._stage = BODY
        if not self._paused:
            self.deadline = self._connections.now + limits.body_s
        length = headers.get(b"content-length")
        if length is not None and len(length) > _SMALL_DIGITS:
            self._expect(int(length))
        if b"expect" in headers and self._stage is BODY and self._version == "1.1":
            self._continue()

    def on_body(self, part: bytes) -> None:
        if self._stage is not BODY:
            return
        if b"content-length" not in self._headers:
            self._in_trailers = False
            self._expect(len(part))
        if not self._body:
            self._body = part
        elif isinstance(self._body, list):
            self._body.append(part)
        else:
            self._body = [self._body, part]

    def on_chunk_header(self) -> None:
        """A chunk follows, or the trailers behind the last chunk: the next callback shows which."""
        if self._stage is BODY:
            self._in_trailers = self._framing_seen = True

    def on_message_complete(self) -> None:
        if self._stage is BODY:
            self._complete(truncated=False)

    # -- the body and the end of a request

    def _expect(self, size: int) -> None:
        """Reserve memory for more of the body. Reject a body over a limit, or from an unauthorized client, before it arrives."""
        rejection, reservation = None, self._reservation
        if reservation is None:
            rejection = self._connections.app.reject(self._headers)
            reservation = self._reservation = Reservation(self._connections.budget)
        if rejection is not None:
            self._reject(rejection)
        elif reservation.size_bytes + size > self._connections.limits.body_bytes:
            self._reject(messages.body_too_large(self._connections.limits.body_bytes))
        elif not reservation.grow(size):
            self._reject(messages.overloaded("too much is being read"))

    def _drop_body(self) -> None:
        self._body = b""
        if self._reservation is not None:
            self._reservation.release()
            self._reservation = None

    def _complete(self, *, truncated: bool) -> None:
        """The request is whole, or no more of it will come."""
        self._framing_seen, self._in_trailers = True, False
        body, reservation = self._body, self._reservation
        self._body, self._reservation = b"", None
        self._stage = IDLE
        self._read(
            Request(
                self._parser.get_method(),
                self._target,
                self._headers,
                body if isinstance(body, bytes) else b"".join(body),
                self._version,
                self._keep_alive and not truncated,
                truncated,
                reservation,
            )
        )

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Parse the head again without its Upgrade field, because with it llhttp would not read the body."""
        if self._stage is not HEAD:
            self._tunnel()
            return
        again = head.without_upgrade(self._parser.get_method(), self._target, self._version, self._headers)
        self._parser = httptools.HttpRequestParser(self)
        self._stage = IDLE
        self.data_received(again + rest)
