"""The server of ingest: its port, the application, the group commit, and their orderly end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

from tillstream.clock import Clock
from tillstream.config import ports
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.http import server as http_server
from tillstream.http.connections import Connections, Limits
from tillstream.http.memory import MemoryBudget
from tillstream.http.server import BACKLOG
from tillstream.ingest.app import IngestApp
from tillstream.ingest.auth import Gate
from tillstream.ingest.backpressure import Pace
from tillstream.ingest.counters import Counters, Exposition
from tillstream.ingest.group_commit import Committer
from tillstream.ingest.handlers import Taker
from tillstream.log.base import Log

STOP_LIMIT_S = 4.0
"""Longest wait for open requests when the server stops."""

COMMIT_LIMIT_S = 0.5
"""Longest wait, after that, for a commit that nobody waits for any more."""


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
    listener = ports.listen(settings.host, settings.ingest_port, "--ingest-port", BACKLOG)
    counters = Counters()
    budget = MemoryBudget(settings.pending_limit_bytes)
    counters.pending_bytes = lambda: budget.reserved_bytes
    committer = Committer(log, settings, counters, budget)
    formats = registry.load(settings)
    taker = Taker(settings, clock, formats, committer, budget, counters)
    app = IngestApp(formats, taker, committer, Exposition(counters, log.lag, settings.data_path), gate)
    connections = Connections(app, Limits.of(settings), budget, clock, counters.answered)
    gc.collect()
    gc.freeze()
    try:
        await http_server.serve(
            connections,
            listener,
            settings,
            name="ingest",
            stop=stop,
            ready=ready,
            stopping=app.turn_away,
            limit_s=STOP_LIMIT_S,
            background=(Pace(log, committer).watch, gate.watch),
        )
    finally:
        taker.close()
        await committer.close(COMMIT_LIMIT_S)
