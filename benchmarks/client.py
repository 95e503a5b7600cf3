"""Our own client for what wrk cannot do: receipts at a pace, and a fixed number of them in batches."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlsplit

from benchmarks.harness import BATCH, CannotRun
from benchmarks.payload import JSON, NDJSON, Tills

PACED_CONNECTIONS = 64
MOST_CONNECTIONS = 3_000
TRIES = 4
LOADING_CONNECTIONS = 4
POLL_S = 0.02
FEEDBACK_S = 0.1


@asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that tells why it failed: by the failure itself, and not by a group of them."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failed:
        raise next(
            (each for each in failed.exceptions if isinstance(each, CannotRun)), failed.exceptions[0]
        ) from failed


class Connection:
    """One kept-alive connection, opened again where the server hung up on it.

    Only what the benches' servers send is understood: answers with a length.
    """

    def __init__(self, url: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._url = url
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Connection:
        return cls(url, *await _connect(url))

    async def post(self, path: str, body: bytes, content_type: str) -> bytes:
        """Sent again where no answer came, because a receipt counts once. Raises `CannotRun` unless it is 202."""
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
        return await self._call(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, 202)

    async def get(self, path: str) -> Any:
        """The JSON of the answer; raises `CannotRun` unless it is 200."""
        return json.loads(await self._call(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), 200))

    async def _call(self, request: bytes, wanted: int) -> bytes:
        lost: Exception | None = None
        for _ in range(TRIES):
            try:
                if lost is not None:
                    self._writer.close()
                    self._reader, self._writer = await _connect(self._url)
                return await self._exchange(request, wanted)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                lost = error
        raise CannotRun(f"{self._url} hung up {TRIES} times without an answer: {lost}")

    async def _exchange(self, request: bytes, wanted: int) -> bytes:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(f"http/1.1 {wanted} "):
            raise CannotRun(f"{head.partition(chr(13))[0]}: {body[:300].decode(errors='replace')}")
        return body

    def close(self) -> None:
        self._writer.close()


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port, limit=2**24)


@dataclass
class Sales:
    """Asks, on a connection of its own, how many receipts of a day the database shows."""

    connection: Connection
    day: str

    async def receipts(self) -> int:
        rows = (await self.connection.get(f"/api/v1/metrics/sales?day={self.day}"))["rows"]
        return rows[0]["receipts"] if rows else 0


async def sell(url: str, rate: float, seconds: float, seed: int, answered_ms: list[float] | None = None) -> list[float]:
    """Receipts in random gaps around 1/rate, dated now; when each was sent, by `time.perf_counter`.

    A receipt never waits for the answer to another: while answers are slow, there are more connections.
    `answered_ms` gets how long each waited for its own.
    """
    random, tills, sent = Random(seed), Tills(), []
    # In turn, because ingest hangs up on a connection that is silent for long.
    idle = deque([await Connection.open(url) for _ in range(PACED_CONNECTIONS)])
    opened = len(idle)
    began = time.perf_counter()
    due = began

    async def one(connection: Connection) -> None:
        receipt, began = tills.receipt(), time.perf_counter()
        sent.append(began)
        await connection.post("/receipt", receipt, JSON)
        if answered_ms is not None:
            answered_ms.append((time.perf_counter() - began) * 1_000)
        idle.append(connection)

    async with together() as group:
        while True:
            due += random.expovariate(rate)
            if due > began + seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if not idle:
                opened += 1
                if opened > MOST_CONNECTIONS:
                    raise CannotRun(f"at {rate:g} receipts/s {MOST_CONNECTIONS} of them waited for their answers")
                idle.append(await Connection.open(url))
            group.create_task(one(idle.popleft()))
    for connection in idle:
        connection.close()
    return sent


async def watch(dashboard: str, day: str, expect: Callable[[], int], done: asyncio.Event) -> list[tuple[float, int]]:
    """When the database showed how many receipts of the day, until `done` and all that is expected is there."""
    sales, seen = Sales(await Connection.open(dashboard), day), []
    while True:
        count = await sales.receipts()
        seen.append((time.perf_counter(), count))
        if done.is_set() and count >= expect():
            sales.connection.close()
            return seen
        await asyncio.sleep(POLL_S)


def delays_ms(sent: list[float], seen: list[tuple[float, int]], before: int) -> list[float]:
    """From sending to being shown, a receipt each: the n-th that was sent is there once n are."""
    found, samples = [], iter(seen)
    at, count = next(samples)
    for number, moment in enumerate(sorted(sent), before + 1):
        while count < number:
            at, count = next(samples)
        found.append((at - moment) * 1_000)
    return found


@dataclass
class Progress:
    """How a fixed number of receipts went: (seconds, receipts so far).

    `acknowledged` counts only seconds in which ingest was asked for something, `folded` all of them.
    """

    acknowledged: list[tuple[float, int]] = field(default_factory=list)
    folded: list[tuple[float, int]] = field(default_factory=list)


class Loader:
    """Sends so many receipts in NDJSON batches, at most `ahead` of what the database shows."""

    def __init__(self, url: str, dashboard: str, tills: Tills, day: str, count: int, ahead: int) -> None:
        self._url, self._dashboard, self._day = url, dashboard, day
        self._tills, self._count, self._ahead = tills, count, ahead
        self._sizes: Iterator[int] = (min(BATCH, count - first) for first in range(0, count, BATCH))
        self._room = asyncio.Condition()
        self._under_way = 0
        self._asked_s = self._asked_since = 0.0
        self._progress = Progress()
        self.acknowledged = self.folded = 0

    async def run(self, tick: Callable[[], None]) -> Progress:
        """Until the database shows them all; `tick` is called every time it was asked."""
        async with together() as group:
            group.create_task(self._follow(tick))
            for _ in range(LOADING_CONNECTIONS):
                group.create_task(self._send())
        return self._progress

    async def _send(self) -> None:
        connection = await Connection.open(self._url)
        for size in self._sizes:
            async with self._room:
                await self._room.wait_for(self._near)
            await self._post(connection, self._tills.batch(size))
            self.acknowledged += size
            self._progress.acknowledged.append((self._asked(), self.acknowledged))
        connection.close()

    async def _post(self, connection: Connection, batch: bytes) -> None:
        if not self._under_way:
            self._asked_since = time.perf_counter()
        self._under_way += 1
        await connection.post("/receipts", batch, NDJSON)
        self._under_way -= 1
        if not self._under_way:
            self._asked_s += time.perf_counter() - self._asked_since

    def _asked(self) -> float:
        return self._asked_s + (time.perf_counter() - self._asked_since if self._under_way else 0.0)

    def _near(self) -> bool:
        return self.acknowledged - self.folded <= self._ahead

    async def _follow(self, tick: Callable[[], None]) -> None:
        sales, began = Sales(await Connection.open(self._dashboard), self._day), time.perf_counter()
        while self.folded < self._count:
            self.folded = await sales.receipts()
            self._progress.folded.append((time.perf_counter() - began, self.folded))
            tick()
            async with self._room:
                self._room.notify_all()
            await asyncio.sleep(FEEDBACK_S)
        sales.connection.close()


def rate_between(samples: list[tuple[float, int]], first: float, last: float) -> float:
    """Receipts a second from the first to the last of two counts, between samples by straight lines."""
    return (last - first) / (_reached(samples, last) - _reached(samples, first))


def _reached(samples: list[tuple[float, int]], wanted: float) -> float:
    before_s, before = 0.0, 0
    for at, count in samples:
        if count >= wanted:
            share = (wanted - before) / (count - before) if count > before else 1.0
            return before_s + share * (at - before_s)
        before_s, before = at, count
    raise CannotRun(f"{wanted:,.0f} receipts were never reached")
