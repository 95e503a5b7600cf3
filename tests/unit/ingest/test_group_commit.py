"""Group commit: records share commits, callbacks run only after their records are durable, and backpressure pauses."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.inprocess.ingest import GatedLog
from tests.support.ingest import WAIT_S
from tillstream.config.settings import Settings
from tillstream.errors import LogFull, LogUnavailable
from tillstream.http.memory import MemoryBudget
from tillstream.ingest.counters import Counters
from tillstream.ingest.group_commit import (
    ACTIVITY_RECORDS,
    CHECK_INTERVAL_S,
    LAG_LIMIT_RECORDS,
    PAUSE_LIMIT_S,
    PAUSE_STEP_S,
    STALLED_CHECKS,
    Backpressure,
    Committer,
    Outcome,
)
from tillstream.ingest.responses import Refused
from tillstream.log.base import START, Batch


@pytest.fixture
def log(tmp_path: Path) -> GatedLog:
    return GatedLog(tmp_path / "log.sqlite3", Settings())


def run(log: GatedLog, main: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(asyncio.wait_for(main, WAIT_S))
    finally:
        log.gate.set()
        log.close()


async def append_started(log: GatedLog) -> None:
    assert await asyncio.to_thread(log.waiting.wait, WAIT_S)


def committer_of(log: GatedLog, budget: MemoryBudget | None = None) -> Committer:
    return Committer(log, Settings(), Counters(), budget or MemoryBudget(10**9))


def added(committer: Committer, body: bytes = b"body") -> Future[Outcome]:
    """The outcome for one more record."""
    outcome: Future[Outcome] = asyncio.get_running_loop().create_future()
    committer.add(b"head\n", body, b"", outcome.set_result)
    return outcome


def test_records_that_arrive_during_a_commit_share_the_next_one(log: GatedLog) -> None:
    async def main() -> None:
        committer = committer_of(log)
        log.gate.clear()
        first = added(committer)
        await append_started(log)
        later = [added(committer, b"%d" % number) for number in range(1, 50)]
        log.gate.set()
        assert await asyncio.gather(first, *later) == [None] * 50
        await committer.close(WAIT_S)
        assert log.commits == [1, 49]

    run(log, main())


def test_no_callback_runs_before_the_append_has_returned(log: GatedLog) -> None:
    async def main() -> None:
        committer = committer_of(log)
        log.gate.clear()
        outcome = added(committer)
        await append_started(log)
        await asyncio.sleep(0.02)
        assert not outcome.done()
        assert list(log.read(START, 10)) == []
        log.gate.set()
        assert await outcome is None
        assert len(list(log.read(START, 10))) == 1
        await committer.close(WAIT_S)

    run(log, main())


def test_records_take_room_until_they_are_durable(log: GatedLog) -> None:
    async def main() -> None:
        budget = MemoryBudget(100)
        committer = committer_of(log, budget)
        log.gate.clear()
        added(committer, b"x" * 45)
        await append_started(log)
        last = added(committer, b"x" * 35)
        assert budget.reserved_bytes == 90
        batch = Batch()
        batch.add(b"head\n", b"xxxxxx")
        with pytest.raises(Refused):
            committer.add(b"head\n", b"xxxxxx", b"", lambda _: None)
        with pytest.raises(Refused):
            committer.add_all(batch, lambda _: None)
        log.gate.set()
        await last
        assert budget.reserved_bytes == 0
        await committer.close(WAIT_S)
        assert log.commits == [1, 1]

    run(log, main())


def test_a_failure_is_reported_to_all_callbacks_and_the_next_commit_is_tried(log: GatedLog) -> None:
    async def main() -> None:
        committer = committer_of(log)
        log.failure = LogFull("append to", "it", "no room")
        batch = Batch()
        batch.add(b"head\n", b"body")
        of_batch: Future[Outcome] = asyncio.get_running_loop().create_future()
        of_one = added(committer)
        committer.add_all(batch, of_batch.set_result)
        assert list(await asyncio.gather(of_one, of_batch)) == [log.failure, log.failure]
        log.failure = None
        assert await added(committer) is None
        assert await committer.probe() is None
        await committer.close(WAIT_S)

    with capture_logs() as events:
        run(log, main())
    assert [entry["event"] for entry in events] == ["ingest.log_unavailable", "ingest.log_available"]


def test_an_unexpected_exception_is_an_outcome_too(log: GatedLog) -> None:
    async def main() -> None:
        committer = committer_of(log)
        log.failure = ZeroDivisionError()
        assert isinstance(await added(committer), LogUnavailable)
        await committer.close(WAIT_S)

    with capture_logs() as events:
        run(log, main())
    assert [entry["event"] for entry in events] == ["ingest.commit_failed"]


def test_closing_commits_pending_records(log: GatedLog) -> None:
    async def main() -> None:
        committer = committer_of(log)
        outcome = added(committer)
        await committer.close(WAIT_S)
        assert outcome.done()
        assert log.commits == [1]

    run(log, main())


class Checks:
    """Backpressure with given counts instead of a log."""

    def __init__(self) -> None:
        self._backpressure = Backpressure(None, None)  # type: ignore[arg-type]
        self.pause_s = 0.0

    def check(self, appended: int, lag: int) -> float:
        self.pause_s = self._backpressure.next_pause_s(appended, lag, self.pause_s)
        return self.pause_s


def test_commits_do_not_wait_for_an_engine_that_keeps_up() -> None:
    checks = Checks()
    assert {checks.check(5_000 * step, 1_000) for step in range(1, 100)} == {0.0}


def test_the_pause_grows_to_its_limit_while_the_engine_lags_and_shrinks_afterwards() -> None:
    checks = Checks()
    pauses = [checks.check(6_000 * step, LAG_LIMIT_RECORDS + 1_000 * step) for step in range(1, 40)]
    assert pauses[0] == PAUSE_STEP_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == PAUSE_LIMIT_S
    for step in range(40, 80):
        checks.check(6_000 * step, 100)
    assert checks.pause_s == 0.0


def test_commits_do_not_wait_for_a_stalled_engine() -> None:
    checks = Checks()
    checks.check(20_000, 20_000)
    pauses = [checks.check(20_000 + 5_000 * step, 20_000 + 5_000 * step) for step in range(1, STALLED_CHECKS + 3)]
    assert max(pauses) < PAUSE_LIMIT_S
    assert pauses[-1] == 0.0


def test_a_stalled_engine_is_recognised_although_the_lag_is_read_a_little_late() -> None:
    checks, random = Checks(), Random(1)
    pauses = [checks.check(5_000 * step, 5_000 * step + random.randrange(ACTIVITY_RECORDS)) for step in range(1, 200)]
    assert pauses[STALLED_CHECKS + 1 :] == [0.0] * (199 - STALLED_CHECKS - 1)


def test_with_a_real_log_the_pause_rises_and_ends_when_the_engine_has_stalled(tmp_path: Path) -> None:
    log = GatedLog(tmp_path / "log.sqlite3", Settings())

    async def main() -> None:
        committer = committer_of(log)
        task = asyncio.create_task(Backpressure(log, committer).run())
        seen = set()
        for _ in range(STALLED_CHECKS + 6):
            batch = Batch()
            for _ in range(max(LAG_LIMIT_RECORDS, 20_000) // 4):
                batch.add(b"head\n", b"")
            done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            committer.add_all(batch, done.set_result)
            assert await done is None
            await asyncio.sleep(CHECK_INTERVAL_S * 1.2)
            seen.add(committer.pause_s)
        assert max(seen) > 0.0
        assert committer.pause_s == 0.0
        task.cancel()
        await committer.close(WAIT_S)

    asyncio.run(main())
    log.close()
