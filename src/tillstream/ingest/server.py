"""The server of ingest: granian inside this process, on a socket that is bound before anything starts."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable

import structlog
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from tillstream import ports
from tillstream.clock import Clock
from tillstream.errors import OperationalError
from tillstream.formats.base import Formats
from tillstream.formats.json import JsonDecoder, NdjsonDecoder
from tillstream.ingest.app import IngestApp
from tillstream.ingest.commit import Committer
from tillstream.ingest.counters import Counters, Exposition
from tillstream.log.base import Log
from tillstream.settings import Settings

BACKLOG = 4_096

STOP_LIMIT_S = 4.0
"""Longest wait for open requests when the server stops."""

COMMIT_LIMIT_S = 0.5
"""Longest wait, after that, for a commit that nobody waits for any more."""

_logger = structlog.get_logger()


async def serve(log: Log, settings: Settings, clock: Clock, stop: asyncio.Event, ready: Callable[[int], None]) -> None:
    """Take receipts into the log until `stop` is set, then answer all that was begun; `ready` gets the port.

    Raises `PortTaken`, and `OperationalError` where the server ends by itself.
    """
    listener = ports.listen(settings.host, settings.ingest_port, "--ingest-port", BACKLOG)
    port: int = listener.getsockname()[1]
    counters = Counters()
    committer = Committer(log, settings, counters)
    counters.pending_bytes = lambda: committer.pending_bytes
    exposition = Exposition(counters, log.lag, settings.data_path)
    formats = Formats([JsonDecoder(), NdjsonDecoder()])
    app = IngestApp(settings, clock, formats, committer, counters, exposition)
    server = _Server(app, settings, listener)
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    watching = asyncio.create_task(app.reader.watch())
    gc.collect()
    gc.freeze()
    try:
        ready(port)
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and not stop.is_set():
            raise OperationalError("serve", f"ingest on port {port}", serving.exception() or "it ended by itself")
    finally:
        app.stopping = True
        stopping.cancel()
        server.stop()  # type: ignore[no-untyped-call]
        await _finish(serving, app)
        watching.cancel()
        await committer.close(COMMIT_LIMIT_S)


async def _finish(serving: asyncio.Task[None], app: IngestApp) -> None:
    """Wait until what was begun is answered, for a while."""
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await asyncio.wait((serving,))
    except TimeoutError:
        _logger.warning("ingest_cut_off", open_requests=app.active, seconds=STOP_LIMIT_S)
        serving.cancel()


class _Server(Server):
    """granian on a socket that is bound already, so that port 0 is known and a taken one is refused."""

    def __init__(self, app: IngestApp, settings: Settings, listener: socket.socket) -> None:
        super().__init__(
            app,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(
                header_read_timeout=settings.header_timeout_ms, max_buffer_size=settings.header_limit_bytes
            ),
            backlog=BACKLOG,
            backpressure=settings.connection_limit,
            websockets=False,
            log_enabled=False,
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        self._listener.setblocking(False)
        self._shd = SocketHolder(self._listener.detach(), False, BACKLOG)  # type: ignore[call-arg, assignment]
