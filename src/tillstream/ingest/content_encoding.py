"""Decompresses request bodies that have a `Content-Encoding` header. Damaged bodies are rejected."""

from __future__ import annotations

import io

from tillstream import compression
from tillstream.receipt.model import Fault
from tillstream.receipt.validation import ReceiptError

ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
"""The compression for each accepted value of `Content-Encoding`."""

MEMBERS_LIMIT = 10_000
"""The maximum number of gzip members or zstd frames in a body. Decompression takes time even for an empty member."""

# The largest zstd window that HTTP allows (RFC 9659). The window is memory for decompression. Even a small body can
# demand a large window, so a body with a larger window than this is rejected.
_WINDOW_BYTES = 8 * 1024 * 1024


def unreadable(error: str) -> ReceiptError:
    """Return the error for a body that is truncated or cannot be decompressed."""
    return ReceiptError([Fault("$", error, "send it again")], parseable=False)


def decompress(encoding: str, body: bytes, limit_bytes: int) -> bytes | None:
    """Decompress a body. `encoding` is a key of `ENCODINGS`.

    Returns None if the result is longer than `limit_bytes`. Raises `ReceiptError` if the body is damaged. A body may
    have several gzip members (RFC 1952, section 2.2) or zstd frames (RFC 8878, section 3.1).
    """
    name = ENCODINGS[encoding]
    if not body:
        return body
    if compression.kind(body) != name:
        raise unreadable(f"the body is not {name}")
    if compression.most_members(body) > MEMBERS_LIMIT:
        raise unreadable(f"the {name} data have too many members")
    stream = compression.Decompressed(io.BytesIO(body), name, _WINDOW_BYTES)
    content = io.BufferedReader(stream).read(limit_bytes + 1)
    if len(content) > limit_bytes:
        return None
    if stream.damage:
        raise unreadable(stream.damage)
    return content
