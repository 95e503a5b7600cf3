"""The server of ingest: the application, its group commit, and their orderly end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

from granian.constants import Interfaces

from tillstream import ports
from tillstream.clock import Clock
from tillstream.formats.base import Formats
from tillstream.formats.json import JsonDecoder, NdjsonDecoder
from tillstream.http_server import BACKLOG, BoundServer
from tillstream.ingest.app import IngestApp
from tillstream.ingest.commit import Committer
from tillstream.ingest.counters import Counters, Exposition
from tillstream.log.base import Log
from tillstream.settings import Settings

STOP_LIMIT_S = 4.0
"""Longest wait for open requests when the server stops."""

COMMIT_LIMIT_S = 0.5
"""Longest wait, after that, for a commit that nobody waits for any more."""


async def serve(log: Log, settings: Settings, clock: Clock, stop: asyncio.Event, ready: Callable[[int], None]) -> None:
    """Take receipts into the log until `stop` is set, then answer all that was begun; `ready` gets the port.

    Raises `PortTaken`, and `OperationalError` where the server ends by itself.
    """
    listener = ports.listen(settings.host, settings.ingest_port, "--ingest-port", BACKLOG)
    counters = Counters()
    committer = Committer(log, settings, counters)
    counters.pending_bytes = lambda: committer.pending_bytes
    exposition = Exposition(counters, log.lag, settings.data_path)
    formats = Formats([JsonDecoder(), NdjsonDecoder()])
    app = IngestApp(settings, clock, formats, committer, counters, exposition)
    server = BoundServer(app, Interfaces.RSGI, settings, listener)
    watching = asyncio.create_task(app.reader.watch())
    gc.collect()
    gc.freeze()
    try:
        await server.run("ingest", stop, ready, app.turn_away, STOP_LIMIT_S)
    finally:
        watching.cancel()
        await committer.close(COMMIT_LIMIT_S)
