"""A fast HTTP client that sends receipts to ingest. It uses several persistent connections.

A connection sends one request at a time. It sends the same request again after a 408, a 429, any 5xx, a timeout, or a
lost connection. A receipt may therefore arrive twice, but the engine counts it once.
"""

from __future__ import annotations

import asyncio
import math
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import msgspec

from tillstream.client.control import RETRYABLE, unverified_tls
from tillstream.errors import OperationalError, TillstreamError

RESPONSE_LIMIT_BYTES = 16 * 1024 * 1024

RETRY_AFTER_LIMIT_S = 10.0
"""The maximum pause after a response with `Retry-After`."""

RETRY_FIRST_S = 0.05
RETRY_LIMIT_S = 2.0
"""Without `Retry-After`, the first pause is `RETRY_FIRST_S`. Each attempt then doubles the pause, up to this limit."""

JITTER = 0.25
"""Each pause is extended at random by up to this fraction, so that connections do not retry simultaneously."""

BUCKETS_PER_OCTAVE = 16
"""The number of histogram buckets for each doubling of a latency. Latencies are accurate to about 4%."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,8})[ \t]*\r", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*([0-9]{1,8})[ \t]*\r", re.IGNORECASE)


class BadResponse(TillstreamError):
    """The bytes are not an HTTP/1.1 response that this client accepts."""


class Response(NamedTuple):
    status: int
    retry_after_s: float | None
    body: bytes


class Target(NamedTuple):
    """The address of an ingest server. `base` is the part of the URL before `/receipt`. It is usually empty."""

    host: str
    port: int
    tls: bool
    base: str

    @classmethod
    def parse(cls, url: str) -> Target:
        """Parse an `http://` or `https://` address. Raises `OperationalError` for any other text."""
        try:
            parts = urlsplit(url)
            port = parts.port
            (parts.hostname or "").encode("idna")
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("it is not an http:// or https:// address")
        except ValueError as error:
            hint = "use an address such as http://127.0.0.1:3000"
            raise OperationalError("send receipts to", url, error, hint) from error
        tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if tls else 80), tls, parts.path.rstrip("/"))

    def head(self, path: str, media_type: str, *, simulated: bool = False, key: str = "") -> bytes:
        """Encode the start of a request, up to and including `Content-Length: `. The length is added for each body."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        source = "Tillstream-Source: simulated\r\n" if simulated else ""
        authorization = f"Authorization: Bearer {key}\r\n" if key else ""
        return (
            f"POST {self.base}{path} HTTP/1.1\r\nHost: {host}:{self.port}\r\nContent-Type: {media_type}\r\n"
            f"{authorization}{source}Content-Length: "
        ).encode()


def parse(data: bytes) -> Response | None:
    """Parse a response. Returns None if it is incomplete. Raises `BadResponse`."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > RESPONSE_LIMIT_BYTES:
            raise BadResponse("its headers never end")
        return None
    status, length = _STATUS.match(data), _CONTENT_LENGTH.search(data, 0, end + 2)
    if status is None or length is None or int(length[1]) > RESPONSE_LIMIT_BYTES:
        raise BadResponse("it is not HTTP/1.1 with a usable Content-Length")
    stop = end + 4 + int(length[1])
    if len(data) < stop:
        return None
    retry_after = _RETRY_AFTER.search(data, 0, end + 2) if status[1] != b"202" else None
    return Response(int(status[1]), float(retry_after[1]) if retry_after else None, data[end + 4 : stop])


class Latency:
    """A histogram of latencies in microseconds, with logarithmic buckets."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.max_us = 0

    def add(self, microseconds: int) -> None:
        self._counts[math.ceil(BUCKETS_PER_OCTAVE * math.log2(max(1, microseconds)))] += 1
        self.count += 1
        self.max_us = max(self.max_us, microseconds)

    def percentile_us(self, percent: float) -> int:
        """Return the upper bound of the bucket that contains the percentile, or 0 if the histogram is empty."""
        remaining = self.count * percent / 100
        for bucket, count in sorted(self._counts.items()):
            remaining -= count
            if remaining <= 0:
                return min(self.max_us, math.ceil(2 ** (bucket / BUCKETS_PER_OCTAVE)))
        return self.max_us


