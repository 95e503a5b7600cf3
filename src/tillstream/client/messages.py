"""HTTP/1.1 messages of the bulk sender: encodes requests and parses responses."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from tillstream.errors import OperationalError, TillstreamError

ANSWER_LIMIT_BYTES = 16 * 1024 * 1024
NDJSON = "application/x-ndjson"


class BadAnswer(TillstreamError):
    """The bytes are not a response of an HTTP server with persistent connections."""


class Answer(NamedTuple):
    status: int
    retry_after_s: float | None
    body: bytes


class Target(NamedTuple):
    """The address of an ingest. `base` is the path in front of `/receipt`, usually empty."""

    host: str
    port: int
    tls: bool
    base: str

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def target(url: str) -> Target:
    """Parse an `http://` or `https://` address. Raises `OperationalError` for any other text."""
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise _no_address(url, error) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _no_address(url, "it is no http:// or https:// address")
    tls = parts.scheme == "https"
    return Target(parts.hostname, port or (443 if tls else 80), tls, parts.path.rstrip("/"))


def _no_address(url: str, because: object) -> OperationalError:
    return OperationalError("send receipts to", url, because, "give one such as http://127.0.0.1:3000")


def head(to: Target, path: str, media_type: str, simulated: bool, key: str = "") -> bytes:
    """The headers of a request, up to the value of `Content-Length`."""
    marked = "Tillstream-Source: simulated\r\n" if simulated else ""
    keyed = f"Authorization: Bearer {key}\r\n" if key else ""
    return (
        f"POST {to.base}{path} HTTP/1.1\r\nHost: {to.authority}\r\nContent-Type: {media_type}\r\n"
        f"{keyed}{marked}Content-Length: "
    ).encode()


def parse(data: bytes) -> Answer | None:
    """The response, or None if it is incomplete. Raises `BadAnswer`."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > ANSWER_LIMIT_BYTES:
            raise BadAnswer("its headers never end")
        return None
    if data[:7] != b"HTTP/1." or not data[9:12].isdigit():
        raise BadAnswer("it is not HTTP/1.1")
    fields = data[:end].lower()
    length = _field(fields, b"\r\ncontent-length:")
    if length is None or not length.isdigit() or int(length) > ANSWER_LIMIT_BYTES:
        raise BadAnswer("it has no usable Content-Length")
    stop = end + 4 + int(length)
    if len(data) < stop:
        return None
    status = int(data[9:12])
    return Answer(status, None if status == 202 else _seconds(fields), data[end + 4 : stop])


def _field(fields: bytes, name: bytes) -> bytes | None:
    at = fields.find(name)
    if at < 0:
        return None
    end = fields.find(b"\r\n", at + 2)
    return fields[at + len(name) : end if end >= 0 else len(fields)].strip()


def _seconds(fields: bytes) -> float | None:
    """The value of `Retry-After` in seconds. A date is ignored."""
    value = _field(fields, b"\r\nretry-after:")
    return float(value) if value is not None and value.isdigit() else None
