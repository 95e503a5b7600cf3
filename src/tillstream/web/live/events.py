"""Server-Sent Events as bytes. One encoding serves all viewers, identity or gzip."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""The header of a gzip stream (RFC 1952): deflate, no name, no time. Deflate blocks follow."""

LEVEL = 6


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `compressed` is the same text as deflate blocks, for a stream that began with `GZIP_HEADER`."""

    id: int
    plain: bytes
    compressed: bytes

    def encoded(self, *, gzip: bool) -> bytes:
        return self.compressed if gzip else self.plain


def event(number: int, name: str, data: bytes) -> Event:
    """An event with its id, its name and one line of data."""
    plain = b"id: %d\nevent: %s\ndata: %s\n\n" % (number, name.encode(), data)
    return Event(number, plain, deflated(plain))


def preamble(retry_ms: int, *, gzip: bool) -> bytes:
    """The beginning of a stream: the time after which a browser reconnects."""
    text = b"retry: %d\n\n" % retry_ms
    return GZIP_HEADER + deflated(text) if gzip else text


def deflated(text: bytes) -> bytes:
    """The text as deflate blocks (RFC 1951) that end on a whole byte, none of them the last of its stream.

    A fresh compressor refers to nothing before its own text, so the blocks fit into any stream. That is why
    many viewers can share them.
    """
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` allows gzip (RFC 9110, 12.5.3)."""
    weights = {}
    for part in accept_encoding.lower().replace(" ", "").split(","):
        coding, _, weight = part.partition(";q=")
        weights[coding] = weight or "1"
    return weights.get("gzip", weights.get("*", "0")).strip("0.") != ""
