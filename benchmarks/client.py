"""A client for loads that wrk cannot create: a fixed rate of receipts, and a fixed number of them in batches."""

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

from benchmarks.harness import BATCH, BenchmarkError
from benchmarks.payload import JSON, NDJSON, Tills

PACED_CONNECTIONS = 64
MAX_CONNECTIONS = 3_000
MAX_ATTEMPTS = 4
LOADING_CONNECTIONS = 4
POLL_S = 0.02
FEEDBACK_S = 0.1


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that raises the first error of a task instead of an exception group."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failed:
        raise next(
            (each for each in failed.exceptions if isinstance(each, BenchmarkError)), failed.exceptions[0]
        ) from failed


class Connection:
    """A keep-alive connection that reconnects if the server closes it. It supports only answers with a Content-Length."""

    def __init__(self, url: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._url = url
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Connection:
        return cls(url, *await _connect(url))

    async def post(self, path: str, body: bytes, content_type: str) -> bytes:
        """Post a body and return the answer. Without an answer, send it again, because a receipt counts once.

        Raises `BenchmarkError` if the status is not 202.
        """
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
        return await self._call(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, 202)

    async def get(self, path: str) -> Any:
        """Return the JSON of the answer. Raises `BenchmarkError` if the status is not 200."""
        return json.loads(await self._call(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), 200))

    async def _call(self, request: bytes, expected: int) -> bytes:
        last_error: Exception | None = None
        for _ in range(MAX_ATTEMPTS):
            try:
                if last_error is not None:
                    self._writer.close()
                    self._reader, self._writer = await _connect(self._url)
                return await self._exchange(request, expected)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                last_error = error
        raise BenchmarkError(f"{self._url} closed the connection {MAX_ATTEMPTS} times without an answer: {last_error}")

    async def _exchange(self, request: bytes, expected: int) -> bytes:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(f"http/1.1 {expected} "):
            raise BenchmarkError(f"{head.partition(chr(13))[0]}: {body[:300].decode(errors='replace')}")
        return body

    def close(self) -> None:
        self._writer.close()


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port, limit=2**24)


@dataclass
class Sales:
    """The number of receipts of a day in the database, read over a separate connection."""

    connection: Connection
    day: str

    async def receipts(self) -> int:
        rows = (await self.connection.get(f"/api/v1/metrics/sales?day={self.day}"))["rows"]
        return rows[0]["receipts"] if rows else 0


async def sell(url: str, rate: float, seconds: float, seed: int, answered_ms: list[float] | None = None) -> list[float]:
    """Post receipts with the current time at random intervals, on average `rate` per second.

    Return the times of sending by `perf_counter`. A receipt never waits for the answer to another one. If no connection is idle, a new one is opened. The response
    times are added to `answered_ms`.
    """
    random, tills, sent = Random(seed), Tills(), []
    # Connections are used in turn, because ingest closes a connection that is idle for long.
    idle = deque([await Connection.open(url) for _ in range(PACED_CONNECTIONS)])
    opened = len(idle)
    began = time.perf_counter()
    due = began

    async def post(connection: Connection) -> None:
        receipt, began = tills.receipt(), time.perf_counter()
        sent.append(began)
        await connection.post("/receipt", receipt, JSON)
        if answered_ms is not None:
            answered_ms.append((time.perf_counter() - began) * 1_000)
        idle.append(connection)

    async with task_group() as group:
        while True:
            due += random.expovariate(rate)
            if due > began + seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if not idle:
                opened += 1
                if opened > MAX_CONNECTIONS:
                    raise BenchmarkError(f"at {rate:g} receipts/s, {MAX_CONNECTIONS} requests wait for their answers")
                idle.append(await Connection.open(url))
            group.create_task(post(idle.popleft()))
    for connection in idle:
        connection.close()
    return sent


