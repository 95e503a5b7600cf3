"""A file that others replace while it is in use: looked at now and then, and read anew when it has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

import structlog

from tillstream.clock import Clock
from tillstream.errors import OperationalError

LOOK_AGAIN_US = 1_000_000
"""For how long a look at the file holds."""

Content = TypeVar("Content")

logger = structlog.get_logger()


class Watched(Generic[Content]):
    """Called, it gives what the file holds now. Safe from any thread.

    The file is looked at once a second at most, and read when it has changed. One that cannot be
    read is reported once, and what was read last stays in force.
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
        """`content` holds until the first look; `name` and `counts` tell of it in log lines."""
        self._file = file
        self._clock = clock
        self._read = read
        self._content = content
        self._name = name
        self._counts = counts
        self._looking = Lock()
        self._looked_us: int | None = None
        self._seen: tuple[int, ...] = ()

    def __call__(self) -> Content:
        return self.look() if self.due else self._content

    @property
    def latest(self) -> Content:
        """What was read last, without a look at the file."""
        return self._content

    @property
    def due(self) -> bool:
        """Whether the next call looks at the file."""
        return self._looked_us is None or abs(self._clock.now_us() - self._looked_us) >= LOOK_AGAIN_US

    def look(self) -> Content:
        """What the file holds, looked at whether or not that is due."""
        # Whoever comes while another reads has what was before rather than a wait.
        if self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return self._content

    def _look(self) -> None:
        self._looked_us = self._clock.now_us()
        try:
            status = self._file.stat()
            seen: tuple[int, ...] = status.st_mtime_ns, status.st_size, status.st_ino
        except FileNotFoundError:
            seen = ()
        except OSError as error:
            seen = (error.errno or 0,)
        if seen == self._seen:
            return
        # The stat comes first: what is replaced between it and the reading is read again.
        self._seen = seen
        try:
            self._content = self._read(self._file)
        except OperationalError as error:
            in_force = {f"{what}_in_force": count for what, count in self._counts(self._content).items()}
            logger.error(f"{self._name}_unreadable", error=str(error), **in_force)
        else:
            logger.info(f"{self._name}_read", file=str(self._file), **self._counts(self._content))
