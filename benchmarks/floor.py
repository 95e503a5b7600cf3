"""The floors: servers that read the body and answer. `granian`, a bare RSGI handler, is the one that
ratios are told of; `own` is ingest's own server with nothing behind it."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys

import uvloop
from granian.constants import Interfaces
from granian.rsgi import HTTPProtocol, Scope  # type: ignore[attr-defined]

from tillstream.clock import SystemClock
from tillstream.config import ports
from tillstream.config.settings import Settings
from tillstream.http_server import BACKLOG, BoundServer
from tillstream.ingest.connections import Connections
from tillstream.ingest.request import Headers, Reply, Request
from tillstream.ingest.responses import JSON, Answer
from tillstream.ingest.room import Room
from tillstream.ingest.server import limits

HEADERS = [("content-type", "application/json")]
ANSWER = b"{}"
STOP_LIMIT_S = 2.0


class Floor:
    """The least that an RSGI application can do with a body."""

    async def __rsgi__(self, _scope: Scope, protocol: HTTPProtocol) -> None:
        await protocol()
        protocol.response_bytes(202, HEADERS, ANSWER)


class Nothing:
    """An application of ingest's server that takes nothing."""

    def turns_away(self, _headers: Headers) -> Answer | None:
        return None

    def handle(self, _request: Request, reply: Reply) -> None:
        reply(Answer(202, JSON, ANSWER))


async def granian(listener: socket.socket, stop: asyncio.Event) -> None:
    server = BoundServer(Floor(), Interfaces.RSGI, Settings(), listener)
    await server.run("the floor", stop, lambda _port: None, lambda: None, STOP_LIMIT_S)


async def own(listener: socket.socket, stop: asyncio.Event) -> None:
    settings = Settings()
    room = Room(settings.pending_limit_bytes)
    connections = Connections(Nothing(), limits(settings), room, SystemClock(), lambda _status: None)
    server = await asyncio.get_running_loop().create_server(connections.accept, sock=listener, backlog=BACKLOG)
    await stop.wait()
    server.close()
    await connections.close(STOP_LIMIT_S)


async def main(kind: str, port: int) -> None:
    listener = ports.listen("127.0.0.1", port, "its argument", BACKLOG)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    gc.collect()
    gc.freeze()
    await {"granian": granian, "own": own}[kind](listener, stop)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
