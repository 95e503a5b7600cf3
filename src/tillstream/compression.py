"""Detects gzip and zstd data by their first bytes and decompresses streams in constant memory."""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable
from functools import partial
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_CHUNK_BYTES = 16 * 1024
_OUT_BYTES = 256 * 1024
_GZIP_WINDOW = 31

# The largest window that `zstd --ultra` and `--long` write.
WINDOW_BYTES = 128 * 1024 * 1024

_GZIP_MAGIC = b"\x1f\x8b\x08"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
_MAGIC_BYTES = 4


class _Member(Protocol):
    """One gzip member or zstd frame."""

    @property
    def needs_input(self) -> bool:
        """Whether `feed` needs more data; if not, call it with empty data for more output."""

    def feed(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Return a bounded part of the output, the unused data, and whether the member has ended."""


class _Gzip:
    needs_input = True

    def __init__(self, _window_bytes: int) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)

    def feed(self, data: bytes) -> tuple[bytes, bytes, bool]:
        member = self._member
        out = member.decompress(data, _OUT_BYTES)
        return out, member.unused_data if member.eof else member.unconsumed_tail, member.eof


class _Zstd:
    def __init__(self, window_bytes: int) -> None:
        window_log = window_bytes.bit_length() - 1
        self._frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window_log})

    @property
    def needs_input(self) -> bool:
        return self._frame.needs_input

    def feed(self, data: bytes) -> tuple[bytes, bytes, bool]:
        out = self._frame.decompress(data, _OUT_BYTES)
        return out, self._frame.unused_data, self._frame.eof


def zstd_compressor() -> Callable[[bytes], bytes]:
    """Return a function that compresses each byte string into a zstd frame of its own, at the fastest level."""
    return partial(zstd.ZstdCompressor(level=1).compress, mode=zstd.ZstdCompressor.FLUSH_FRAME)


def unzstd(frame: bytes, limit_bytes: int) -> bytes:
    """Decompress one zstd frame of at most `limit_bytes`. Raises `ValueError`."""
    decompressor = zstd.ZstdDecompressor()
    try:
        data = decompressor.decompress(frame, limit_bytes)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
    if not decompressor.eof:
        raise ValueError(f"the zstd frame is incomplete or holds more than {limit_bytes} bytes")
    return data


_KINDS: dict[str, Callable[[int], _Member]] = {"gzip": _Gzip, "zstd": _Zstd}


def kind(head: bytes) -> str:
    """The compression that data with this head have: `gzip`, `zstd`, or an empty string for neither."""
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    if head.startswith(_ZSTD_MAGIC) or (head[1:4] == _ZSTD_SKIPPABLE and head[0] & 0xF0 == 0x50):
        return "zstd"
    return ""


class Decompressed(io.RawIOBase):
    """The decompressed content of a stream: all its gzip members or zstd frames in order.

    The content ends where the compressed data are broken, and `trouble` gives the reason. `window_bytes` bounds a zstd
    window. `members_limit` bounds the number of members (None: unlimited), because even an empty one costs time.
    """

    def __init__(
        self, raw: io.RawIOBase, name: str, window_bytes: int = WINDOW_BYTES, members_limit: int | None = None
    ) -> None:
        self._raw = raw
        self._name = name
        self._window_bytes = window_bytes
        self._members_left = -1 if members_limit is None else members_limit
        self._data = b""
        self._ready = memoryview(b"")
        self._member: _Member | None = None
        self._over = False
        self.trouble = ""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready and not self._over:
            self._ready = memoryview(self._more())
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _more(self) -> bytes:
        if self._member is None and not self._begin():
            self._over = True
            return b""
        assert self._member is not None
        hungry = self._member.needs_input
        data = (self._data or self._raw.read(_CHUNK_BYTES) or b"") if hungry else b""
        try:
            out, self._data, ended = self._member.feed(data)
        except (zlib.error, zstd.ZstdError) as error:
            return self._stop(f"the {self._name} data are broken: {error}")
        if ended:
            self._member = None
        elif hungry and not data and not out:
            return self._stop(f"the {self._name} data end too early")
        return out

    def _begin(self) -> bool:
        """Start the next member; False at the end of the data."""
        while len(self._data) < _MAGIC_BYTES and (more := self._raw.read(_CHUNK_BYTES)):
            # Tapes and some tools pad a file with zeros.
            self._data = (self._data + more).lstrip(b"\0")
        self._data = self._data.lstrip(b"\0")
        if not self._data:
            return False
        if kind(self._data) != self._name:
            self._stop(f"unknown data follow the {self._name} data")
            return False
        if not self._members_left:
            self._stop(f"the {self._name} data have too many members")
            return False
        self._members_left -= 1
        self._member = _KINDS[self._name](self._window_bytes)
        return True

    def _stop(self, trouble: str) -> bytes:
        self.trouble = trouble
        self._over = True
        return b""
