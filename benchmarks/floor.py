"""The floor: ingest's own server with a handler that reads the body and answers."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

import uvloop
from granian.constants import Interfaces
from granian.rsgi import HTTPProtocol, Scope  # type: ignore[attr-defined]

from tillstream import ports
from tillstream.http_server import BACKLOG, BoundServer
from tillstream.settings import Settings

HEADERS = [("content-type", "application/json")]
ANSWER = b"{}"
STOP_LIMIT_S = 2.0


class Floor:
    """Nothing can take receipts over HTTP faster on this server and stay correct."""

    async def __rsgi__(self, _scope: Scope, protocol: HTTPProtocol) -> None:
        await protocol()
        protocol.response_bytes(202, HEADERS, ANSWER)


async def main(port: int) -> None:
    settings = Settings(ingest_port=port)
    listener = ports.listen(settings.host, settings.ingest_port, "its argument", BACKLOG)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    gc.collect()
    gc.freeze()
    server = BoundServer(Floor(), Interfaces.RSGI, settings, listener)
    await server.run("the floor", stop, lambda _port: None, lambda: None, STOP_LIMIT_S)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
