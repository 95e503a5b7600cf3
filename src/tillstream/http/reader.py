"""The receiving half of a connection: parses requests with llhttp, checks their heads and enforces the limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httptools
import structlog

from tillstream.http import messages
from tillstream.http.memory import Reservation
from tillstream.http.messages import Headers, Request, Response

if TYPE_CHECKING:
    from tillstream.http.server import Connections

REPEAT_LIMIT = 100
"""The maximum number of repeated header fields in a request. Joining more values would take too long."""

# If the Content-Length of a body has at most this number of digits (up to 99,999 bytes), no memory is reserved for the
# body. The number of connections is limited, which also limits the total size of these bodies.
_UNRESERVED_DIGITS = 5

# A host as in RFC 3986, section 3.2, but without commas: a comma means that the values of two Host fields were joined.
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(?::[0-9]*)?")

# What a connection is receiving: nothing yet, a head, a body, or nothing any more. An enum would be slower.
IDLE, HEAD, BODY, CLOSING = range(4)

_logger = structlog.get_logger()


class RequestReader:
    """Parses the bytes from one client. A subclass implements the methods that raise `NotImplementedError`."""

    def __init__(self, connections: Connections) -> None:
        self.deadline = connections.now + connections.header_timeout_s
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._stage = IDLE
        self._target = b""
        self._headers: Headers = {}
        self._keep_alive, self._version = True, ""
        # The last valid Host value. If the next request has the same value, it is not checked again.
        self._host: bytes | None = b""
        self._body: bytes | list[bytes] = b""
        self._reservation: Reservation | None = None
        self._read_bytes = self._head_bytes = self._repeats = 0
        # `_framing_seen`: the last data contained a chunk size or the end of a request.
        # `_in_trailers`: trailers (header fields after a chunked body) may follow.
        # `_paused`: the connection reads no data.
        self._framing_seen = self._in_trailers = self._paused = False

    def _read(self, request: Request) -> None:
        """Respond to a request or put it in the queue."""
        raise NotImplementedError

    def _reject(self, response: Response) -> None:
        """Stop reading from this client, and send the response after all earlier responses."""
        raise NotImplementedError

    def _continue(self) -> None:
        """The client waits for permission to send the body. Send 100 (Continue), or reject the request."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close the connection immediately and drop unsent data."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Parse the next bytes from the client."""
        if self._stage == CLOSING:
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
        if self._stage == HEAD or (self._in_trailers and self._stage == BODY):
            # If this data also contains a chunk size or the end of a request, only a part of it belongs to the head or
            # the trailers. The length of this part is unknown, so none of the data is counted.
            self._head_bytes += 0 if self._framing_seen else len(data)
            if self._head_bytes > self._connections.header_limit_bytes:
                self._reject_head()

    def _restart_deadline(self) -> None:
        """Restart the time limit for the head or body that is being received."""
        connections = self._connections
        limit_s = connections.body_timeout_s if self._stage == BODY else connections.header_timeout_s
        self.deadline = connections.now + limit_s

    # -- callbacks of llhttp

    def on_message_begin(self) -> None:
        if self._stage == IDLE:
            self._stage = HEAD
            self._target, self._headers, self._body, self._head_bytes, self._repeats = b"", {}, b"", 0, 0
            if not self._paused:
                self.deadline = self._connections.now + self._connections.header_timeout_s

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are dropped. They must not be merged into the headers (RFC 9110, section 6.5.1).
        if self._in_trailers:
            return
        name, headers = name.lower(), self._headers
        if name in headers:
            self._repeats += 1
            if self._repeats > REPEAT_LIMIT:
                problem = f"more than {REPEAT_LIMIT} header fields are repeated"
                self._reject(messages.error(431, problem, "send fewer header fields", close=True))
                return
            value = headers[name] + (b"; " if name == b"cookie" else b", ") + value
        headers[name] = value

    def on_headers_complete(self) -> None:
        if self._stage != HEAD:
            return
        headers, connections, parser = self._headers, self._connections, self._parser
        # Reading the version from the parser is slow. If a request has no Connection field but keeps the connection
        # open, its version must be 1.1. In all other cases, read the version.
        self._keep_alive, self._version = parser.should_keep_alive(), "1.1"
        if not self._keep_alive or b"connection" in headers:
            self._version = parser.get_http_version()
        host = headers.get(b"host")
        if host != self._host or self._version != "1.1" or b"transfer-encoding" in headers:
            problem = _check_head(self._version, headers)
            if problem is not None:
                self._reject(problem)
                return
            self._host = host
        if self._read_bytes > connections.header_limit_bytes < _size_bytes(self._target, headers):
            self._reject_head()
            return
        if b"upgrade" in headers and parser.should_upgrade():
            return
        self._stage = BODY
        if not self._paused:
            self.deadline = connections.now + connections.body_timeout_s
        length = headers.get(b"content-length")
        if length is not None and len(length) > _UNRESERVED_DIGITS:
            self._expect(int(length))
        if b"expect" in headers and self._stage == BODY and self._version == "1.1":
            self._continue()

    def on_body(self, part: bytes) -> None:
        if self._stage != BODY:
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
        # Either data or trailers follow. `on_body` resets `_in_trailers` if data follow.
        if self._stage == BODY:
            self._in_trailers = self._framing_seen = True

    def on_message_complete(self) -> None:
        if self._stage == BODY:
            self._complete(truncated=False)

    # -- the body and the end of a request

    def _expect(self, size: int) -> None:
        """Reserve memory for `size` more bytes of the body, or reject the request."""
        rejection, reservation = None, self._reservation
        if reservation is None:
            rejection = self._connections.app.reject(self._headers)
            reservation = self._reservation = Reservation(self._connections.budget)
        limit_bytes = self._connections.body_limit_bytes
        if rejection is not None:
            self._reject(rejection)
        elif reservation.size_bytes + size > limit_bytes:
            problem = f"the body has more than {limit_bytes} bytes"
            self._reject(messages.error(413, problem, "send a smaller body", close=True))
        elif not reservation.grow(size):
            self._reject(messages.overloaded("the server is receiving too much data"))

    def _reject_head(self) -> None:
        problem = f"the headers have more than {self._connections.header_limit_bytes} bytes"
        self._reject(messages.error(431, problem, "send shorter headers", close=True))

    def _drop_body(self) -> None:
        self._body = b""
        if self._reservation is not None:
            self._reservation.release()
            self._reservation = None

    def _complete(self, *, truncated: bool) -> None:
        """Call `_read` with the request. `truncated` is true if the body is incomplete."""
        self._framing_seen, self._in_trailers = True, False
        body, reservation = self._body, self._reservation
        self._body, self._reservation = b"", None
        self._stage = IDLE
        method = self._parser.get_method()
        self._read(
            Request(
                method,
                self._target,
                self._headers,
                body if isinstance(body, bytes) else b"".join(body),
                self._version,
                self._keep_alive and not truncated and method != b"CONNECT",
                truncated,
                reservation,
            )
        )

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Parse the head again without the Upgrade field, and then parse the `rest` of the data.

        If a head has this field, llhttp does not parse the body. A server may ignore the field (RFC 9110, section 7.8).
        """
        if self._stage != HEAD:
            # The data after a CONNECT request is not HTTP, so it is ignored.
            return
        line = b"%b %b HTTP/%b\r\n" % (self._parser.get_method(), self._target, self._version.encode())
        fields = b"".join(b"%b: %b\r\n" % field for field in self._headers.items() if field[0] != b"upgrade")
        self._parser = httptools.HttpRequestParser(self)
        self._stage = IDLE
        self.data_received(line + fields + b"\r\n" + rest)


def _check_head(version: str, headers: Headers) -> Response | None:
    """Check the rules of RFC 9112 that llhttp does not check.

    If the head is invalid, return the rejection. If it is valid, return None.
    """
    if version not in ("1.1", "1.0"):
        return messages.error(505, f"HTTP/{version} is not supported", "use HTTP/1.1", close=True)
    host = headers.get(b"host")
    if host is None and version == "1.1":
        return messages.malformed("the Host field is missing")
    if host is not None and not _HOST.fullmatch(host):
        return messages.malformed("the Host field is repeated or invalid")
    encoding = headers.get(b"transfer-encoding")
    if encoding is None:
        return None
    if version == "1.0":
        return messages.malformed("HTTP/1.0 has no Transfer-Encoding")
    if encoding.lower().rpartition(b",")[2].strip() != b"chunked":
        return messages.malformed("the last transfer encoding is not chunked")
    if b"," in encoding:
        problem = f"the transfer encoding {encoding.decode('latin-1')} is not supported"
        return messages.error(501, problem, "use chunked, or Content-Length", close=True)
    return None


def _size_bytes(target: bytes, headers: Headers) -> int:
    """Return the approximate number of bytes in a head."""
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers.items())
