"""Requests and responses, and the interface between the protocol and an application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from tillstream.http.memory import Reservation

JSON = b"content-type: application/json\r\n"
RETRY = b"retry-after: 1\r\n"

Headers = dict[bytes, bytes]
"""Values by lower-case name. The values of a repeated field are joined as RFC 9110, section 5.3, says."""


class Request(NamedTuple):
    """A whole request. If the body broke off, `truncated` is set and `body` is what arrived."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes
    version: str = "1.1"
    keep_alive: bool = True
    truncated: bool = False
    reservation: Reservation | None = None
    """The body's part of the memory budget; None for a small body, which is not counted."""


class Response(NamedTuple):
    """A whole response. `headers` are complete lines without length and date, which the protocol adds."""

    status: int
    headers: bytes
    body: bytes
    close: bool = False
    """Whether the connection closes after the response."""


Reply = Callable[[Response], None]


class Exchange(Protocol):
    """One request's way back to the client: `respond` with a whole response, or `start`, `write`, `finish`."""

    client: tuple[str, int] | None
    """The client's address and port."""

    def respond(self, response: Response) -> None:
        """Send a whole response."""

    def start(self, status: int, headers: bytes, *, chunked: bool = False, close: bool = False) -> None:
        """Begin a response whose headers carry its length, or that is sent in chunks, or that closing ends."""

    def write(self, part: bytes) -> None:
        """Send a part of the body."""

    def finish(self) -> None:
        """End the response that `start` began."""

    def writable(self) -> asyncio.Future[None] | None:
        """A future that is done once the client reads again; None if nothing has to wait."""

    def disconnected(self) -> asyncio.Future[None]:
        """A future that is done once the client is gone."""

    def abort(self) -> None:
        """Cut the connection off."""


class Application(Protocol):
    """Answers requests, on the event loop."""

    answers_half_closed: bool
    """Whether a client that ended its side of the connection still gets responses; otherwise it counts as gone."""

    def handle(self, request: Request, exchange: Exchange) -> None:
        """Answer a request through its exchange, at once or later. The application releases the reservation."""

    def reject(self, headers: Headers) -> Response | None:
        """Rejection for clients that may not send a large body; None to read it. Called before the body arrives."""


def error(status: int, message: str, hint: str, headers: bytes = b"", *, close: bool = False) -> Response:
    """A response that says what is wrong and what to do, in the JSON form of every error of both ports."""
    body = msgspec.json.encode({"errors": [{"path": "$", "error": message, "hint": hint}]})
    return Response(status, JSON + headers, body, close)


def malformed(reason: str) -> Response:
    """The data are not an HTTP/1.1 request."""
    return error(400, f"not a request of HTTP/1.1: {reason}", "see /docs", close=True)


def unsupported_version(version: str) -> Response:
    return error(505, f"HTTP/{version} is not supported", "use HTTP/1.1", close=True)


def unsupported_transfer_encoding(name: str) -> Response:
    return error(501, f"the transfer encoding {name} is not supported", "use chunked, or Content-Length", close=True)


def head_timeout(limit_s: float) -> Response:
    return error(408, f"the headers took longer than {limit_s * 1_000:.0f} ms", "send it again", close=True)


def body_timeout(limit_s: float) -> Response:
    return error(408, f"the body took longer than {limit_s * 1_000:.0f} ms", "send it again", close=True)


def head_too_large(limit_bytes: int) -> Response:
    return error(431, f"the headers have more than {limit_bytes} bytes", "send fewer", close=True)


def body_too_large(limit_bytes: int) -> Response:
    return error(413, f"the body has more than {limit_bytes} bytes", "send less at a time", close=True)


def too_many_connections() -> Response:
    return error(503, "too many connections are open", "keep fewer, and keep them alive", RETRY, close=True)


def overloaded(reason: str) -> Response:
    """The server cannot take the request now. Nothing of it was processed."""
    return error(503, reason, "nothing was stored; send it again", RETRY, close=True)
