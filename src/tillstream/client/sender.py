"""A fast HTTP client for ingest: persistent connections with one request in flight on each.

A connection repeats its request unchanged after a status of 408, 429, 500 or more, a broken connection or a time-out.
A receipt may therefore arrive twice, and the engine counts it once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from ssl import SSLContext
from typing import cast

import msgspec

from tillstream.client.messages import Answer, BadAnswer, Target, parse
from tillstream.client.tally import Tally

RETRY_AFTER_LIMIT_S = 10.0
RETRY_FIRST_S = 0.05
RETRY_LIMIT_S = 2.0
"""Pauses between attempts: `Retry-After` up to its limit, or else doubled from the first pause to the limit."""

JITTER = 0.25
"""Maximum random extension of a pause, as a share, so that connections do not retry all at once."""

REFUSAL_CHARACTERS = 300

_LATER = frozenset({408, 429})


class Request:
    """The bytes of a request, its number of receipts, and the time in nanoseconds when it was ready."""

    __slots__ = ("attempts", "data", "receipts", "since_ns")

    def __init__(self, data: bytes, receipts: int, since_ns: int) -> None:
        self.data = data
        self.receipts = receipts
        self.since_ns = since_ns
        self.attempts = 0


class _Accepted(msgspec.Struct):
    """The response to a batch."""

    accepted: int | None = None


class Connection(asyncio.Protocol):
    """A connection to the server, opened on first use and after a loss."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self.request: Request | None = None
        self.sent_ns = 0
        """Time when the request was sent; 0 if none is in flight."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def send(self) -> None:
        """Send the request of this connection. Opens the connection first if necessary."""
        request = self.request
        if request is None:
            return
        if self._transport is None:
            self._sender.open(self)
            return
        if self._transport.is_closing():
            self._transport.abort()
            self._sender.later(self, RETRY_FIRST_S)
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
            answer = parse(data)
        except BadAnswer as error:
            self.drop(f"an answer was not understood: {error}")
            return
        if answer is None:
            self._received = data
        elif self.sent_ns:
            self._received = b""
            self.sent_ns = 0
            self._sender.answered(self, answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self.sent_ns:
            self.sent_ns = 0
            self._sender.broken(self, str(error or "the connection was closed before the answer"))

    def drop(self, because: str) -> None:
        """Close the connection. A request in flight is sent again."""
        if self._transport is not None:
            self._transport.abort()
        if self.sent_ns:
            self.sent_ns = 0
            self._sender.broken(self, because)

    def close(self) -> None:
        self.sent_ns = 0
        self.request = None
        if self._transport is not None:
            self._transport.abort()


class Sender:
    """Sends requests over several connections, pulled from an iterator or submitted one by one.

    `on_answer` gets each final response. `tls` replaces the default TLS context of an `https://` address.
    """

    def __init__(
        self,
        to: Target,
        connections: int,
        tally: Tally,
        random: Random,
        on_answer: Callable[[Request, Answer], None] | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._to = to
        self._tls = tls or to.tls or None
        self._random = random
        self._on_answer = on_answer
        self._connections = [Connection(self) for _ in range(connections)]
        self._idle = list(reversed(self._connections))
        self._waiting: deque[Request] = deque()
        self._source: Iterator[Request] | None = None
        self._openings: set[asyncio.Task[None]] = set()
        self._closed = False
        self._progress_ns = time.perf_counter_ns()
        self._drained = asyncio.Event()
        self._drained.set()
        self.tally = tally
        self.failure: BaseException | None = None
        self._loop.set_exception_handler(self._fail)

    def feed(self, source: Iterator[Request]) -> None:
        """Send the requests of the source over all connections."""
        self._source = source
        self._begin()
        while self._idle and self._source is not None:
            self._next(self._idle.pop())

    def submit(self, request: Request) -> None:
        """Send a request as soon as a connection is idle."""
        self._begin()
        self._waiting.append(request)
        if self._idle:
            self._next(self._idle.pop())

    def stop(self) -> None:
        """Stop reading from the source. Requests in flight continue."""
        self._source = None
        self._waiting.clear()
        self._check()

    async def drained(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` and return whether every request is answered. Raises errors of callbacks."""
        try:
            await asyncio.wait_for(self._drained.wait(), timeout_s)
        except TimeoutError:
            return False
        finally:
            if self.failure is not None:
                raise self.failure
        return True

    @property
    def backlog(self) -> int:
        """Number of requests that wait for a connection."""
        return len(self._waiting)

    @property
    def free(self) -> int:
        """Number of idle connections."""
        return len(self._idle)

    def stuck_s(self) -> float:
        """Seconds since the last final response; 0 if no request waits for one."""
        return 0.0 if self._drained.is_set() else (time.perf_counter_ns() - self._progress_ns) / 1e9

    def drop_silent(self, timeout_s: float) -> None:
        """Close the connections whose response is overdue. Their requests are sent again."""
        limit_ns = time.perf_counter_ns() - round(timeout_s * 1e9)
        for connection in self._connections:
            if 0 < connection.sent_ns < limit_ns:
                connection.drop(f"no answer within {timeout_s:g} s")

    async def close(self) -> None:
        self._closed = True
        for connection in self._connections:
            connection.close()
        for opening in self._openings:
            opening.cancel()
        await asyncio.gather(*self._openings, return_exceptions=True)

    def open(self, connection: Connection) -> None:
        opening = self._loop.create_task(self._open(connection))
        self._openings.add(opening)
        opening.add_done_callback(self._openings.discard)

    def later(self, connection: Connection, wait_s: float) -> None:
        """Send the request of the connection after about `wait_s`."""
        self._loop.call_later(wait_s * (1 + JITTER * self._random.random()), connection.send)

    def answered(self, connection: Connection, answer: Answer) -> None:
        request = connection.request
        if request is None:
            return
        status = answer.status
        if status in _LATER or status >= 500:
            self._again(connection, request, f"the server answered {status}", answer.retry_after_s)
            return
        tally = self.tally
        accepted = request.receipts if 200 <= status < 300 else 0
        if accepted > 1:
            accepted = _accepted(answer.body, accepted)
        tally.accepted += accepted
        if accepted < request.receipts:
            tally.refused += request.receipts - accepted
            tally.refusal = tally.refusal or f"{status} {answer.body[:REFUSAL_CHARACTERS].decode(errors='replace')}"
        now_ns = time.perf_counter_ns()
        tally.latency.add((now_ns - request.since_ns) // 1000)
        self._progress_ns = now_ns
        connection.request = None
        if self._on_answer is not None:
            self._on_answer(request, answer)
        self._next(connection)

    def broken(self, connection: Connection, because: str) -> None:
        if connection.request is not None and not self._closed:
            self._again(connection, connection.request, because, None)

    def _again(self, connection: Connection, request: Request, because: str, retry_after_s: float | None) -> None:
        self.tally.problem = because
        if retry_after_s is None:
            wait_s = min(RETRY_LIMIT_S, RETRY_FIRST_S * 2 ** min(request.attempts - 1, 10))
        else:
            wait_s = min(RETRY_AFTER_LIMIT_S, retry_after_s)
        self.later(connection, wait_s)

    async def _open(self, connection: Connection) -> None:
        to = self._to
        wait_s = RETRY_FIRST_S
        while not self._closed:
            try:
                await self._loop.create_connection(lambda: connection, to.host, to.port, ssl=self._tls)
            except OSError as error:
                self.tally.problem = f"{error.strerror or error}"
                await asyncio.sleep(wait_s * (1 + JITTER * self._random.random()))
                wait_s = min(RETRY_LIMIT_S, 2 * wait_s)
            else:
                connection.send()
                return

    def _begin(self) -> None:
        if self._drained.is_set():
            self._drained.clear()
            self._progress_ns = time.perf_counter_ns()

    def _next(self, connection: Connection) -> None:
        """Send the next request on an idle connection, or mark it as idle."""
        if self._waiting:
            request: Request | None = self._waiting.popleft()
        elif self._source is not None:
            request = next(self._source, None)
            if request is None:
                self._source = None
        else:
            request = None
        if request is None:
            self._idle.append(connection)
            self._check()
        else:
            self.tally.sent += request.receipts
            connection.request = request
            connection.send()

    def _check(self) -> None:
        if self._source is None and not self._waiting and len(self._idle) == len(self._connections):
            self._drained.set()

    def _fail(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """End the run after an error in a callback, which would otherwise leave it waiting."""
        error = context.get("exception")
        self.failure = error if isinstance(error, BaseException) else RuntimeError(str(context.get("message")))
        self._drained.set()


def _accepted(body: bytes, receipts: int) -> int:
    """The number of accepted receipts of a batch: all, unless the response gives a smaller number."""
    try:
        accepted = msgspec.json.decode(body, type=_Accepted).accepted
    except msgspec.DecodeError:
        return receipts
    return receipts if accepted is None else max(0, min(receipts, accepted))
