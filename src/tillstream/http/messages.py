"""Requests and responses, the error responses of the server, and the check for cross-site requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from tillstream.http.memory import Reservation

JSON = b"content-type: application/json\r\n"
RETRY = b"retry-after: 1\r\n"

Headers = dict[bytes, bytes]
"""Header values by lower-case name. The values of a repeated field are joined (RFC 9110, section 5.3)."""


class Request(NamedTuple):
    """A request with its body. If `truncated` is True, the client stopped sending before the end of the body."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes
    version: str = "1.1"
    keep_alive: bool = True
    truncated: bool = False
    reservation: Reservation | None = None
    """The memory that is reserved for the body; None for a small body."""


class Response(NamedTuple):
    """A response with its whole body. `headers` contains complete lines. The server adds the length and the date."""

    status: int
    headers: bytes
    body: bytes
    close: bool = False
    """Whether the server closes the connection after the response."""


Reply = Callable[[Response], None]
"""A function that sends the response to a request."""


def error(status: int, message: str, hint: str, headers: bytes = b"", *, close: bool = False) -> Response:
    """Return a JSON response with one error. `hint` tells the client how to avoid the error."""
    body = msgspec.json.encode({"errors": [{"path": "$", "error": message, "hint": hint}]})
    return Response(status, JSON + headers, body, close)


def malformed(reason: str) -> Response:
    """Return the response to data that is not a valid HTTP/1.1 request."""
    return error(400, f"this is not an HTTP/1.1 request: {reason}", "see /docs", close=True)


def timeout(part: str, limit_s: float) -> Response:
    """Return the response to a request if its `part` (`headers` or `body`) took longer than `limit_s` to arrive."""
    return error(408, f"the {part} took longer than {limit_s * 1_000:.0f} ms", "send the request again", close=True)


def overloaded(reason: str) -> Response:
    """Return the response to a request that was not processed because a limit of the server was reached."""
    return error(503, reason, "nothing was stored; send the request again", RETRY, close=True)


def is_cross_site(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a page of another site made a browser send the request (cross-site request forgery).

    `headers` have lower-case names. Programs other than browsers send neither `Sec-Fetch-Site` nor `Origin`, so their
    requests are never cross-site.
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site.lower() not in (b"same-origin", b"none")
    origin = headers.get(b"origin")
    if origin is None:
        return False
    host = origin.partition(b"://")[2].lower()
    return not host or host != headers.get(b"host", b"").lower()
