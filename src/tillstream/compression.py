"""Detection and decompression of gzip and zstd data, and compression with zstd."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

WINDOW_BYTES = 128 * 1024 * 1024
"""The default limit for the window of a zstd frame, which is memory for decompression.

`zstd --ultra` and a plain `zstd --long` do not exceed this limit.
"""

_GZIP_MAGIC = b"\x1f\x8b\x08"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# A skippable zstd frame begins with a byte from 0x50 to 0x5f, followed by these three bytes.
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"

_CHUNK_BYTES = 256 * 1024


def kind(head: bytes) -> str:
    """Detect the compression of data by its first bytes. Returns `gzip`, `zstd`, or an empty string."""
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    if head.startswith(_ZSTD_MAGIC) or (head[1:4] == _ZSTD_SKIPPABLE and head[0] & 0xF0 == 0x50):
        return "zstd"
    return ""


def most_members(data: bytes) -> int:
    """Return an upper bound for the number of gzip members and zstd frames in the data.

    Each member or frame starts with a magic number. The bound is the number of magic numbers. Some of them may be in
    the data by chance.
    """
    return sum(map(data.count, (_GZIP_MAGIC, _ZSTD_MAGIC, _ZSTD_SKIPPABLE)))


def zstd_compressor() -> Callable[[bytes], bytes]:
    """Return a function that compresses each byte string into a separate zstd frame, at the fastest level."""
    return partial(zstd.ZstdCompressor(level=1).compress, mode=zstd.ZstdCompressor.FLUSH_FRAME)


def unzstd(frame: bytes, limit_bytes: int) -> bytes:
    """Decompress one zstd frame. Raises `ValueError` if the frame is damaged or the content exceeds `limit_bytes`."""
    decompressor = zstd.ZstdDecompressor()
    try:
        data = decompressor.decompress(frame, limit_bytes)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
    if not decompressor.eof:
        raise ValueError(f"the zstd frame is incomplete or holds more than {limit_bytes} bytes")
    return data


class Decompressed(io.RawIOBase):
    """The decompressed content of a compressed stream. That stream may contain several gzip members or zstd frames.

    `name` is the compression, `gzip` or `zstd`. A damaged stream raises no error. Instead, the content ends at the
    damage, and `damage` then describes the problem. A zstd frame with a window of more than `window_bytes` counts as
    damaged.
    """

    def __init__(self, stream: io.RawIOBase | BinaryIO, name: str, window_bytes: int = WINDOW_BYTES) -> None:
        source = cast("BinaryIO", stream)
        options = {int(zstd.DecompressionParameter.window_log_max): window_bytes.bit_length() - 1}
        self._file = gzip.GzipFile(fileobj=source) if name == "gzip" else zstd.ZstdFile(source, options=options)
        self._name = name
        self.damage = ""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = b""
        if not self.damage:
            try:
                data = self._file.read1(min(len(buffer), _CHUNK_BYTES))
            except EOFError:
                self.damage = f"the {self._name} data end too early"
            except (gzip.BadGzipFile, zlib.error, zstd.ZstdError) as error:
                self.damage = f"the {self._name} data are broken: {error}"
        buffer[: len(data)] = data
        return len(data)
