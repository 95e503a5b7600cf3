"""The open connections of one server: limits, the clock they share, time-outs, and closing them all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from typing import Protocol, Self

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.http.memory import MemoryBudget
from tillstream.http.messages import Application


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection, and of the number of connections."""

    header_bytes: int
    header_s: float
    body_bytes: int
    body_s: float
    connections: int
    connections_per_address: int = 0
    """0: any number."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            header_bytes=settings.header_limit_bytes,
            header_s=settings.header_timeout_ms / 1_000,
            body_bytes=settings.body_limit_bytes,
            body_s=settings.body_timeout_ms / 1_000,
            connections=settings.connection_limit,
        )


class OpenConnection(Protocol):
    """The part of a connection that time-outs and closing need."""

    deadline: float
    """When the connection is overdue, on the event loop's clock."""
    client: tuple[str, int] | None
    """The client's address and port, if known."""

    def overdue(self) -> None:
        """End a connection that passed its deadline."""

    def close_if_idle(self) -> None:
        """Close the connection unless a request is under way; then its response closes it."""

    def abort(self) -> None:
        """Cut the connection off."""


class Connections:
    """State that the connections of one server share. It belongs to the running event loop."""

    def __init__(
        self,
        app: Application,
        limits: Limits,
        budget: MemoryBudget,
        clock: Clock,
        on_response: Callable[[int], None] = lambda _status: None,
    ) -> None:
        """`on_response` is called with the status of each response."""
        self.app = app
        self.limits = limits
        self.budget = budget
        self.on_response = on_response
        self.closing = False
        self._open: set[OpenConnection] = set()
        self._by_address: Counter[str] = Counter()
        self._all_closed = asyncio.Event()
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._tick()

    def _tick(self) -> None:
        """Read both clocks: reading them for each request would be too slow."""
        self.now = self._loop.time()
        self.date_line = f"date: {formatdate(self._clock.now_us() // 1_000_000, usegmt=True)}\r\n".encode()

    def add(self, connection: OpenConnection) -> bool:
        """Count a new connection in. Returns whether the limits allow it."""
        self._open.add(connection)
        address = _address(connection)
        self._by_address[address] += 1
        most = self.limits.connections_per_address or self.limits.connections
        return len(self._open) <= self.limits.connections and self._by_address[address] <= most

    def remove(self, connection: OpenConnection) -> None:
        """Count a closed connection out."""
        self._open.discard(connection)
        address = _address(connection)
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        if self.closing and not self._open:
            self._all_closed.set()

    async def watch(self) -> None:
        """End connections that pass their deadline, until cancelled."""
        pause_s = min(self.limits.header_s / 4, self.limits.body_s / 4, 1.0)
        while True:
            self._tick()
            for connection in list(self._open):
                if connection.deadline < self.now:
                    connection.overdue()
            await asyncio.sleep(pause_s)

    async def close(self, limit_s: float) -> int:
        """Close idle connections, wait for open requests, then cut off the rest. Returns how many were cut off."""
        self.closing = True
        for connection in list(self._open):
            connection.close_if_idle()
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), limit_s)
        cut_off = len(self._open)
        for connection in list(self._open):
            connection.abort()
        return cut_off


def _address(connection: OpenConnection) -> str:
    return connection.client[0] if connection.client else ""
