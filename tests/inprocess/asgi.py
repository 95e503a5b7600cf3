"""Run an ASGI application on the HTTP/1.1 server in a thread, and open raw connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import Any

import uvloop
from starlette.types import ASGIApp

from tests.support.ingest import WAIT_S, Connection
from tillstream.clock import SystemClock
from tillstream.config import ports
from tillstream.config.settings import Settings
from tillstream.http import asgi
from tillstream.http.server import BACKLOG


class AsgiServer:
    """The server of an application. `stop` raises the error that ended the server, if there is one."""

    def __init__(self, app: ASGIApp, *, limit_s: float = 5.0, **settings: Any) -> None:
        self.events: list[str] = []
        self.settings = Settings(**settings)
        self._app = app
        self._limit_s = limit_s
        self._connections: list[Connection] = []
        self._ready: Future[int] = Future()
        self._ended: Future[None] = Future()
        self._thread = Thread(target=lambda: uvloop.run(self._run()), daemon=True)
        self._thread.start()
        self.port = self._ready.result(WAIT_S)
        self.address = ports.address("127.0.0.1", self.port, tls=self.settings.tls)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listener = ports.listen("127.0.0.1", 0, "--port", BACKLOG)
        try:
            await asgi.serve(
                self._app,
                listener,
                self.settings,
                SystemClock(),
                name="the application",
                stop=self._stop,
                ready=self._ready.set_result,
                stopping=lambda: self.events.append("stopping"),
                limit_s=self._limit_s,
            )
        except BaseException as error:  # noqa: BLE001 - the futures raise it in the test's thread
            (self._ended if self._ready.done() else self._ready).set_exception(error)
        else:
            self._ended.set_result(None)

    def connect(self) -> Connection:
        self._connections.append(Connection(self.port))
        return self._connections[-1]

    def stop(self) -> None:
        if not self._ended.done():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._ended.result(WAIT_S)
        for connection in self._connections:
            connection.close()
        self._thread.join(WAIT_S)


@contextmanager
def asgi_server(app: ASGIApp, *, limit_s: float = 5.0, **settings: Any) -> Iterator[AsgiServer]:
    server = AsgiServer(app, limit_s=limit_s, **settings)
    try:
        yield server
    finally:
        server.stop()
