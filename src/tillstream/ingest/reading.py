"""Bodies of requests, read under limits: of size, of time, and of what may be in memory at once."""

from __future__ import annotations

import asyncio
from typing import Any

from granian.rsgi import HTTPProtocol  # type: ignore[attr-defined]

from tillstream.ingest import answers
from tillstream.ingest.answers import Refused
from tillstream.ingest.commit import Committer
from tillstream.settings import Settings

# Bodies with a length of so few digits are not counted while they are read: connection_limit bounds them.
_SMALL_DIGITS = 5


class BodyReader:
    """Reads bodies; `watch` ends those that take too long."""

    def __init__(self, settings: Settings, committer: Committer) -> None:
        self._limit_bytes = settings.body_limit_bytes
        self._limit_ms = settings.body_timeout_ms
        self._committer = committer
        # `watch` keeps it: asking the loop for the time in every request costs more than it tells.
        self._now = asyncio.get_running_loop().time()
        self._since: dict[asyncio.Task[Any], float] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._reading_bytes = 0

    async def read(self, headers: Any, protocol: HTTPProtocol) -> bytes:
        """The whole body. Raises `Refused` over a limit and `ProtocolClosed` where it breaks off."""
        task = asyncio.current_task()
        assert task is not None
        self._since[task] = self._now
        try:
            length = headers.get("content-length")
            if length is not None and len(length) <= _SMALL_DIGITS:
                return await protocol()
            return await self._read_large(length, protocol)
        except asyncio.CancelledError:
            if task not in self._overdue:
                raise
            self._overdue.discard(task)
            task.uncancel()
            raise Refused(answers.body_too_late(self._limit_ms)) from None
        finally:
            self._since.pop(task, None)

    async def _read_large(self, length: str | None, protocol: HTTPProtocol) -> bytes:
        if length is None:
            return await self._read_chunks(protocol)
        size = int(length)
        if size > self._limit_bytes:
            raise Refused(answers.body_too_large(self._limit_bytes))
        self._count(size)
        try:
            return await protocol()
        finally:
            self._reading_bytes -= size

    async def _read_chunks(self, protocol: HTTPProtocol) -> bytes:
        chunks = []
        size = 0
        try:
            async for chunk in protocol:
                self._count(len(chunk))
                size += len(chunk)
                if size > self._limit_bytes:
                    raise Refused(answers.body_too_large(self._limit_bytes))
                chunks.append(chunk)
        finally:
            self._reading_bytes -= size
        return b"".join(chunks)

    def _count(self, size: int) -> None:
        if not self._committer.has_room(self._reading_bytes + size):
            raise Refused(answers.unavailable("too much is being read"))
        self._reading_bytes += size

    async def watch(self) -> None:
        """Until cancelled, end every read that takes longer than `body_timeout_ms`."""
        limit_s = self._limit_ms / 1_000
        clock = asyncio.get_running_loop().time
        while True:
            self._now = clock()
            for task, since in list(self._since.items()):
                if since + limit_s > self._now:
                    break
                del self._since[task]
                self._overdue.add(task)
                task.cancel()
            await asyncio.sleep(min(limit_s / 4, 1.0))
