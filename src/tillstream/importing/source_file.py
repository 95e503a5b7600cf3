"""A file that is to be imported: opened, its compression undone, its format found, known again by its identity."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, cast

from tillstream import compression
from tillstream.errors import OperationalError
from tillstream.formats.base import HEAD_BYTES, Decoded, Decoder, Unreadable
from tillstream.formats.registry import Formats
from tillstream.receipt.model import Fault

STDIN = Path("-")

_BUFFER_BYTES = 256 * 1024
_KNOWN_BY_BYTES = 64 * 1024
_COMPRESSED_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd")


class CannotRead(OperationalError):
    """The file, its disk or its folder cannot be used now."""


class UnknownFormat(OperationalError):
    """Neither the file's content nor its name says what it is."""


class SourceFile:
    """A file ready to be decoded. `size` is in bytes, and None where it has no end that is known.

    `identity` tells it from every other file, and from itself with other content; empty for a pipe.
    """

    def __init__(self, name: str, file: io.FileIO, formats: Formats, wanted: Decoder | None) -> None:
        status = os.fstat(file.fileno())
        # What is left of a file behind what another program read of it is not that file.
        regular = stat.S_ISREG(status.st_mode) and file.tell() == 0
        self._file = file
        self.name = name
        self.size = status.st_size if regular else None
        self.identity = _identity(file, status) if regular else ""
        self._counted = _Counted(file)
        head = _head(self._counted, HEAD_BYTES)
        self._raw: io.RawIOBase = _Again(head, self._counted)
        self._plain: compression.Decompressed | None = None
        if compressed := compression.kind(head):
            self._plain = compression.Decompressed(self._raw, compressed)
            head = _head(self._plain, HEAD_BYTES)
            self._raw = _Again(head, self._plain)
            name = _without_compression(name)
        decoder = wanted or formats.of_file(name, head)
        if decoder is None:
            raise _unknown(self.name, head, formats)
        self.decoder = decoder
        self._stream = io.BufferedReader(self._raw, _BUFFER_BYTES)

    @property
    def position(self) -> int:
        """Bytes of the file that were read."""
        return self._counted.count

    def close(self) -> None:
        self._file.close()

    def items(self) -> Iterator[Decoded]:
        """Everything in it. Raises `OSError` where it cannot be read on."""
        yield from self.decoder.decode(cast("BinaryIO", self._stream))
        if self._plain is not None and self._plain.trouble:
            yield Unreadable([Fault("$", self._plain.trouble, "get the file anew")], b"", "the end of the file")


def open_file(path: Path, formats: Formats, wanted: Decoder | None = None) -> SourceFile:
    """The file, or standard input for `-`, in the wanted format or in the one that it seems to have.

    Raises `CannotRead` and `UnknownFormat`.
    """
    name = shown(path)
    try:
        # The end of the program doesn't wait for a reader of its own of standard input.
        file = io.FileIO(0, closefd=False) if path == STDIN else io.FileIO(path)
        try:
            return SourceFile(name, file, formats, wanted)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise CannotRead("read", name, error.strerror or error, "mend that, and import it again") from error


class _Counted(io.RawIOBase):
    """Counts the bytes that were read."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        size = self._file.readinto(buffer)
        self.count += size or 0
        return size


class _Again(io.RawIOBase):
    """The head that was looked at, then the rest."""

    def __init__(self, head: bytes, rest: io.RawIOBase) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        if not self._head:
            return cast("int | None", self._rest.readinto(buffer))
        size = min(len(buffer), len(self._head))
        buffer[:size] = self._head[:size]
        self._head = self._head[size:]
        return size


def _head(raw: io.RawIOBase, size: int) -> bytes:
    head = b""
    while len(head) < size and (more := raw.read(size - len(head))):
        head += more
    return head


def _identity(file: io.FileIO, status: os.stat_result) -> str:
    beginning = blake2b(os.pread(file.fileno(), _KNOWN_BY_BYTES, 0), digest_size=16).hexdigest()
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{beginning}"


def shown(path: Path) -> str:
    """What a file is called for people and in reports."""
    return "standard input" if path == STDIN else readable(str(path))


def readable(name: str) -> str:
    """A file's name in UTF-8, of which it may have none: other bytes as `\\xe9`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _without_compression(name: str) -> str:
    lower = name.lower()
    return next((name[: -len(suffix)] for suffix in _COMPRESSED_SUFFIXES if lower.endswith(suffix)), name)


def _unknown(name: str, head: bytes, formats: Formats) -> UnknownFormat:
    if not head:
        return UnknownFormat("import", name, "it is empty")
    if head.startswith(b"PK\x03\x04"):
        return UnknownFormat("import", name, "it is a zip archive", "unpack it first")
    suffixes = ", ".join(dict.fromkeys(suffix for each in formats for suffix in each.suffixes))
    hint = f"name its format with --format, or rename it ({suffixes})"
    return UnknownFormat("import", name, "neither its content nor its name tells of what format it is", hint)
