"""An update of the live feed as bytes that are made once and fit into every viewer's stream, plain or gzip."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Begins a gzip stream (RFC 1952): deflate, no name, no time. Deflate blocks follow."""

LEVEL = 6


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `packed` is the same text as deflate blocks, for a stream that began with `GZIP_HEAD`."""

    id: int
    plain: bytes
    packed: bytes

    def bytes_for(self, *, packed: bool) -> bytes:
        return self.packed if packed else self.plain


def event(number: int, name: str, data: bytes) -> Event:
    """An event with its id, its name and one line of data."""
    plain = b"id: %d\nevent: %s\ndata: %s\n\n" % (number, name.encode(), data)
    return Event(number, plain, deflated(plain))


def greeting(retry_ms: int, *, packed: bool) -> bytes:
    """What a stream begins with: how soon a browser connects again once it is cut off."""
    text = b"retry: %d\n\n" % retry_ms
    return GZIP_HEAD + deflated(text) if packed else text


def deflated(text: bytes) -> bytes:
    """The text as deflate blocks (RFC 1951) that end on a whole byte, none of them the last of its stream.

    A new compressor refers to nothing before its own text, so any stream may go on with its blocks: that is
    what lets many viewers, each with a stream of its own, share them.
    """
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` allows gzip (RFC 9110, 12.5.3)."""
    weights = {}
    for part in accept_encoding.lower().replace(" ", "").split(","):
        coding, _, weight = part.partition(";q=")
        weights[coding] = weight or "1"
    return weights.get("gzip", weights.get("*", "0")).strip("0.") != ""
