"""The HTTP/1.1 server: serves an application on a listening socket and limits its connections."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from email.utils import formatdate
from typing import Any, Protocol

import structlog

from tillstream.access import exposure
from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.http.memory import MemoryBudget
from tillstream.http.messages import Headers, Request, Response
from tillstream.http.protocol import Connection

BACKLOG = 4_096
"""The maximum number of connections that the operating system queues until the server accepts them."""

TLS_CLOSING_S = 1.0
"""The maximum time that the server waits for a client to close TLS."""

_logger = structlog.get_logger()


class Application(Protocol):
    """Responds to requests. The server calls it on the event loop."""

    answers_half_closed: bool
    """Whether clients that have closed their sending side get responses. If not, they count as disconnected."""

    def handle(self, request: Request, connection: Connection) -> None:
        """Respond to a request through its connection, before or after this call returns.

        If the request has a memory reservation, the application must release it when it no longer needs the body.
        """

    def reject(self, headers: Headers) -> Response | None:
        """Return a response that rejects a request because of its head, or None to accept its body.

        The server calls this for large and chunked bodies, and if the client waits for 100 (Continue).
        """


class Connections:
    """The open connections of one server, their limits, and the state that they share. Not thread-safe."""

    def __init__(
        self,
        app: Application,
        settings: Settings,
        budget: MemoryBudget,
        clock: Clock,
        on_response: Callable[[int], None] = lambda _status: None,
        *,
        address_limit: int | None = None,
    ) -> None:
        """`budget` limits the memory of large bodies. `on_response` is called with the status of each response.

        `address_limit` is the maximum number of connections from one IP address. None means no limit.
        """
        self.app = app
        self.budget = budget
        self.on_response = on_response
        self.header_limit_bytes = settings.header_limit_bytes
        self.header_timeout_s = settings.header_timeout_ms / 1_000
        self.body_limit_bytes = settings.body_limit_bytes
        self.body_timeout_s = settings.body_timeout_ms / 1_000
        self.closing = False
        self._limit = settings.connection_limit
        self._address_limit = address_limit or self._limit
        self._open: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._all_closed = asyncio.Event()
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._tick()

    def _tick(self) -> None:
        """Read the clocks. Connections use these values, because reading a clock for each request is too slow."""
        self.now = self._loop.time()
        self.date_line = f"date: {formatdate(self._clock.now_us() // 1_000_000, usegmt=True)}\r\n".encode()

    def add(self, connection: Connection) -> bool:
        """Add a connection. Return whether the number of connections, with this one, is within the limits."""
        self._open.add(connection)
        self._by_address[connection.address] += 1
        return len(self._open) <= self._limit and self._by_address[connection.address] <= self._address_limit

    def remove(self, connection: Connection) -> None:
        """Remove a closed connection."""
        self._open.discard(connection)
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        if self.closing and not self._open:
            self._all_closed.set()

    async def watch(self) -> None:
        """Until cancelled, update the clocks, and end connections that have passed their deadline."""
        pause_s = min(self.header_timeout_s / 4, self.body_timeout_s / 4, 1.0)
        while True:
            self._tick()
            for connection in list(self._open):
                if connection.deadline < self.now:
                    connection.overdue()
            await asyncio.sleep(pause_s)

    async def close(self, limit_s: float) -> int:
        """Close idle connections, and wait up to `limit_s` until the others close.

        Then abort the connections that are still open, and return their number.
        """
        self.closing = True
        for connection in list(self._open):
            connection.close_if_idle()
        if self._open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), limit_s)
        aborted = list(self._open)
        for connection in aborted:
            connection.abort()
        return len(aborted)


async def serve(
    connections: Connections,
    listener: socket.socket,
    settings: Settings,
    *,
    name: str,
    stop: asyncio.Event,
    ready: Callable[[int], None],
    stopping: Callable[[], None],
    limit_s: float,
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
) -> None:
    """Serve until `stop` is set. Then call `stopping`, and wait up to `limit_s` for open requests.

    `ready` is called with the port when the server accepts connections. The coroutines of `background` run until the
    server stops. If one of them ends earlier, the server fails. `name` identifies the server in errors and log events.
    Raises `AccessError` if the TLS files cannot be used, and `OperationalError` if the server fails.
    """
    with listener:
        port: int = listener.getsockname()[1]
        tls = exposure.tls_context(settings)
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(connections),
            sock=listener,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=connections.header_timeout_s if tls else None,
            ssl_shutdown_timeout=TLS_CLOSING_S if tls else None,
        )
        stopped = asyncio.create_task(stop.wait())
        tasks = [stopped, *(asyncio.create_task(each()) for each in (connections.watch, *background))]
        try:
            ready(port)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for ended in done - {stopped}:
                raise OperationalError("serve", f"{name} on port {port}", ended.exception() or "it ended unexpectedly")
        finally:
            for task in tasks:
                task.cancel()
            stopping()
            server.close()
            aborted = await connections.close(limit_s)
            if aborted:
                _logger.warning("http.connections_cut_off", server=name, connections=aborted, seconds=limit_s)
