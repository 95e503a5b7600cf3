"""Group commit: what arrives while one commit runs makes the next one, so batches grow under load."""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from tillstream.config.settings import Settings
from tillstream.errors import LogUnavailable
from tillstream.http.memory import MemoryBudget
from tillstream.ingest.counters import Counters
from tillstream.log.base import Batch, Log

COMPLAINT_INTERVAL_S = 10.0

LONELY_COMMITS = 32
"""Commits that don't wait for company after one that waited for nothing, or for a crowd."""

COMPANY = 16
"""Records in a commit from which on it needs no company."""

_logger = structlog.get_logger()

Outcome = LogUnavailable | None
"""What became of a group commit: None once it is durable."""

Told = Callable[[Outcome], None]


class Committer:
    """Appends to the log from one thread of its own; made and used on the event loop.

    Whoever adds is told the outcome once, on the event loop: None after `Log.append` has returned,
    or why nothing may be acknowledged.
    """

    def __init__(self, log: Log, settings: Settings, counters: Counters, budget: MemoryBudget) -> None:
        self._log = log
        self._budget = budget
        self._linger_s = settings.commit_linger_ms / 1_000
        self._hurry = 0
        self.pause_s = 0.0
        """How long each commit waits for more, whoever waits; see `tillstream.ingest.backpressure`."""
        self.appended_records = 0
        self._counters = counters
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, "commit")
        self._batch = Batch()
        self._waiting: list[Told] = []
        self._pump: asyncio.Task[None] | None = None
        self._complained = float("-inf")
        self._failing = 0

    def add(self, head: bytes, body: bytes, original: bytes, told: Told) -> bool:
        """Whether there was room for the record; if so, it is in the next commit."""
        if not self._budget.reserve(len(head) + len(body) + len(original)):
            return False
        self._batch.add(head, body, original)
        self._waiting.append(told)
        if self._pump is None:
            self._pump = self._loop.create_task(self._commit_all())
        return True

    def add_all(self, batch: Batch, told: Told) -> bool:
        """The same for many records, in one commit or the next ones; `told` after the last of them."""
        if not self._budget.reserve(batch.size_bytes):
            return False
        self._batch.heads += batch.heads
        self._batch.bodies += batch.bodies
        self._batch.originals += batch.originals
        self._batch.size_bytes += batch.size_bytes
        self._waiting.append(told)
        if self._pump is None:
            self._pump = self._loop.create_task(self._commit_all())
        return True

    async def probe(self) -> Outcome:
        """Whether the log takes records now."""
        return await self._append(Batch())

    async def close(self, limit_s: float) -> None:
        """Commit what waits, then end the thread; give up on a log that takes longer than the limit."""
        if self._pump is not None:
            _, unfinished = await asyncio.wait((self._pump,), timeout=limit_s)
            if unfinished:
                _logger.error("commit_unfinished", pending_bytes=self._budget.reserved_bytes, seconds=limit_s)
        self._executor.shutdown(wait=False)

    async def _linger(self) -> None:
        """Wait for company, as long as waiting brings some.

        Many tills that each send now and then share a sync and a switch of threads. A till that waits
        for its answer before it sends the next receipt brings no company: it is made to wait once in
        a while only, to see whether others came. Under load there is company without waiting.
        """
        if self._hurry:
            self._hurry -= 1
            return
        await asyncio.sleep(self._linger_s)
        self._hurry = 0 if 1 < len(self._batch) < COMPANY else LONELY_COMMITS

    async def _commit_all(self) -> None:
        if self._linger_s:
            await self._linger()
        while self._batch.heads:
            if self.pause_s:
                await asyncio.sleep(self.pause_s)
            batch, waiting = self._batch, self._waiting
            self._batch, self._waiting = Batch(), []
            started = time.perf_counter()
            outcome = await self._append(batch)
            self._budget.release(batch.size_bytes)
            if outcome is None:
                self.appended_records += len(batch)
                self._counters.committed(time.perf_counter() - started)
            for told in waiting:
                told(outcome)
        self._pump = None

    async def _append(self, batch: Batch) -> Outcome:
        try:
            await self._loop.run_in_executor(self._executor, self._log.append, batch)
        except LogUnavailable as error:
            self._complain(error)
            return error
        except Exception as error:
            _logger.exception("commit_failed")
            return LogUnavailable("append to the log", type(self._log).__name__, error)
        if self._failing:
            _logger.info("log_takes_records_again", failed_commits=self._failing)
            self._failing = 0
        return None

    def _complain(self, error: LogUnavailable) -> None:
        self._failing += 1
        now = self._loop.time()
        if now - self._complained >= COMPLAINT_INTERVAL_S:
            self._complained = now
            _logger.error("log_refuses_records", error=str(error), failed_commits=self._failing)
