"""Group commit: the records that arrive during a commit are committed together in the next commit.

A client gets the status 202 only after the commit: `Committer` calls `on_durable` after `Log.append` has returned. If
the log is unavailable, `on_durable` gets the error, and the client gets the status 503.

The engine reads the log and computes the figures. `Backpressure` delays commits while the engine is behind.
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
from tillstream.ingest import responses
from tillstream.ingest.counters import Counters
from tillstream.ingest.responses import Refused
from tillstream.log.base import Batch, Log

REPORT_INTERVAL_S = 10.0
"""The minimum interval between two `ingest.log_unavailable` events."""

COMMITS_WITHOUT_LINGER = 32
"""After a useless wait for more records (see `_linger`), the committer skips this many waits."""

LARGE_COMMIT_RECORDS = 16
"""If a batch has at least this number of records after a wait, the load is high, and waiting was useless."""

Outcome = LogUnavailable | None
"""The outcome of a group commit: None if the records are durable, or the error."""

OnDurable = Callable[[Outcome], None]
"""A function that is called once with the outcome of a commit, on the event loop."""

LAG_LIMIT_RECORDS = 15_000
"""If the engine is behind by more than this number of records, the pause before commits grows.

The engine processes this number of records in about one second.
"""

ACTIVITY_RECORDS = 500
"""The number of records that counts as activity.

Ingest is active if it has appended at least this number of records since the last check. The engine makes progress if
it has processed at least this number of records since the last check that found progress.
"""

PAUSE_STEP_S = 0.002
PAUSE_LIMIT_S = 0.03
CHECK_INTERVAL_S = 0.25

STALLED_CHECKS = 8
"""After this number of consecutive checks without progress, the engine counts as stalled."""

_logger = structlog.get_logger()


class Committer:
    """Appends records to the log in a separate thread. Create and use a `Committer` on the event loop only."""

    def __init__(self, log: Log, settings: Settings, counters: Counters, budget: MemoryBudget) -> None:
        self._log = log
        self._budget = budget
        self._counters = counters
        self._linger_s = settings.commit_linger_ms / 1_000
        self._commits_without_linger = 0
        self.pause_s = 0.0
        """The pause before each commit, in seconds. `Backpressure` sets it."""
        self.appended_records = 0
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, "commit")
        self._batch = Batch()
        self._callbacks: list[OnDurable] = []
        self._task: asyncio.Task[None] | None = None
        self._reported_s = float("-inf")
        self._failed_commits = 0

    def add(self, head: bytes, body: bytes, original: bytes, on_durable: OnDurable) -> None:
        """Add a record to the next commit. `on_durable` is called with the outcome.

        If the memory budget is exhausted, raises `Refused` (503) and does not add the record.
        """
        if not self._budget.reserve(len(head) + len(body) + len(original)):
            raise Refused(responses.over_budget())
        self._batch.add(head, body, original)
        self._callbacks.append(on_durable)
        self._task = self._task or self._loop.create_task(self._commit_all())

    def add_all(self, batch: Batch, on_durable: OnDurable) -> None:
        """Like `add`, but for all records of a batch. `on_durable` is called once for the batch."""
        if not self._budget.reserve(batch.size_bytes):
            raise Refused(responses.over_budget())
        self._batch.heads += batch.heads
        self._batch.bodies += batch.bodies
        self._batch.originals += batch.originals
        self._batch.size_bytes += batch.size_bytes
        self._callbacks.append(on_durable)
        self._task = self._task or self._loop.create_task(self._commit_all())

    async def probe(self) -> Outcome:
        """Append an empty batch. The outcome shows whether the log accepts records."""
        return await self._append(Batch())

    async def close(self, limit_s: float) -> None:
        """Commit the pending records, then end the thread. Abandon a commit that takes longer than `limit_s`."""
        if self._task is not None:
            _, unfinished = await asyncio.wait((self._task,), timeout=limit_s)
            if unfinished:
                _logger.error("ingest.commit_unfinished", pending_bytes=self._budget.reserved_bytes, seconds=limit_s)
        self._executor.shutdown(wait=False)

    async def _linger(self) -> None:
        """Wait `commit_linger_ms` for more records. Return at once if such a wait was useless recently.

        The wait lets the receipts of several tills share one sync to disk. If only one till sends receipts, the wait is
        useless, because this till sends the next receipt only after it gets the response. If batches are large anyway,
        the wait is also useless. After a useless wait, the next 32 calls return at once. The call after them waits, to
        find out whether the load has changed.
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
    """Sets the pause before each group commit. The pause grows while the engine is far behind but still makes progress.

    On a machine with few CPUs, ingest at full speed would leave too little CPU time for the engine. Pauses make commits
    fewer and larger, which saves CPU time. If the engine is stopped or stalled, pauses would not help, so there are
    none. Backpressure rejects no requests.
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
        """Return the next pause in seconds. `pause_s` is the current pause.

        `appended` is the number of records that this process has committed since its start. `lag` is the number of
        records in the log that the engine has not processed yet.
        """
        # `lag` was read later than `appended`. If records were appended in between, `folded` is slightly too small.
        folded = appended - lag
        progress = folded >= self._folded + ACTIVITY_RECORDS
        self._stalled_checks = 0 if progress else self._stalled_checks + 1
        self._folded = folded if progress else self._folded
        if self._stalled_checks >= STALLED_CHECKS:
            return 0.0
        if lag > LAG_LIMIT_RECORDS:
            return min(PAUSE_LIMIT_S, pause_s + PAUSE_STEP_S)
        return max(0.0, pause_s - PAUSE_STEP_S)
