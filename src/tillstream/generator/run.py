"""A run of the generator. It sends receipts to ingest and returns a report."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

import uvloop
from msgspec import Struct

from tillstream.client.sender import Request, Sender, Tally, Target
from tillstream.clock import Clock, SystemClock
from tillstream.errors import OperationalError
from tillstream.generator.schedule import Options, Phase, phases

Progress = Callable[[Tally], None]

TICK_S = 0.1
TIMEOUT_S = 30.0
"""The maximum time to wait for a response. After that, the request is sent again on a new connection."""

DRAIN_S = 5.0
"""The maximum time to wait for the remaining responses after an interruption."""

BACKLOG_LIMIT = 10_000
"""While this many requests wait for a connection, a paced phase creates no more receipts."""

LATE_S = 1.0
"""If a paced phase is behind schedule at the end of its duration, it has this extra time to catch up."""

RECEIPTS_PER_TICK = 64
"""After this number of receipts, a paced phase lets other tasks run, even if it is behind schedule."""


class Report(Struct, frozen=True, kw_only=True):
    """The outcome of a run. A latency is the time from the creation of a request to its final response."""

    seed: int
    sent: int
    accepted: int
    refused: int
    unacknowledged: int
    retried: int
    seconds: float
    receipts_per_second: float
    latency_p50_ms: float
    latency_p99_ms: float
    latency_max_ms: float
    refusal: str = ""
    """The status and the body of the first refusal."""

    trouble: str = ""
    """The last problem with sending a request."""

    @property
    def clean(self) -> bool:
        """Whether every receipt was accepted."""
        return not self.refused and not self.unacknowledged


def report(tally: Tally, seed: int, seconds: float) -> Report:
    """Return the report of a run that took `seconds`."""

    def milliseconds(microseconds: int) -> float:
        return round(microseconds / 1000, 3)

    return Report(
        seed=seed,
        sent=tally.sent,
        accepted=tally.accepted,
        refused=tally.refused,
        unacknowledged=tally.unacknowledged,
        retried=tally.retried,
        seconds=round(seconds, 3),
        receipts_per_second=round(tally.accepted / seconds, 1) if seconds else 0.0,
        latency_p50_ms=milliseconds(tally.latency.percentile_us(50)),
        latency_p99_ms=milliseconds(tally.latency.percentile_us(99)),
        latency_max_ms=milliseconds(tally.latency.max_us),
        refusal=tally.refusal,
        trouble=tally.problem,
    )


class IngestTimeout(OperationalError):
    """Ingest acknowledged nothing within the time limit."""

    report: Report | None = None


def generate(options: Options, progress: Progress, clock: Clock | None = None) -> Report:
    """Send the receipts and return the report. The first SIGINT or SIGTERM ends the run early.

    Raises `IngestTimeout` if ingest acknowledges nothing for `give_up_s`. The error contains the report of the run.
    """

    async def main() -> Report:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _interrupt, loop, number, stop)
        return await run(options, progress, clock or SystemClock(), stop)

    return uvloop.run(main())


def _interrupt(loop: asyncio.AbstractEventLoop, number: int, stop: asyncio.Event) -> None:
    stop.set()
    # If the same signal comes again, it ends the process without a report.
    loop.remove_signal_handler(number)


async def run(options: Options, progress: Progress, clock: Clock, stop: asyncio.Event) -> Report:
    """Send the receipts in the running event loop, and return the report. The event `stop` ends the run early."""
    target = Target.parse(options.url)
    tally = Tally()
    started_ns = time.perf_counter_ns()

    def current_report() -> Report:
        return report(tally, options.seed, (time.perf_counter_ns() - started_ns) / 1e9)

    try:
        for phase in phases(options, clock):
            if stop.is_set():
                break
            if not tally.phase:
                # The reported time does not include the preparation of the first phase.
                started_ns = time.perf_counter_ns()
            tally.phase = phase.name
            tally.expected = None if phase.expected is None else tally.sent + phase.expected
            await _PhaseRun(options, target, phase, tally, progress, stop).run()
            progress(tally)
    except IngestTimeout as error:
        error.report = current_report()
        raise
    return current_report()


class _PhaseRun:
    """Sends the receipts of one phase."""

    def __init__(
        self, options: Options, target: Target, phase: Phase, tally: Tally, progress: Progress, stop: asyncio.Event
    ) -> None:
        self._options = options
        self._phase = phase
        self._tally = tally
        self._progress = progress
        self._stop = stop
        single = phase.batch == 1
        self._path = "/receipt" if single else "/receipts"
        media_type = "application/json" if single else "application/x-ndjson"
        self._head = target.head(self._path, media_type, simulated=phase.simulated, key=options.key)
        random = Random(f"{options.seed} waits")
        self._sender = Sender(target, phase.connections, tally, random, same_machine=options.same_machine)
        self._started_ns = time.perf_counter_ns()
        self._ticked_ns = 0

    async def run(self) -> None:
        try:
            if self._phase.paced:
                await self._send_paced()
            else:
                self._sender.feed(self._requests())
            await self._drain()
        finally:
            self._sender.close()

    def _elapsed_s(self) -> float:
        return (time.perf_counter_ns() - self._started_ns) / 1e9

    def _request(self, texts: list[bytes]) -> Request:
        return Request(self._head, b"\n".join(texts), len(texts), time.perf_counter_ns())

    def _requests(self) -> Iterator[Request]:
        """Yield the requests of the phase. Each is created only when the sender has a free connection for it."""
        texts = (self._phase.receipt_at(local_s) for _, local_s in self._phase.moments)
        while batch := list(islice(texts, self._phase.batch)):
            yield self._request(batch)

    async def _send_paced(self) -> None:
        """Create each receipt when it is due, and send a batch when it is complete."""
        limit_s = self._phase.duration_s
        texts: list[bytes] = []
        for number, (due_s, local_s) in enumerate(self._phase.moments):
            if due_s > limit_s or self._elapsed_s() > limit_s + LATE_S:
                break
            if not await self._wait_until(due_s, number):
                return
            texts.append(self._phase.receipt_at(local_s))
            if len(texts) == self._phase.batch:
                self._sender.submit(self._request(texts))
                texts = []
        if texts:
            self._sender.submit(self._request(texts))

    async def _wait_until(self, due_s: float, number: int) -> bool:
        """Wait until `due_s` seconds have elapsed and the queue has room. Return False if the run was stopped."""
        while (wait_s := due_s - self._elapsed_s()) > 0 or len(self._sender.waiting) >= BACKLOG_LIMIT:
            self._tick()
            if self._stop.is_set():
                return False
            await asyncio.sleep(min(wait_s, TICK_S) if wait_s > 0 else TICK_S / 10)
        if number % RECEIPTS_PER_TICK == 0:
            self._tick()
            await asyncio.sleep(0)
        return not self._stop.is_set()

    async def _drain(self) -> None:
        """Wait for the responses to all requests. After an interruption, wait at most `DRAIN_S`."""
        # A paced phase creates no receipts after its time limit, but still sends all waiting requests. So the
        # wait for them has no limit.
        limit_s = math.inf if self._phase.paced else self._phase.duration_s
        stopped_s = math.inf
        while not await self._sender.drained(TICK_S):
            self._tick()
            elapsed_s = self._elapsed_s()
            if stopped_s == math.inf and (self._stop.is_set() or elapsed_s > limit_s):
                self._sender.stop()
                stopped_s = elapsed_s
            if self._stop.is_set() and elapsed_s > stopped_s + DRAIN_S:
                return

    def _tick(self) -> None:
        now_ns = time.perf_counter_ns()
        if now_ns - self._ticked_ns < TICK_S * 1e9 / 2:
            return
        self._ticked_ns = now_ns
        self._sender.drop_silent(TIMEOUT_S)
        self._progress(self._tally)
        if self._sender.failure is not None:
            raise self._sender.failure
        if self._sender.stuck_s() > self._options.give_up_s:
            url = self._options.url.rstrip("/") + self._path
            problem = self._tally.problem or "no answer"
            because = f"nothing was acknowledged for {self._options.give_up_s:g} s ({problem})"
            raise IngestTimeout("send receipts to", url, because, "check that `tillstream up` is running")
