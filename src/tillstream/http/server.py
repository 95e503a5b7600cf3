"""The HTTP/1.1 server: serves an application on a listening socket until it is stopped."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from tillstream.access import exposure
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.http.connections import Connections
from tillstream.http.protocol import Connection

BACKLOG = 4_096
"""Connections that may wait to be accepted."""

TLS_CLOSING_S = 1.0
"""Longest wait for the client's part in closing TLS."""

_logger = structlog.get_logger()


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
    """Serve until `stop` is set. Then call `stopping`, and give open requests `limit_s` to end.

    `ready` gets the port. `background` runs beside the server and must not end before it. Raises `AccessError`
    if the TLS files cannot be used, and `OperationalError` if the server, called `name`, ends by itself.
    """
    with listener:
        port: int = listener.getsockname()[1]
        secured = exposure.tls_context(settings)
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(connections),
            sock=listener,
            backlog=BACKLOG,
            ssl=secured,
            ssl_handshake_timeout=settings.header_timeout_ms / 1_000 if secured else None,
            ssl_shutdown_timeout=TLS_CLOSING_S if secured else None,
        )
        stopped = asyncio.create_task(stop.wait())
        tasks = [stopped, *(asyncio.create_task(each()) for each in (connections.watch, *background))]
        try:
            ready(port)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for ended in done - {stopped}:
                raise OperationalError("serve", f"{name} on port {port}", ended.exception() or "it ended by itself")
        finally:
            for task in tasks:
                task.cancel()
            stopping()
            server.close()
            cut_off = await connections.close(limit_s)
            if cut_off:
                _logger.warning("http.connections_cut_off", server=name, connections=cut_off, seconds=limit_s)
