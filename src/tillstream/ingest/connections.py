"""All connections of ingest: what they may take, their clock, and their orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import NamedTuple

from tillstream.clock import Clock
from tillstream.ingest.http1 import Connection
from tillstream.ingest.request import Application
from tillstream.ingest.room import Room


class Limits(NamedTuple):
    """What one connection may take, and how many there may be."""

    header_bytes: int
    header_s: float
    body_bytes: int
    body_s: float
    connections: int


class Connections:
    """What the connections of one server share; made and used on the event loop."""

    def __init__(
        self, app: Application, limits: Limits, room: Room, clock: Clock, count: Callable[[int], None]
    ) -> None:
        self.app = app
        self.limits = limits
        self.room = room
        self.count = count
        self.closing = False
        self.open: set[Connection] = set()
        self._gone = asyncio.Event()
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._tick()

    def _tick(self) -> None:
        """Asking for the time in every request would cost more than it tells."""
        self.now = self._loop.time()
        self.date_line = f"date: {formatdate(self._clock.now_us() // 1_000_000, usegmt=True)}\r\n".encode()

    def accept(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self)

    def lose(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self.open.discard(connection)
        if self.closing and not self.open:
            self._gone.set()

    async def watch(self) -> None:
        """Until cancelled, end what takes longer than its limit."""
        pause_s = min(self.limits.header_s / 4, self.limits.body_s / 4, 1.0)
        while True:
            self._tick()
            for connection in list(self.open):
                if connection.deadline < self.now:
                    connection.overdue()
            await asyncio.sleep(pause_s)

    async def close(self, limit_s: float) -> int:
        """Close what is idle, answer what was begun, then cut off the rest; how many were cut off."""
        self.closing = True
        for connection in list(self.open):
            connection.leave()
        if self.open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), limit_s)
        cut_off = len(self.open)
        for connection in list(self.open):
            connection.abort()
        return cut_off
