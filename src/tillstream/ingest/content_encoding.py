"""Decompression of request bodies by their `Content-Encoding`. A small body can hold a very large one, so it has limits."""

from __future__ import annotations

import io
from typing import cast

from tillstream import compression
from tillstream.errors import TillstreamError

ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
"""The compression that each name in `Content-Encoding` stands for."""

MEMBERS_LIMIT = 10_000
"""Most gzip members or zstd frames of a body."""

# RFC 9659 allows no larger window over HTTP.
_WINDOW_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024


class TooLarge(TillstreamError):
    """The decompressed body exceeds the limit."""


class BrokenEncoding(TillstreamError):
    """The body does not match its `Content-Encoding`."""


def decompress(encoding: str, payload: bytes, limit_bytes: int) -> bytes:
    """The decompressed payload; `encoding` is a name of `ENCODINGS`. Raises `TooLarge` and `BrokenEncoding`.

    A payload may have several members (RFC 1952, section 2.2; RFC 8878, section 3.1). All are decompressed.
    """
    name = ENCODINGS[encoding]
    if payload and compression.kind(payload) != name:
        raise BrokenEncoding(f"the body is not {name}")
    raw = cast("io.RawIOBase", io.BytesIO(payload))
    stream = compression.Decompressed(raw, name, _WINDOW_BYTES, MEMBERS_LIMIT)
    chunks, size = [], 0
    while chunk := stream.read(min(_CHUNK_BYTES, limit_bytes + 1)):
        chunks.append(chunk)
        size += len(chunk)
        if size > limit_bytes:
            raise TooLarge
    if stream.trouble:
        raise BrokenEncoding(stream.trouble)
    return b"".join(chunks)
