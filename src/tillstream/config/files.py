"""Helpers for files: atomic replacement, JSON files with a version, and files that are watched for changes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

import msgspec
import structlog

from tillstream.clock import Clock
from tillstream.errors import OperationalError

CHECK_INTERVAL_US = 1_000_000
"""Minimum time between two checks of a watched file."""

Content = TypeVar("Content")
Versioned = TypeVar("Versioned", bound=msgspec.Struct)

Refuse = Callable[[Path, object, str], OperationalError]
"""A function that takes the path of an unusable file, the cause and a hint, and returns the error to raise."""

logger = structlog.get_logger()


def replace_file(path: Path, content: bytes, *, secret: bool = False) -> None:
    """Replace or create a file atomically and durably. After a crash, it has either the old or the new content.

    If `secret` is true:

    - A created file is readable only by its owner. If root creates it, it gets the owner of the directory.
    - A replaced file keeps its permissions for owner and group. If root replaces it, it keeps its owner.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(new, "xb", opener=partial(os.open, mode=0o600 if secret else 0o666)) as file:
        if secret:
            _keep_owner(file.fileno(), path)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(path.parent)


def _keep_owner(descriptor: int, path: Path) -> None:
    if path.exists():
        os.fchmod(descriptor, path.stat().st_mode & 0o660)
    if os.geteuid() == 0:
        # A service that runs as another user may have to read the file.
        owner = (path if path.exists() else path.parent).stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def sync_directory(path: Path) -> None:
    """Sync a directory to disk. New and renamed files in the directory then survive a crash."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Version(msgspec.Struct):
    version: int


def read_versioned(file: Path, kind: type[Versioned], newest: int, refuse: Refuse, remedy: str) -> Versioned | None:
    """Read a JSON file that has a field `version`. Return None if the file does not exist.

    If the file cannot be read, is damaged, or has a version above `newest`, raises the error that `refuse` returns.
    `remedy` is the hint for a damaged file.
    """
    try:
        text = file.read_bytes()
        version = msgspec.json.decode(text, type=_Version).version
        if version > newest:
            because = f"its version is {version}, and this tillstream reads versions up to {newest}"
            raise refuse(file, because, "install a newer tillstream")
        return msgspec.json.decode(text, type=kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refuse(file, error.strerror or error, "check its permissions") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refuse(file, error, remedy) from error


class WatchedFile(Generic[Content]):
    """A callable that returns the current content of a file. Thread-safe.

    A call checks the file at most once a second, and reads it only if it has changed. If reading fails, the error is
    logged once and the last content is kept.
    """

    def __init__(
        self,
        file: Path,
        clock: Clock,
        read: Callable[[Path], Content],
        content: Content,
        name: str,
        counts: Callable[[Content], Mapping[str, int]],
    ) -> None:
        """`content` is returned until the file is first read. Log events contain `name` and the result of `counts`."""
        self._file = file
        self._clock = clock
        self._read = read
        self._content = content
        self._name = name
        self._counts = counts
        self._checking = Lock()
        self._checked_us: int | None = None
        self._status: tuple[int, ...] = (errno.ENOENT,)

    def __call__(self) -> Content:
        return self.check() if self.due else self._content

    @property
    def latest(self) -> Content:
        """The last content, without a check of the file."""
        return self._content

    @property
    def due(self) -> bool:
        """Whether the next call checks the file."""
        return self._checked_us is None or abs(self._clock.now_us() - self._checked_us) >= CHECK_INTERVAL_US

    def check(self) -> Content:
        """Check the file now and return its content."""
        # While another thread is reading the file, return the last content without waiting.
        if self._checking.acquire(blocking=False):
            try:
                self._check()
            finally:
                self._checking.release()
        return self._content

    def _check(self) -> None:
        self._checked_us = self._clock.now_us()
        try:
            stat = self._file.stat()
            status: tuple[int, ...] = stat.st_mtime_ns, stat.st_size, stat.st_ino
        except OSError as error:
            status = (error.errno or 0,)
        if status == self._status:
            return
        # The status was read before the content. If the file changes in between, the next check reads it again.
        self._status = status
        try:
            self._content = self._read(self._file)
        except OperationalError as error:
            in_force = {f"{name}_in_force": count for name, count in self._counts(self._content).items()}
            logger.error(f"{self._name}.unreadable", error=str(error), **in_force)
        else:
            logger.info(f"{self._name}.read", file=str(self._file), **self._counts(self._content))