@dataclass
class Tally:
    """Counts of receipts by outcome. A receipt that was sent three times counts twice in `retried`."""

    expected: int | None = None
    phase: str = ""
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    retried: int = 0
    problem: str = ""
    """The last problem in sending a request."""
    refusal: str = ""
    """The status and body of the first refusal."""
    latency: Latency = field(default_factory=Latency)

    @property
    def unacknowledged(self) -> int:
        return self.sent - self.accepted - self.refused


class Request:
    """A request and its number of receipts. `on_response` is called with the final response.

    A response is final if its status causes no further attempt. The latency is measured from `since_ns`, a value of
    `time.perf_counter_ns`.
    """

    __slots__ = ("attempts", "data", "on_response", "receipts", "since_ns")

    def __init__(
        self,
        head: bytes,
        body: bytes,
        receipts: int,
        since_ns: int = 0,
        on_response: Callable[[Response], None] | None = None,
    ) -> None:
        self.data = head + b"%d\r\n\r\n%b" % (len(body), body)
        self.receipts = receipts
        self.since_ns = since_ns
        self.on_response = on_response
        self.attempts = 0


class _BatchResponse(msgspec.Struct):
    accepted: int = sys.maxsize


class Connection(asyncio.Protocol):
    """A connection to the server. If it is lost, it is opened again for the next attempt."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._received = b""
        self.request: Request | None = None
        self.sent_ns = 0
        """The time when the request was sent, or 0 if no response is outstanding."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def send(self) -> None:
        """Send `request`. Opens the connection first if necessary."""
        request = self.request
        if request is None:
            return
        if self._transport is None:
            self._opening = asyncio.get_running_loop().create_task(self._sender.open(self))
            return
        if self._transport.is_closing():
            self._transport.abort()
            self._sender.send_later(self, RETRY_FIRST_S)
            return
        if request.attempts:
            self._sender.tally.retried += request.receipts
        request.attempts += 1
        self.sent_ns = time.perf_counter_ns()
        self._transport.write(request.data)

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        try:
            response = parse(data)
        except BadResponse as error:
            self.drop(f"the response is invalid: {error}")
            return
        if response is None:
            self._received = data
        elif self.sent_ns:
            self._received = b""
            self.sent_ns = 0
            self._sender.on_response(self, response)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._retry(str(error or "the connection was closed before the response"))

    def drop(self, reason: str) -> None:
        """Close the connection. If a response is outstanding, its request is sent again."""
        if self._transport is not None:
            self._transport.abort()
        self._retry(reason)

    def close(self) -> None:
        self.sent_ns = 0
        self.request = None
        self.drop("it is closed")
        if self._opening is not None:
            self._opening.cancel()

    def _retry(self, reason: str) -> None:
        if self.sent_ns:
            self.sent_ns = 0
            self._sender.retry(self, reason)


