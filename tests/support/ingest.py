"""The real ingest server in this process, on a free port, and raw requests to it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import msgspec
import uvloop

from tillstream.clock import Clock, SystemClock
from tillstream.ingest.gate import Gate
from tillstream.ingest.server import serve
from tillstream.log.base import START, Batch, Log, Position
from tillstream.log.sqlite import SqliteLog
from tillstream.receipt import HEAD_COLUMNS
from tillstream.settings import Settings

WAIT_S = 20.0

JSON = "application/json"
NDJSON = "application/x-ndjson"

RECEIVED_US = 1_795_435_200_000_000
"""When the clock of a test stands still."""

Start = Callable[..., "Ingest"]
"""Starts a server with settings of the test's own."""


def receipt(number: object = 1, **fields: Any) -> dict[str, Any]:
    """A small receipt that is right."""
    return {
        "cashReceiptID": number,
        "storeID": "S-1",
        "terminalID": "1",
        "date": "2026-11-23 10:15:00",
        "documentTotal": {"grossTotal": 1.2},
        **fields,
    }


def encoded(number: object = 1, **fields: Any) -> bytes:
    return json.dumps(receipt(number, **fields)).encode()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """A socket to the server, by TLS where it is given, that says exactly what a test wants to say."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._came = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Sequence[tuple[str, str]] = ()
    ) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "host: test", *(f"{name}: {value}" for name, value in headers)]
        if body is not None:
            lines.append(f"content-length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        return self.answer(with_body=method != "HEAD")

    def answer(self, *, with_body: bool = True) -> Answer:
        """The next answer on this connection."""
        head = self._until(b"\r\n\r\n")
        first, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = int(headers.get("content-length", 0)) if with_body else 0
        while len(self._came) < size:
            self._receive()
        body, self._came = self._came[:size], self._came[size:]
        return Answer(int(first.split()[1]), headers, body)

    def at_end(self) -> bool:
        """Whether the server closes the connection without saying more."""
        with suppress(ConnectionResetError):
            return self._came == b"" and self.socket.recv(1) == b""
        return True

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._came:
            self._receive()
        found, _, self._came = self._came.partition(mark)
        return found + mark

    def _receive(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError(f"closed after {self._came!r}")
        self._came += data

    def close(self) -> None:
        self.socket.close()


class Ingest:
    """Given settings and, where it matters, a log: the server in a thread with a loop of its own."""

    def __init__(
        self,
        directory: Path,
        log: Log | None = None,
        clock: Clock | None = None,
        gate: Gate | None = None,
        **settings: Any,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.settings = msgspec.structs.replace(Settings(data=str(directory), ingest_port=0), **settings)
        self.log = log or SqliteLog(directory / "log.sqlite3", writer=True, settings=self.settings)
        self._clock = clock or SystemClock()
        self._gate = gate
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
            await serve(self.log, self.settings, self._clock, self._stop, self._port.set_result, self._gate)
        except BaseException as error:
            if self._port.done():
                raise
            self._port.set_exception(error)

    def connect(self, tls: ssl.SSLContext | None = None) -> Connection:
        connection = Connection(self.port, tls)
        self._connections.append(connection)
        return connection

    def request(self, method: str, path: str, body: bytes | None = None, *headers: tuple[str, str]) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect()
        try:
            return connection.request(method, path, body, headers)
        finally:
            connection.close()

    def post(self, path: str, body: bytes, media_type: str = JSON, *headers: tuple[str, str]) -> Answer:
        return self.request("POST", path, body, ("content-type", media_type), *headers)

    def records(self) -> list[dict[str, Any]]:
        """Everything in the log: the head's columns with `body` and `original`."""
        return [
            dict(zip(HEAD_COLUMNS, head.decode().removesuffix("\n").split("\t"), strict=True))
            | {"body": body, "original": original}
            for chunk in self.log.read(START, 10**9)
            for head, body, original in zip(chunk.heads, chunk.bodies, chunk.originals, strict=True)
        ]

    def ask_to_stop(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)

    def stopped(self, timeout_s: float = WAIT_S) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self.ask_to_stop()
        assert self.stopped()
        self.log.close()


def head(**headers: object) -> bytes:
    """A POST to /receipt with these headers, a body not yet sent."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST /receipt HTTP/1.1", "host: x", *lines, "", ""]).encode()


class GatedLog(SqliteLog):
    """A real log whose appends wait at a gate, or fail, as a test tells them."""

    def __init__(self, path: Path, settings: Settings) -> None:
        super().__init__(path, writer=True, settings=settings)
        self.gate = Event()
        self.gate.set()
        self.waiting = Event()
        self.failure: Exception | None = None
        self.commits: list[int] = []

    def append(self, batch: Batch) -> Position:
        self.waiting.set()
        assert self.gate.wait(WAIT_S)
        if self.failure is not None:
            raise self.failure
        if len(batch):
            self.commits.append(len(batch))
        return super().append(batch)