async def watch(dashboard: str, day: str, expected: Callable[[], int], done: asyncio.Event) -> list[tuple[float, int]]:
    """Sample the receipts of the day in the database, until `done` is set and `expected` receipts are visible.

    A sample is the time by `perf_counter` and the number of receipts.
    """
    sales, samples = Sales(await Connection.open(dashboard), day), []
    while True:
        count = await sales.receipts()
        samples.append((time.perf_counter(), count))
        if done.is_set() and count >= expected():
            sales.connection.close()
            return samples
        await asyncio.sleep(POLL_S)


def delays_ms(sent: list[float], samples: list[tuple[float, int]], before: int) -> list[float]:
    """The delay of each receipt from sending until it is visible. The n-th one is visible once n receipts are."""
    found, remaining = [], iter(samples)
    visible_s, count = next(remaining)
    for number, sent_s in enumerate(sorted(sent), before + 1):
        while count < number:
            visible_s, count = next(remaining)
        found.append((visible_s - sent_s) * 1_000)
    return found


@dataclass
class Progress:
    """Samples of a load: seconds since its start, and the total number of receipts.

    The seconds of `acknowledged` exclude the time without a request in flight.
    """

    acknowledged: list[tuple[float, int]] = field(default_factory=list)
    processed: list[tuple[float, int]] = field(default_factory=list)


class Loader:
    """Sends `count` receipts in NDJSON batches. It pauses if more than `max_lag` of them are not yet visible."""

    def __init__(self, url: str, dashboard: str, tills: Tills, day: str, count: int, max_lag: int) -> None:
        self._url, self._dashboard, self._day = url, dashboard, day
        self._tills, self._count, self._max_lag = tills, count, max_lag
        self._sizes: Iterator[int] = (min(BATCH, count - first) for first in range(0, count, BATCH))
        self._progress_changed = asyncio.Condition()
        self._in_flight = 0
        self._busy_s = self._busy_since_s = 0.0
        self._progress = Progress()
        self.acknowledged = self.processed = 0

    async def run(self, tick: Callable[[], None]) -> Progress:
        """Send the receipts and wait until all are visible. `tick` is called after each query for them."""
        async with task_group() as group:
            group.create_task(self._follow(tick))
            for _ in range(LOADING_CONNECTIONS):
                group.create_task(self._send())
        return self._progress

    async def _send(self) -> None:
        connection = await Connection.open(self._url)
        for size in self._sizes:
            async with self._progress_changed:
                await self._progress_changed.wait_for(self._has_capacity)
            await self._post(connection, self._tills.batch(size))
            self.acknowledged += size
            self._progress.acknowledged.append((self._busy_seconds(), self.acknowledged))
        connection.close()

    async def _post(self, connection: Connection, batch: bytes) -> None:
        if not self._in_flight:
            self._busy_since_s = time.perf_counter()
        self._in_flight += 1
        await connection.post("/receipts", batch, NDJSON)
        self._in_flight -= 1
        if not self._in_flight:
            self._busy_s += time.perf_counter() - self._busy_since_s

    def _busy_seconds(self) -> float:
        return self._busy_s + (time.perf_counter() - self._busy_since_s if self._in_flight else 0.0)

    def _has_capacity(self) -> bool:
        return self.acknowledged - self.processed <= self._max_lag

    async def _follow(self, tick: Callable[[], None]) -> None:
        sales, began = Sales(await Connection.open(self._dashboard), self._day), time.perf_counter()
        while self.processed < self._count:
            self.processed = await sales.receipts()
            self._progress.processed.append((time.perf_counter() - began, self.processed))
            tick()
            async with self._progress_changed:
                self._progress_changed.notify_all()
            await asyncio.sleep(FEEDBACK_S)
        sales.connection.close()


def rate_between(samples: list[tuple[float, int]], first: float, last: float) -> float:
    """The receipts per second between two counts, with linear interpolation between samples."""
    return (last - first) / (_reached(samples, last) - _reached(samples, first))


def _reached(samples: list[tuple[float, int]], expected: float) -> float:
    before_s, before = 0.0, 0
    for sample_s, count in samples:
        if count >= expected:
            share = (expected - before) / (count - before) if count > before else 1.0
            return before_s + share * (sample_s - before_s)
        before_s, before = sample_s, count
    raise BenchmarkError(f"the count never reached {expected:,.0f} receipts")
