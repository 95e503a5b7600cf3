"""A fast HTTP client of ingest: kept-open connections, one request in flight on each.

A connection holds its request until that is answered for good, and sends the very same bytes
again after 408, 429, 503, another failure of the server, a broken connection or a time-out. So one
receipt may arrive twice, which the server counts once, but never becomes two.
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
"""Waits between attempts: as told, up to a limit; else doubling from the first to the limit."""

JITTER = 0.25
"""Share by which a wait is drawn out at random, so that tills don't return all at once."""

REFUSAL_CHARACTERS = 300

_LATER = frozenset({408, 429})


class Request:
    """Bytes to send, how many receipts they hold, and when they were ready (nanoseconds)."""

    __slots__ = ("attempts", "data", "receipts", "since_ns")

    def __init__(self, data: bytes, receipts: int, since_ns: int) -> None:
        self.data = data
        self.receipts = receipts
        self.since_ns = since_ns
        self.attempts = 0


class _Accepted(msgspec.Struct):
    """What counts in the answer to a batch."""

    accepted: int | None = None


class Connection(asyncio.Protocol):
    """One connection to the server, opened when it is first needed and again when it was lost."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self.request: Request | None = None
        self.sent_ns = 0
        """When the request went out; 0 while none is in flight."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def send(self) -> None:
        """Send the request that the connection holds, opening it first where need be."""
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
        """Close at once; a request in flight is sent again."""
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
    """Spreads requests over connections: pulled from a source as fast as possible, or submitted one by one.

    `on_answer` is told of each answer that is for good; `tls` is for an address of https that its usual certificates
    would not do for.
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
        """Send all that the source yields, on every connection at once."""
        self._source = source
        self._begin()
        while self._idle and self._source is not None:
            self._next(self._idle.pop())

    def submit(self, request: Request) -> None:
        """Send a request on an idle connection, or when one becomes idle."""
        self._begin()
        self._waiting.append(request)
        if self._idle:
            self._next(self._idle.pop())

    def stop(self) -> None:
        """Take nothing more from the source; what is under way goes on."""
        self._source = None
        self._waiting.clear()
        self._check()

    async def drained(self, timeout_s: float) -> bool:
        """Whether everything is answered, within the time given. Raises what went wrong inside."""
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
        """Requests that are due but wait for a connection."""
        return len(self._waiting)

    @property
    def free(self) -> int:
        """Connections that nothing is in flight on."""
        return len(self._idle)

    def stuck_s(self) -> float:
        """Seconds since the last answer that settled something; 0 while nothing waits for one."""
        return 0.0 if self._drained.is_set() else (time.perf_counter_ns() - self._progress_ns) / 1e9

    def drop_silent(self, timeout_s: float) -> None:
        """Break the connections whose answer is overdue; their requests are sent again."""
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
        """Send what the connection holds after about that long."""
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

    def _again(self, connection: Connection, request: Request, because: str, told_s: float | None) -> None:
        self.tally.trouble = because
        if told_s is None:
            wait_s = min(RETRY_LIMIT_S, RETRY_FIRST_S * 2 ** min(request.attempts - 1, 10))
        else:
            wait_s = min(RETRY_AFTER_LIMIT_S, told_s)
        self.later(connection, wait_s)

    async def _open(self, connection: Connection) -> None:
        to = self._to
        wait_s = RETRY_FIRST_S
        while not self._closed:
            try:
                await self._loop.create_connection(lambda: connection, to.host, to.port, ssl=self._tls)
            except OSError as error:
                self.tally.trouble = f"{error.strerror or error}"
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
        """Give an idle connection its next request, or lay it aside."""
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
        """A fault within a callback must end the run instead of leaving it waiting."""
        error = context.get("exception")
        self.failure = error if isinstance(error, BaseException) else RuntimeError(str(context.get("message")))
        self._drained.set()


def _accepted(body: bytes, receipts: int) -> int:
    """How many of a batch the server took: all, unless its answer says fewer."""
    try:
        accepted = msgspec.json.decode(body, type=_Accepted).accepted
    except msgspec.DecodeError:
        return receipts
    return receipts if accepted is None else max(0, min(receipts, accepted))
