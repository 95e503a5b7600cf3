"""A run from its options to its report: phase by phase, watched for progress, silence and the wish to stop."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

import uvloop

from tillstream.client.control import unverified_tls
from tillstream.client.messages import NDJSON, Target, head, target
from tillstream.client.sender import Request, Sender
from tillstream.client.tally import Tally
from tillstream.clock import Clock, SystemClock
from tillstream.generator.plan import Options, Phase, phases
from tillstream.generator.report import NoAnswer, Report, report

Progress = Callable[[Tally], None]

TICK_S = 0.1
DRAIN_S = 5.0
"""How long answers are waited for after an interruption."""

BACKLOG_LIMIT = 10_000
"""Requests that may be due and unsent before printing waits for the server."""

LATE_S = 1.0
"""How far behind its pace a run may print when its duration ends: on time, it prints the same each time."""

PRINTS_A_TURN = 64


def generate(options: Options, progress: Progress, clock: Clock | None = None) -> Report:
    """Send what the options ask for and return the report.

    SIGINT and SIGTERM end the run early, with its report; a second SIGINT ends it at once. Raises
    `NoAnswer`, which carries the report so far, after `give_up_s` without progress.
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
    """The same within a running event loop; `stop` ends it early."""
    to = target(options.url)
    tally = Tally()
    began_ns = time.perf_counter_ns()

    def so_far() -> Report:
        return report(tally, options.seed, (time.perf_counter_ns() - began_ns) / 1e9)

    try:
        for phase in phases(options, clock):
            if stop.is_set():
                break
            if not tally.phase:
                # What it takes to prepare the first phase is not the server's time.
                began_ns = time.perf_counter_ns()
            tally.phase = phase.name
            tally.expected = None if phase.expected is None else tally.sent + phase.expected
            await _Shift(options, to, phase, tally, progress, stop).work()
            progress(tally)
    except NoAnswer as error:
        error.report = so_far()
        raise
    return so_far()


class _Shift:
    """One phase being sent."""

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
        self._head = head(to, self._path, "application/json" if single else NDJSON, phase.simulated, options.key)
        tls = unverified_tls() if options.same_machine and to.tls else None
        self._sender = Sender(to, phase.connections, tally, Random(f"{options.seed} waits"), tls=tls)
        self._started_ns = time.perf_counter_ns()
        self._ticked_ns = 0

    async def work(self) -> None:
        try:
            if self._phase.paced:
                await self._stroll()
            else:
                self._sender.feed(self._requests())
            await self._settle()
        finally:
            await self._sender.close()

    def _elapsed_s(self) -> float:
        return (time.perf_counter_ns() - self._started_ns) / 1e9

    def _over(self) -> bool:
        """Whether nothing new may be sent. What a paced phase has printed in its time still goes out."""
        limit_s = None if self._phase.paced else self._phase.duration_s
        return self._stop.is_set() or (limit_s is not None and self._elapsed_s() > limit_s)

    def _request(self, texts: list[bytes]) -> Request:
        body = texts[0] if self._phase.batch == 1 else b"\n".join(texts)
        return Request(self._head + b"%d\r\n\r\n%b" % (len(body), body), len(texts), time.perf_counter_ns())

    def _requests(self) -> Iterator[Request]:
        """Each is printed when a connection asks for it."""
        print_at = self._phase.print
        texts = (print_at(local_s) for _, local_s in self._phase.moments)
        while batch := list(islice(texts, self._phase.batch)):
            yield self._request(batch)

    async def _stroll(self) -> None:
        """Print each receipt when it is due; a batch leaves when its last one is."""
        limit_s = self._phase.duration_s
        texts: list[bytes] = []
        for number, (due_s, local_s) in enumerate(self._phase.moments):
            if limit_s is not None and (due_s > limit_s or self._elapsed_s() > limit_s + LATE_S):
                break
            if not await self._until(due_s, number):
                return
            texts.append(self._phase.print(local_s))
            if len(texts) == self._phase.batch:
                self._sender.submit(self._request(texts))
                texts = []
        if texts:
            self._sender.submit(self._request(texts))

    async def _until(self, due_s: float, number: int) -> bool:
        """Wait until then, and while too much is unsent; False where the run was stopped meanwhile."""
        while (wait_s := due_s - self._elapsed_s()) > 0 or self._sender.backlog >= BACKLOG_LIMIT:
            self._tick()
            if self._stop.is_set():
                return False
            await asyncio.sleep(min(wait_s, TICK_S) if wait_s > 0 else TICK_S / 10)
        if number % PRINTS_A_TURN == 0:
            self._tick()
            await asyncio.sleep(0)
        return not self._stop.is_set()

    async def _settle(self) -> None:
        """Wait for the answers: as long as they keep coming, or briefly after an interruption."""
        stopped_s: float | None = None
        while not await self._sender.drained(TICK_S):
            self._tick()
            if stopped_s is None and self._over():
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
            raise NoAnswer(
                "send receipts to",
                self._options.url.rstrip("/") + self._path,
                f"nothing was acknowledged for {self._options.give_up_s:g} s ({self._tally.trouble or 'no answer'})",
                "is `tillstream up` running?",
            )
