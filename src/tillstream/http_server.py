"""granian inside this process: on a socket that is bound before anything starts, until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from tillstream.config.settings import Settings
from tillstream.errors import OperationalError

BACKLOG = 4_096

_logger = structlog.get_logger()


class BoundServer(Server):
    """A server on a listening socket of the caller's, so that port 0 is known and a taken one is refused.

    HTTP/1 alone: granian's choice between the versions never closes a connection that stays silent.
    """

    def __init__(self, app: Any, interface: Interfaces, settings: Settings, listener: socket.socket) -> None:
        super().__init__(
            app,
            interface=interface,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(
                header_read_timeout=settings.header_timeout_ms, max_buffer_size=settings.header_limit_bytes
            ),
            backlog=BACKLOG,
            backpressure=settings.connection_limit,
            ssl_cert=Path(settings.tls_certificate_file) if settings.tls else None,
            ssl_key=Path(settings.tls_key_file) if settings.tls else None,
            ssl_protocol_min=SSLProtocols.tls12,
            websockets=False,
            log_enabled=False,
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        self._listener.setblocking(False)
        self._shd = SocketHolder(self._listener.detach(), False, BACKLOG)  # type: ignore[call-arg, assignment]

    async def run(
        self, what: str, stop: asyncio.Event, ready: Callable[[int], None], stopping: Callable[[], None], limit_s: float
    ) -> None:
        """Serve until `stop` is set; `ready` gets the port.

        Then `stopping` is called, and open requests have `limit_s` to end. Raises `OperationalError`
        where the server, called `what`, ends by itself.
        """
        port: int = self._listener.getsockname()[1]
        serving = asyncio.create_task(self.serve())
        stopped = asyncio.create_task(stop.wait())
        try:
            ready(port)
            await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
            if serving.done() and not stop.is_set():
                raise OperationalError("serve", f"{what} on port {port}", serving.exception() or "it ended by itself")
        finally:
            stopped.cancel()
            stopping()
            self.stop()  # type: ignore[no-untyped-call]
            await asyncio.wait((serving,), timeout=limit_s)
            if not serving.done():
                _logger.warning("server.cut_off", server=what, reason="requests were still open", seconds=limit_s)
                serving.cancel()
