"""Sends the phases of a run, shows their progress, and reports the outcome."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

import uvloop
from msgspec import Struct

from tillstream.client.sender import Request, Sender, Tally, Target
from tillstream.clock import Clock, SystemClock
from tillstream.errors import OperationalError
from tillstream.generator.plan import Options, Phase, phases

Progress = Callable[[Tally], None]

TICK_S = 0.1
DRAIN_S = 5.0
"""Longest wait for responses after an interruption."""

BACKLOG_LIMIT = 10_000
"""Maximum number of due requests in the queue. The generator waits for the server beyond it."""

LATE_S = 1.0
"""Delay that a paced phase may catch up after its duration, so that it sends the same receipts each time."""

RECEIPTS_PER_TICK = 64


class Report(Struct, frozen=True, kw_only=True):
    """The outcome of a run. Latencies are measured from when a request was ready to its response, with retries."""

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
    """Status and body of the first refusal."""
    trouble: str = ""
    """The last problem in sending a request."""

    @property
    def clean(self) -> bool:
        """Whether every receipt was accepted."""
        return not self.refused and not self.unacknowledged


def report(tally: Tally, seed: int, seconds: float) -> Report:
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
    """Send the receipts and return the report.

    SIGINT and SIGTERM end the run early. A second SIGINT ends it without a report. After `give_up_s` without progress
    it raises `IngestTimeout`, which has the report so far.
    """

    async def main() -> Report:
        stop = asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, _interrupt, loop, number, stop)
        return await run(options, progress, clock or SystemClock(), stop)

    return uvloop.run(main())


def _interrupt(loop: asyncio.AbstractEventLoop, number: int, stop: asyncio.Event) -> None:
    stop.set()
    loop.remove_signal_handler(number)


async def run(options: Options, progress: Progress, clock: Clock, stop: asyncio.Event) -> Report:
    """Like `generate`, within a running event loop. `stop` ends the run early."""
    to = Target.parse(options.url)
    tally = Tally()
    began_ns = time.perf_counter_ns()

    def so_far() -> Report:
        return report(tally, options.seed, (time.perf_counter_ns() - began_ns) / 1e9)

    try:
        for phase in phases(options, clock):
            if stop.is_set():
                break
            if not tally.phase:
                # The time to prepare the first phase does not count.
                began_ns = time.perf_counter_ns()
            tally.phase = phase.name
            tally.expected = None if phase.expected is None else tally.sent + phase.expected
            await _PhaseRun(options, to, phase, tally, progress, stop).run()
            progress(tally)
    except IngestTimeout as error:
        error.report = so_far()
        raise
    return so_far()


class _PhaseRun:
    """Sends one phase."""

    def __init__(
        self, options: Options, to: Target, phase: Phase, tally: Tally, progress: Progress, stop: asyncio.Event
    ) -> None:
        self._options = options
        self._phase = phase
        self._tally = tally
        self._progress = progress
        self._stop = stop
        single = phase.batch == 1
        self._path = "/receipt" if single else "/receipts"
        media_type = "application/json" if single else "application/x-ndjson"
        self._head = to.head(self._path, media_type, simulated=phase.simulated, key=options.key)
        random = Random(f"{options.seed} waits")
        self._sender = Sender(to, phase.connections, tally, random, same_machine=options.same_machine)
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

    def _is_over(self) -> bool:
        """Whether no more receipts may be sent. A paced phase still sends what is in its queue."""
        limit_s = None if self._phase.paced else self._phase.duration_s
        return self._stop.is_set() or (limit_s is not None and self._elapsed_s() > limit_s)

    def _request(self, texts: list[bytes]) -> Request:
        body = texts[0] if self._phase.batch == 1 else b"\n".join(texts)
        return Request(self._head, body, len(texts), time.perf_counter_ns())

    def _requests(self) -> Iterator[Request]:
        """The requests of the phase, each one created when a connection is free."""
        texts = (self._phase.receipt_at(local_s) for _, local_s in self._phase.moments)
        while batch := list(islice(texts, self._phase.batch)):
            yield self._request(batch)

    async def _send_paced(self) -> None:
        """Create each receipt when it is due, and send a batch when its last receipt is due."""
        limit_s = self._phase.duration_s
        texts: list[bytes] = []
        for number, (due_s, local_s) in enumerate(self._phase.moments):
            if limit_s is not None and (due_s > limit_s or self._elapsed_s() > limit_s + LATE_S):
                break
            if not await self._until(due_s, number):
                return
            texts.append(self._phase.receipt_at(local_s))
            if len(texts) == self._phase.batch:
                self._sender.submit(self._request(texts))
                texts = []
        if texts:
            self._sender.submit(self._request(texts))

    async def _until(self, due_s: float, number: int) -> bool:
        """Wait until `due_s`, and while the queue is full. Returns False if the run was stopped."""
        while (wait_s := due_s - self._elapsed_s()) > 0 or self._sender.backlog >= BACKLOG_LIMIT:
            self._tick()
            if self._stop.is_set():
                return False
            await asyncio.sleep(min(wait_s, TICK_S) if wait_s > 0 else TICK_S / 10)
        if number % RECEIPTS_PER_TICK == 0:
            self._tick()
            await asyncio.sleep(0)
        return not self._stop.is_set()

    async def _drain(self) -> None:
        """Wait for responses, but only for `DRAIN_S` after an interruption."""
        stopped_s: float | None = None
        while not await self._sender.drained(TICK_S):
            self._tick()
            if stopped_s is None and self._is_over():
                self._sender.stop()
                stopped_s = self._elapsed_s()
            if stopped_s is not None and self._stop.is_set() and self._elapsed_s() > stopped_s + DRAIN_S:
                return

    def _tick(self) -> None:
        now_ns = time.perf_counter_ns()
        if now_ns - self._ticked_ns < TICK_S * 1e9 / 2:
            return
        self._ticked_ns = now_ns
        self._sender.drop_silent(self._options.timeout_s)
        self._progress(self._tally)
        if self._sender.failure is not None:
            raise self._sender.failure
        if self._sender.stuck_s() > self._options.give_up_s:
            raise IngestTimeout(
                "send receipts to",
                self._options.url.rstrip("/") + self._path,
                f"nothing was acknowledged for {self._options.give_up_s:g} s ({self._tally.problem or 'no answer'})",
                "is `tillstream up` running?",
            )
