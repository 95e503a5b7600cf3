"""Content encodings, undone under limits: a small body can hold a very large one."""

from __future__ import annotations

import io
from typing import cast

from tillstream import compression
from tillstream.errors import TillstreamError

ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
"""The kinds of compression by the names in `Content-Encoding`."""

MEMBERS_LIMIT = 10_000
"""Members, or frames, of one body."""

# RFC 9659: no more over HTTP.
_WINDOW_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 256 * 1024


class TooLarge(TillstreamError):
    """What the body holds is over the limit."""


class BrokenEncoding(TillstreamError):
    """The body is not what its `Content-Encoding` says."""


def undo(encoding: str, payload: bytes, limit_bytes: int) -> bytes:
    """The payload without its encoding, a name of `ENCODINGS`. Raises `TooLarge` and `BrokenEncoding`.

    It holds every member of the payload, one after the other (RFC 1952, section 2.2; RFC 8878, section 3.1).
    """
    name = ENCODINGS[encoding]
    if payload and compression.kind(payload) != name:
        raise BrokenEncoding(f"the body is not {name}")
    raw = cast("io.RawIOBase", io.BytesIO(payload))
    plain = compression.Plain(raw, name, _WINDOW_BYTES, MEMBERS_LIMIT)
    parts, size = [], 0
    while part := plain.read(min(_PIECE_BYTES, limit_bytes + 1)):
        parts.append(part)
        size += len(part)
        if size > limit_bytes:
            raise TooLarge
    if plain.trouble:
        raise BrokenEncoding(plain.trouble)
    return b"".join(parts)
