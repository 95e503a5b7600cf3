"""Group commit: records that arrive during one commit share the next one, so batches grow under load.

A receipt is acknowledged only after the commit that made it durable: `Committer` calls `on_durable` after `Log.append`
has returned. If the log is unavailable, the callback gets the error, and the client gets a 503. `Backpressure` delays
commits while the engine lags.
"""

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
"""Number of commits that do not linger after a commit for which lingering was useless."""

LARGE_COMMIT_RECORDS = 16
"""A commit of at least this many records is large enough without lingering."""

Outcome = LogUnavailable | None
"""The outcome of a group commit: None once it is durable."""

OnDurable = Callable[[Outcome], None]
"""Called once, on the event loop, with the outcome of the commit."""

LAG_LIMIT_RECORDS = 15_000
"""Commits wait if the lag exceeds this number: about one second of the engine's work."""

ACTIVITY_RECORDS = 500
"""A smaller number of records between two checks counts as no activity."""

PAUSE_STEP_S = 0.002
PAUSE_LIMIT_S = 0.03
CHECK_INTERVAL_S = 0.25

STALLED_CHECKS = 8
"""After this number of checks without progress of the engine, commits no longer wait for it."""

_logger = structlog.get_logger()


class Committer:
    """Appends records to the log in a separate thread. It is created and used on the event loop."""

    def __init__(self, log: Log, settings: Settings, counters: Counters, budget: MemoryBudget) -> None:
        self._log = log
        self._budget = budget
        self._counters = counters
        self._linger_s = settings.commit_linger_ms / 1_000
        self._commits_without_linger = 0
        self.pause_s = 0.0
        """Pause before each commit, set by `Backpressure`."""
        self.appended_records = 0
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, "commit")
        self._batch = Batch()
        self._callbacks: list[OnDurable] = []
        self._task: asyncio.Task[None] | None = None
        self._reported_s = float("-inf")
        self._failed_commits = 0

    def add(self, head: bytes, body: bytes, original: bytes, on_durable: OnDurable) -> bool:
        """Add a record to the next commit. `on_durable` is called once with the outcome.

        Returns False, and does nothing, if the memory budget is exhausted.
        """
        if not self._budget.reserve(len(head) + len(body) + len(original)):
            return False
        self._batch.add(head, body, original)
        self._callbacks.append(on_durable)
        self._task = self._task or self._loop.create_task(self._commit_all())
        return True

    def add_all(self, batch: Batch, on_durable: OnDurable) -> bool:
        """Add the records of a batch to the next commit. `on_durable` and the result are those of `add`."""
        if not self._budget.reserve(batch.size_bytes):
            return False
        self._batch.heads += batch.heads
        self._batch.bodies += batch.bodies
        self._batch.originals += batch.originals
        self._batch.size_bytes += batch.size_bytes
        self._callbacks.append(on_durable)
        self._task = self._task or self._loop.create_task(self._commit_all())
        return True

    async def probe(self) -> Outcome:
        """Append nothing, to find out whether the log accepts records."""
        return await self._append(Batch())

    async def close(self, limit_s: float) -> None:
        """Commit the pending records, then end the thread. Abandon a commit that takes longer than `limit_s`."""
        if self._task is not None:
            _, unfinished = await asyncio.wait((self._task,), timeout=limit_s)
            if unfinished:
                _logger.error("ingest.commit_unfinished", pending_bytes=self._budget.reserved_bytes, seconds=limit_s)
        self._executor.shutdown(wait=False)

    async def _linger(self) -> None:
        """Wait a moment for more records, unless that was useless lately.

        Many tills that each send a receipt now and then share one sync after a wait. A wait is useless if a single till
        waits for each response before it sends the next receipt, or if batches are large without it. Then only every
        33rd commit waits, to find out whether that has changed.
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
            self._failed_commits += 1
            if self._loop.time() - self._reported_s >= REPORT_INTERVAL_S:
                self._reported_s = self._loop.time()
                _logger.error("ingest.log_unavailable", error=str(error), failed_commits=self._failed_commits)
            return error
        except Exception as error:
            _logger.exception("ingest.commit_failed")
            return LogUnavailable("append to the log", type(self._log).__name__, error)
        if self._failed_commits:
            _logger.info("ingest.log_available", failed_commits=self._failed_commits)
            self._failed_commits = 0
        return None


class Backpressure:
    """Sets the pause before each group commit, while the engine lags and makes progress.

    Longer pauses make commits larger and leave CPU time. Without them, ingest at full speed on few CPUs would starve the
    engine, and the figures would lag as long as the load lasts. Commits do not wait for an engine that is stopped or
    stalled. Backpressure refuses no request.
    """

    def __init__(self, log: Log, committer: Committer) -> None:
        self._log = log
        self._committer = committer
        self._appended = 0
        self._folded = 0
        self._stalled_checks = 0

    async def run(self) -> None:
        """Adjust the pause until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            appended, before = self._committer.appended_records, self._appended
            self._appended = appended
            pause_s = 0.0
            if appended - before >= ACTIVITY_RECORDS:
                try:
                    lag = await asyncio.to_thread(self._log.lag)
                    pause_s = self.next_pause_s(appended, lag, self._committer.pause_s)
                except LogUnavailable as error:
                    _logger.debug("ingest.lag_unknown", error=str(error))
            self._committer.pause_s = pause_s

    def next_pause_s(self, appended: int, lag: int, pause_s: float) -> float:
        """Return the next pause. `appended` counts the records of all commits, `lag` the records not folded yet."""
        # The lag is read a moment after the count. Records that were appended between them make the result inexact.
        folded = appended - lag
        progress = folded >= self._folded + ACTIVITY_RECORDS
        self._stalled_checks = 0 if progress else self._stalled_checks + 1
        self._folded = folded if progress else self._folded
        if self._stalled_checks >= STALLED_CHECKS:
            return 0.0
        if lag > LAG_LIMIT_RECORDS:
            return min(PAUSE_LIMIT_S, pause_s + PAUSE_STEP_S)
        return max(0.0, pause_s - PAUSE_STEP_S)
