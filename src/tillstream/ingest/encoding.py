"""Content encodings, undone under a limit: a small body can hold a very large one."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable

import zstandard

from tillstream.errors import TillstreamError

_GZIP_WINDOW = 31
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024


class TooLarge(TillstreamError):
    """What the body holds is over the limit."""


class BrokenEncoding(TillstreamError):
    """The body is not what its `Content-Encoding` says."""


def _gunzip(payload: bytes, limit_bytes: int) -> bytes:
    """Every member of the payload, one after the other (RFC 1952, section 2.2)."""
    parts = []
    size = 0
    while payload:
        member = zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = member.decompress(payload, limit_bytes - size + 1)
        except zlib.error as error:
            raise BrokenEncoding(f"not gzip: {error}") from error
        size += len(part)
        if size > limit_bytes:
            raise TooLarge
        if not member.eof:
            raise BrokenEncoding("the gzip data break off")
        parts.append(part)
        payload = member.unused_data
    return b"".join(parts)


def _unzstd(payload: bytes, limit_bytes: int) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).stream_reader(
        io.BytesIO(payload), read_across_frames=True
    )
    try:
        plain = reader.read(limit_bytes + 1)
    except zstandard.ZstdError as error:
        raise BrokenEncoding(f"not zstd: {error}") from error
    if len(plain) > limit_bytes:
        raise TooLarge
    if payload and not plain:
        raise BrokenEncoding("the zstd data break off")
    return plain


ENCODINGS: dict[str, Callable[[bytes, int], bytes]] = {"gzip": _gunzip, "x-gzip": _gunzip, "zstd": _unzstd}
"""By the name in `Content-Encoding`."""


def undo(encoding: str, payload: bytes, limit_bytes: int) -> bytes:
    """The payload without its encoding, a name of `ENCODINGS`. Raises `TooLarge` and `BrokenEncoding`."""
    return ENCODINGS[encoding](payload, limit_bytes)
