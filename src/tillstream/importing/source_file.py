"""Selects the files to import, opens and decompresses a file, detects its format, and decodes it."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, cast

from tillstream import compression
from tillstream.errors import OperationalError
from tillstream.formats.base import HEAD_BYTES, Decoded, Decoder, Unreadable
from tillstream.formats.registry import Formats
from tillstream.receipt.model import Fault

STDIN = Path("-")
REPORT_SUFFIX = ".report.json"

_UNFINISHED_SUFFIXES = (".part", ".tmp", ".crdownload")
_COMPRESSED_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd")
_BUFFER_BYTES = 256 * 1024
_IDENTITY_BYTES = 64 * 1024


class CannotRead(OperationalError):
    """A file or a folder cannot be read."""


class UnknownFormat(OperationalError):
    """The format of a file cannot be detected from its content or name, for example because the file is empty."""


def is_ignored(name: str) -> bool:
    """Whether `name` belongs to a hidden file, an incomplete file, or a report. The import of a folder skips these."""
    return name.startswith(".") or name.lower().endswith((*_UNFINISHED_SUFFIXES, REPORT_SUFFIX))


def select(paths: Sequence[Path]) -> Iterator[Path]:
    """Return the files to import. A folder is replaced by all files in its tree, except ignored and hidden ones.

    The files of a folder are sorted by name.
    Raises `CannotRead` at once if a path does not exist. The iterator raises it later if a folder cannot be read.
    """
    for path in paths:
        if path != STDIN:
            try:
                path.stat()
            except OSError as error:
                raise CannotRead("read", path, error.strerror or error, "check the path") from error
    return (found for path in paths for found in (_walk(path) if path != STDIN and path.is_dir() else [path]))


def total_size(paths: Sequence[Path]) -> int | None:
    """Return the total size of the files in bytes, or None if a file is a pipe or was deleted."""
    with suppress(OSError):
        if all(path != STDIN and path.is_file() for path in paths):
            return sum(path.stat().st_size for path in paths)
    return None


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise CannotRead(
            "read", error.filename, error.strerror or error, "solve the problem and import it again"
        ) from error

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not is_ignored(name):
                yield Path(parent) / name


class SourceFile:
    """An open file with its decoder.

    `size` is the size in bytes, or None for a pipe. `identity` is a text that no other file has, and that
    changes when the file is written. It is empty for a pipe.
    """

    def __init__(self, name: str, file: io.FileIO, formats: Formats, decoder: Decoder | None) -> None:
        status = os.fstat(file.fileno())
        # Standard input may be a file whose start another program has already read. Such a file is handled like a
        # pipe, because its items cannot be counted from the start of the file.
        complete = stat.S_ISREG(status.st_mode) and file.tell() == 0
        self._file = file
        self.name = name
        self.size = status.st_size if complete else None
        self.identity = _identity(file, status) if complete else ""
        raw = _HeadReader(file)
        self._decompressed: compression.Decompressed | None = None
        if compressed := compression.kind(raw.head):
            self._decompressed = compression.Decompressed(raw, compressed)
            raw = _HeadReader(self._decompressed)
            if name.lower().endswith(_COMPRESSED_SUFFIXES):
                name = name.rpartition(".")[0]
        found = decoder or formats.of_file(name, raw.head)
        if found is None:
            raise _unknown_format(self.name, raw.head, formats)
        self.decoder = found
        self._stream = io.BufferedReader(raw, _BUFFER_BYTES)

    @property
    def position(self) -> int:
        """The number of bytes read so far, counted before decompression. It is 0 for a pipe."""
        return self._file.tell() if self._file.seekable() else 0

    def close(self) -> None:
        self._file.close()

    def items(self) -> Iterator[Decoded]:
        """Decode the content. If compressed data are damaged, the last item is an `Unreadable`. Raises `OSError`."""
        yield from self.decoder.decode(cast("BinaryIO", self._stream))
        if self._decompressed is not None and self._decompressed.damage:
            fault = Fault("$", self._decompressed.damage, "get the file again")
            yield Unreadable([fault], b"", "the end of the file")


def open_file(path: Path, formats: Formats, decoder: Decoder | None = None) -> SourceFile:
    """Open a file, or standard input for the path `-`. Without a decoder, the format is detected by content and name.

    Raises `CannotRead` and `UnknownFormat`.
    """
    name = display_name(path)
    try:
        # Do not use `sys.stdin`: its lock would prevent the program from exiting while a thread waits for input.
        file = io.FileIO(0, closefd=False) if path == STDIN else io.FileIO(path)
        try:
            return SourceFile(name, file, formats, decoder)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise CannotRead("read", name, error.strerror or error, "solve the problem and import it again") from error


def display_name(path: Path) -> str:
    """Return the name of a file for messages and reports."""
    return "standard input" if path == STDIN else printable(str(path))


def printable(name: str) -> str:
    """Return a file name as valid UTF-8. Each invalid byte is replaced by an escape such as `\\xe9`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class _HeadReader(io.RawIOBase):
    """A stream that reads its first `HEAD_BYTES` in advance. They are available as `head`."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self.head = b""
        while len(self.head) < HEAD_BYTES and (more := stream.read(HEAD_BYTES - len(self.head))):
            self.head += more
        self._unread = self.head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        if not self._unread:
            return cast("int | None", self._stream.readinto(buffer))
        size = min(len(buffer), len(self._unread))
        buffer[:size] = self._unread[:size]
        self._unread = self._unread[size:]
        return size


def _identity(file: io.FileIO, status: os.stat_result) -> str:
    digest = blake2b(os.pread(file.fileno(), _IDENTITY_BYTES, 0), digest_size=16).hexdigest()
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{digest}"


def _unknown_format(name: str, head: bytes, formats: Formats) -> UnknownFormat:
    if not head:
        return UnknownFormat("import", name, "it is empty")
    if head.startswith(b"PK\x03\x04"):
        return UnknownFormat("import", name, "it is a zip archive", "unpack it first")
    suffixes = ", ".join(dict.fromkeys(suffix for each in formats for suffix in each.suffixes))
    hint = f"name its format with --format, or rename it ({suffixes})"
    return UnknownFormat("import", name, "neither its content nor its name shows its format", hint)
