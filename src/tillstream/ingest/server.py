"""The server of ingest: its port, the application, the group commit, and their orderly end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import structlog

from tillstream.access import tls
from tillstream.clock import Clock
from tillstream.config import ports
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.formats import registry
from tillstream.http_server import BACKLOG
from tillstream.ingest.app import IngestApp
from tillstream.ingest.auth import Gate
from tillstream.ingest.backpressure import Pace
from tillstream.ingest.connections import Connections, Limits
from tillstream.ingest.counters import Counters, Exposition
from tillstream.ingest.group_commit import Committer
from tillstream.ingest.handlers import Taker
from tillstream.ingest.room import Room
from tillstream.log.base import Log

STOP_LIMIT_S = 4.0
"""Longest wait for open requests when the server stops."""

COMMIT_LIMIT_S = 0.5
"""Longest wait, after that, for a commit that nobody waits for any more."""

TLS_CLOSING_S = 1.0
"""How long a connection that is closed waits for the other side's end of TLS."""

_logger = structlog.get_logger()


async def serve(
    log: Log,
    settings: Settings,
    clock: Clock,
    stop: asyncio.Event,
    ready: Callable[[int], None],
    gate: Gate | None = None,
) -> None:
    """Take receipts into the log until `stop` is set, then answer all that was begun; `ready` gets the port.

    Without a `gate` everybody may post. Raises `PortTaken`, `AccessError` where TLS cannot be used, and
    `OperationalError` where the server ends by itself.
    """
    gate = gate or Gate()
    secured = tls.context(settings)
    listener = ports.listen(settings.host, settings.ingest_port, "--ingest-port", BACKLOG)
    port: int = listener.getsockname()[1]
    counters = Counters()
    room = Room(settings.pending_limit_bytes)
    counters.pending_bytes = lambda: room.taken_bytes
    committer = Committer(log, settings, counters, room)
    formats = registry.load(settings)
    taker = Taker(settings, clock, formats, committer, room, counters)
    app = IngestApp(formats, taker, committer, Exposition(counters, log.lag, settings.data_path), gate)
    connections = Connections(app, limits(settings), room, clock, counters.answered)
    server = await asyncio.get_running_loop().create_server(
        connections.accept,
        sock=listener,
        backlog=BACKLOG,
        ssl=secured,
        ssl_handshake_timeout=settings.header_timeout_ms / 1_000 if secured else None,
        ssl_shutdown_timeout=TLS_CLOSING_S if secured else None,
    )
    watching = asyncio.create_task(connections.watch())
    pacing = asyncio.create_task(Pace(log, committer).watch())
    guarding = asyncio.create_task(gate.watch())
    stopped = asyncio.create_task(stop.wait())
    gc.collect()
    gc.freeze()
    try:
        ready(port)
        done, _ = await asyncio.wait((watching, pacing, guarding, stopped), return_when=asyncio.FIRST_COMPLETED)
        for ended in done - {stopped}:
            raise OperationalError("serve", f"ingest on port {port}", ended.exception() or "it ended by itself")
    finally:
        stopped.cancel()
        watching.cancel()
        pacing.cancel()
        guarding.cancel()
        app.turn_away()
        server.close()
        cut_off = await connections.close(STOP_LIMIT_S)
        if cut_off:
            _logger.warning("connections_cut_off", connections=cut_off, seconds=STOP_LIMIT_S)
        taker.close()
        await committer.close(COMMIT_LIMIT_S)


def limits(settings: Settings) -> Limits:
    """What the settings allow a connection, and all of them."""
    return Limits(
        header_bytes=settings.header_limit_bytes,
        header_s=settings.header_timeout_ms / 1_000,
        body_bytes=settings.body_limit_bytes,
        body_s=settings.body_timeout_ms / 1_000,
        connections=settings.connection_limit,
    )
