"""Group commit: records that arrive during one commit share the next one, so batches grow under load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from tillstream.config.settings import Settings
from tillstream.errors import LogUnavailable
from tillstream.http.memory import MemoryBudget
from tillstream.ingest.counters import Counters
from tillstream.log.base import Batch, Log

REPORT_INTERVAL_S = 10.0
"""Minimum interval between "log unavailable" log events."""

COMMITS_WITHOUT_LINGER = 32
"""Number of commits that skip lingering after a commit for which it was useless."""

LARGE_COMMIT_RECORDS = 16
"""A commit of at least this many records is large enough without lingering."""

Outcome = LogUnavailable | None
"""The outcome of a group commit: None once it is durable."""

OnDurable = Callable[[Outcome], None]
"""Called once, on the event loop, with the outcome of the commit."""

_logger = structlog.get_logger()


class Committer:
    """Appends records to the log from a thread of its own; made and used on the event loop.

    `on_durable` of a record is called after `Log.append` has returned. Before that, nothing may be acknowledged.
    """

    def __init__(self, log: Log, settings: Settings, counters: Counters, budget: MemoryBudget) -> None:
        self._log = log
        self._budget = budget
        self._counters = counters
        self._linger_s = settings.commit_linger_ms / 1_000
        self._commits_without_linger = 0
        self.pause_s = 0.0
        """Pause before each commit, set by `tillstream.ingest.backpressure`."""
        self.appended_records = 0
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, "commit")
        self._batch = Batch()
        self._callbacks: list[OnDurable] = []
        self._task: asyncio.Task[None] | None = None
        self._reported_s = float("-inf")
        self._failed_commits = 0

    def add(self, head: bytes, body: bytes, original: bytes, on_durable: OnDurable) -> bool:
        """Add a record to the next commit. Returns False, and does nothing, if the memory budget is exhausted."""
        if not self._budget.reserve(len(head) + len(body) + len(original)):
            return False
        self._batch.add(head, body, original)
        self._schedule(on_durable)
        return True

    def add_all(self, batch: Batch, on_durable: OnDurable) -> bool:
        """Add many records to the next commit, as `add` does."""
        if not self._budget.reserve(batch.size_bytes):
            return False
        self._batch.heads += batch.heads
        self._batch.bodies += batch.bodies
        self._batch.originals += batch.originals
        self._batch.size_bytes += batch.size_bytes
        self._schedule(on_durable)
        return True

    def _schedule(self, on_durable: OnDurable) -> None:
        self._callbacks.append(on_durable)
        if self._task is None:
            self._task = self._loop.create_task(self._commit_all())

    async def probe(self) -> Outcome:
        """Whether the log accepts records now."""
        return await self._append(Batch())

    async def close(self, limit_s: float) -> None:
        """Commit what is pending, then end the thread. Give up on a log that takes longer than the limit."""
        if self._task is not None:
            _, unfinished = await asyncio.wait((self._task,), timeout=limit_s)
            if unfinished:
                _logger.error("ingest.commit_unfinished", pending_bytes=self._budget.reserved_bytes, seconds=limit_s)
        self._executor.shutdown(wait=False)

    async def _linger(self) -> None:
        """Wait a moment for more records, unless that was useless lately.

        Lingering lets many tills share one sync if each of them sends only now and then. It is useless if a single till
        waits for each response before it sends the next receipt, or if batches are large anyway. Then only every 33rd
        commit lingers, to find out whether that has changed.
        """
        if self._commits_without_linger:
            self._commits_without_linger -= 1
            return
        await asyncio.sleep(self._linger_s)
        worthwhile = 1 < len(self._batch) < LARGE_COMMIT_RECORDS
        self._commits_without_linger = 0 if worthwhile else COMMITS_WITHOUT_LINGER

    async def _commit_all(self) -> None:
        if self._linger_s:
            await self._linger()
        while self._batch.heads:
            if self.pause_s:
                await asyncio.sleep(self.pause_s)
            batch, callbacks = self._batch, self._callbacks
            self._batch, self._callbacks = Batch(), []
            started = time.perf_counter()
            outcome = await self._append(batch)
            self._budget.release(batch.size_bytes)
            if outcome is None:
                self.appended_records += len(batch)
                self._counters.count_commit(time.perf_counter() - started)
            for on_durable in callbacks:
                on_durable(outcome)
        self._task = None

    async def _append(self, batch: Batch) -> Outcome:
        try:
            await self._loop.run_in_executor(self._executor, self._log.append, batch)
        except LogUnavailable as error:
            self._report(error)
            return error
        except Exception as error:
            _logger.exception("ingest.commit_failed")
            return LogUnavailable("append to the log", type(self._log).__name__, error)
        if self._failed_commits:
            _logger.info("ingest.log_available", failed_commits=self._failed_commits)
            self._failed_commits = 0
        return None

    def _report(self, error: LogUnavailable) -> None:
        self._failed_commits += 1
        now = self._loop.time()
        if now - self._reported_s >= REPORT_INTERVAL_S:
            self._reported_s = now
            _logger.error("ingest.log_unavailable", error=str(error), failed_commits=self._failed_commits)
