"""Run an ingest server on a free port in the test process."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec
import uvloop

from tests.support.ingest import JSON, WAIT_S, Answer, Connection
from tillstream.clock import Clock, SystemClock
from tillstream.config.settings import Settings
from tillstream.ingest.app import serve
from tillstream.ingest.auth import Authorizer
from tillstream.log.base import START, Batch, Log
from tillstream.log.sqlite.log import SqliteLog
from tillstream.receipt.model import HEAD_COLUMNS

Start = Callable[..., "Ingest"]
"""A function that starts a server with the settings of a test."""


class Ingest:
    """An ingest server in a thread with its own event loop."""

    def __init__(
        self,
        directory: Path,
        log: Log | None = None,
        clock: Clock | None = None,
        authorizer: Authorizer | None = None,
        **settings: Any,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.settings = msgspec.structs.replace(Settings(data=str(directory), ingest_port=0), **settings)
        self.log = log or SqliteLog(directory / "log.sqlite3", writer=True, settings=self.settings)
        self._clock = clock or SystemClock()
        self._authorizer = authorizer
        self._port: Future[int] = Future()
        self._thread = Thread(target=self._run, daemon=True)
        self._connections: list[Connection] = []
        self._thread.start()
        self.port = self._port.result(WAIT_S)

    def _run(self) -> None:
        uvloop.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            await serve(self.log, self.settings, self._clock, self._stop, self._port.set_result, self._authorizer)
        except BaseException as error:
            if self._port.done():
                raise
            self._port.set_exception(error)

    def connect(self, tls: ssl.SSLContext | None = None) -> Connection:
        connection = Connection(self.port, tls)
        self._connections.append(connection)
        return connection

    def request(self, method: str, path: str, body: bytes | None = None, *headers: tuple[str, str]) -> Answer:
        """Send one request on a new connection."""
        connection = self.connect()
        try:
            return connection.request(method, path, body, headers)
        finally:
            connection.close()

    def post(self, path: str, body: bytes, media_type: str = JSON, *headers: tuple[str, str]) -> Answer:
        return self.request("POST", path, body, ("content-type", media_type), *headers)

    def records(self) -> list[dict[str, Any]]:
        """All records in the log, each with the columns of its head, `body` and `original`."""
        return [
            dict(zip(HEAD_COLUMNS, head.decode().removesuffix("\n").split("\t"), strict=True))
            | {"body": body, "original": original}
            for chunk in self.log.read(START, 10**9)
            for head, body, original in zip(chunk.heads, chunk.bodies, chunk.originals, strict=True)
        ]

    def request_stop(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)

    def has_stopped(self, timeout_s: float = WAIT_S) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self.request_stop()
        assert self.has_stopped()
        self.log.close()


class GatedLog(SqliteLog):
    """A log whose appends wait until the gate is open. They raise `failure` if it is set."""

    def __init__(self, path: Path, settings: Settings) -> None:
        super().__init__(path, writer=True, settings=settings)
        self.gate = Event()
        self.gate.set()
        self.waiting = Event()
        self.failure: Exception | None = None
        self.commits: list[int] = []

    def append(self, batch: Batch) -> None:
        self.waiting.set()
        assert self.gate.wait(WAIT_S)
        if self.failure is not None:
            raise self.failure
        if len(batch):
            self.commits.append(len(batch))
        super().append(batch)