class Sender:
    """Sends requests over several connections. The requests come from `feed` or from calls to `submit`.

    With `same_machine`, any certificate is accepted.
    """

    def __init__(
        self, target: Target, connections: int, tally: Tally, random: Random, *, same_machine: bool = False
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._tls = unverified_tls() if target.tls and same_machine else target.tls or None
        self._random = random
        self._connections = [Connection(self) for _ in range(connections)]
        self.idle = list(self._connections)
        self.waiting: deque[Request] = deque()
        """The requests that wait for an idle connection."""
        self._source: Iterator[Request] = iter(())
        self._progress_ns = time.perf_counter_ns()
        self._drained = asyncio.Event()
        self._drained.set()
        self.tally = tally
        self.failure: BaseException | None = None
        self._loop.set_exception_handler(self._fail)

    def feed(self, source: Iterator[Request]) -> None:
        """Send the requests of the source over all connections."""
        self._source = source
        idle, self.idle = self.idle, []
        for connection in idle:
            self._next(connection)

    def submit(self, request: Request) -> None:
        """Send a request as soon as a connection is idle."""
        self.waiting.append(request)
        if self.idle:
            self._next(self.idle.pop())

    def stop(self) -> None:
        """Send no new requests. Requests that were already sent are retried until they get a final response."""
        self._source = iter(())
        self.waiting.clear()

    async def drained(self, timeout_s: float) -> bool:
        """Wait until every request has a final response. Returns False if this takes longer than `timeout_s`.

        If a callback has failed, raises its error.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._drained.wait(), timeout_s)
        if self.failure is not None:
            raise self.failure
        return self._drained.is_set()

    def stuck_s(self) -> float:
        """Return the seconds without a final response while requests are waiting, or 0 if no request is waiting."""
        return 0.0 if self._drained.is_set() else (time.perf_counter_ns() - self._progress_ns) / 1e9

    def drop_silent(self, timeout_s: float) -> None:
        """Close each connection that has waited longer than `timeout_s` for a response. Its request is sent again."""
        limit_ns = time.perf_counter_ns() - round(timeout_s * 1e9)
        for connection in self._connections:
            if 0 < connection.sent_ns < limit_ns:
                connection.drop(f"no response within {timeout_s:g} s")

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def send_later(self, connection: Connection, wait_s: float) -> None:
        """Send the connection's request after `wait_s` and a random extension."""
        self._loop.call_later(wait_s * (1 + JITTER * self._random.random()), connection.send)

    def on_response(self, connection: Connection, response: Response) -> None:
        """Count a final response, then send the next request. If the status is retryable, retry the request instead."""
        request, status = connection.request, response.status
        assert request is not None
        if status in RETRYABLE or status >= 500:
            self.retry(connection, f"the server answered {status}", response.retry_after_s)
            return
        tally = self.tally
        accepted = request.receipts if 200 <= status < 300 else 0
        if accepted > 1:
            accepted = _accepted(response.body, accepted)
        tally.accepted += accepted
        if accepted < request.receipts:
            tally.refused += request.receipts - accepted
            tally.refusal = tally.refusal or f"{status} {response.body[:300].decode(errors='replace')}"
        self._progress_ns = time.perf_counter_ns()
        tally.latency.add((self._progress_ns - request.since_ns) // 1000)
        connection.request = None
        if request.on_response is not None:
            request.on_response(response)
        self._next(connection)

    def retry(self, connection: Connection, reason: str, retry_after_s: float | None = None) -> None:
        """Send the connection's request again after a pause."""
        assert connection.request is not None
        self.tally.problem = reason
        if retry_after_s is None:
            wait_s = min(RETRY_LIMIT_S, RETRY_FIRST_S * 2 ** min(connection.request.attempts - 1, 10))
        else:
            wait_s = min(RETRY_AFTER_LIMIT_S, retry_after_s)
        self.send_later(connection, wait_s)

    async def open(self, connection: Connection) -> None:
        """Open a connection, with as many attempts as necessary. Then send its request."""
        target, wait_s = self._target, RETRY_FIRST_S
        while True:
            try:
                await self._loop.create_connection(lambda: connection, target.host, target.port, ssl=self._tls)
            except OSError as error:
                self.tally.problem = error.strerror or str(error)
                await asyncio.sleep(wait_s * (1 + JITTER * self._random.random()))
                wait_s = min(RETRY_LIMIT_S, 2 * wait_s)
            else:
                connection.send()
                return

    def _next(self, connection: Connection) -> None:
        """Send the next request on a connection, or mark the connection as idle."""
        request = self.waiting.popleft() if self.waiting else next(self._source, None)
        if request is None:
            self.idle.append(connection)
            if len(self.idle) == len(self._connections):
                self._drained.set()
            return
        if self._drained.is_set():
            self._drained.clear()
            self._progress_ns = time.perf_counter_ns()
        self.tally.sent += request.receipts
        connection.request = request
        connection.send()

    def _fail(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Store an error that a callback has raised, so that `drained` raises it at once."""
        error = context.get("exception")
        self.failure = error if isinstance(error, BaseException) else RuntimeError(str(context.get("message")))
        self._drained.set()


def _accepted(body: bytes, receipts: int) -> int:
    """Return the number of accepted receipts in the response to a batch. Without such a number, return `receipts`."""
    try:
        return min(receipts, msgspec.json.decode(body, type=_BatchResponse).accepted)
    except msgspec.DecodeError:
        return receipts
