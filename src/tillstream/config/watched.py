"""A file that another process may replace: checked at intervals and read again after a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

import structlog

from tillstream.clock import Clock
from tillstream.errors import OperationalError

CHECK_INTERVAL_US = 1_000_000
"""Minimum interval between two checks of the file."""

Content = TypeVar("Content")

logger = structlog.get_logger()


class Watched(Generic[Content]):
    """A callable that returns the current content of a file. Thread-safe.

    It checks the file at most once a second and reads it after a change. If the file cannot be read,
    it logs that once and keeps the last content.
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
        """`content` is valid until the first check; `name` and `counts` describe the content in log events."""
        self._file = file
        self._clock = clock
        self._read = read
        self._content = content
        self._name = name
        self._counts = counts
        self._checking = Lock()
        self._checked_us: int | None = None
        self._seen: tuple[int, ...] = ()

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
        # A caller does not wait for another thread that is reading; it gets the last content.
        if self._checking.acquire(blocking=False):
            try:
                self._check()
            finally:
                self._checking.release()
        return self._content

    def _check(self) -> None:
        self._checked_us = self._clock.now_us()
        try:
            status = self._file.stat()
            seen: tuple[int, ...] = status.st_mtime_ns, status.st_size, status.st_ino
        except FileNotFoundError:
            seen = ()
        except OSError as error:
            seen = (error.errno or 0,)
        if seen == self._seen:
            return
        # Because the stat comes first, a replacement between stat and read is noticed at the next check.
        self._seen = seen
        try:
            self._content = self._read(self._file)
        except OperationalError as error:
            in_force = {f"{what}_in_force": count for what, count in self._counts(self._content).items()}
            logger.error(f"{self._name}.unreadable", error=str(error), **in_force)
        else:
            logger.info(f"{self._name}.read", file=str(self._file), **self._counts(self._content))
