"""The floor: granian, set up as ingest sets it up, with a handler that reads the body and answers."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.rsgi import HTTPProtocol, Scope  # type: ignore[attr-defined]
from granian.server.embed import Server

from tillstream.ingest.server import BACKLOG
from tillstream.settings import Settings

HEADERS = [("content-type", "application/json")]
ANSWER = b"{}"


class Floor:
    """Nothing can take receipts over HTTP faster on this server and stay correct."""

    async def __rsgi__(self, _scope: Scope, protocol: HTTPProtocol) -> None:
        await protocol()
        protocol.response_bytes(202, HEADERS, ANSWER)


async def main(port: int) -> None:
    settings = Settings()
    server = Server(
        Floor(),
        port=port,
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
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    gc.collect()
    gc.freeze()
    await server.serve()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
