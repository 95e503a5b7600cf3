"""Minimal servers that read each body and answer, as a lower bound of the cost of a request.

The floor in all ratios is `granian`, a bare RSGI handler. `own` is ingest's HTTP server with a minimal application.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.rsgi import HTTPProtocol, Scope  # type: ignore[attr-defined]
from granian.server.embed import Server

from tillstream.clock import SystemClock
from tillstream.config import ports
from tillstream.config.settings import Settings
from tillstream.http import server
from tillstream.http.memory import MemoryBudget
from tillstream.http.messages import JSON, Headers, Request, Response
from tillstream.http.protocol import Connection
from tillstream.http.server import Connections

HEADERS = [("content-type", "application/json")]
ANSWER = b"{}"
STOP_LIMIT_S = 2.0


class RsgiFloor:
    """A minimal RSGI application: it reads the body and answers 202."""

    async def __rsgi__(self, _scope: Scope, protocol: HTTPProtocol) -> None:
        await protocol()
        protocol.response_bytes(202, HEADERS, ANSWER)


class OwnFloor:
    """A minimal application of ingest's HTTP server: it answers 202."""

    answers_half_closed = True

    def reject(self, _headers: Headers) -> Response | None:
        return None

    def handle(self, _request: Request, connection: Connection) -> None:
        connection.respond(Response(202, JSON, ANSWER))


async def granian(port: int, stop: asyncio.Event) -> None:
    floor = Server(
        RsgiFloor(),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        backlog=server.BACKLOG,
        backpressure=Settings().connection_limit,
        websockets=False,
        log_enabled=False,
    )
    serving = asyncio.create_task(floor.serve())
    await stop.wait()
    floor.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait((serving,), timeout=STOP_LIMIT_S)


async def own(port: int, stop: asyncio.Event) -> None:
    settings = Settings()
    connections = Connections(OwnFloor(), settings, MemoryBudget(settings.pending_limit_bytes), SystemClock())
    await server.serve(
        connections,
        ports.listen("127.0.0.1", port, "its argument", server.BACKLOG),
        settings,
        name="the floor",
        stop=stop,
        ready=lambda _port: None,
        stopping=lambda: None,
        limit_s=STOP_LIMIT_S,
    )


async def main(kind: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    gc.collect()
    gc.freeze()
    await {"granian": granian, "own": own}[kind](port, stop)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
