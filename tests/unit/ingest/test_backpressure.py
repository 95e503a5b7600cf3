"""Commits wait while the engine lags and makes progress, but not for a stalled engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from tests.inprocess.ingest import GatedLog
from tests.support.ingest import WAIT_S
from tillstream.config.settings import Settings
from tillstream.http.memory import MemoryBudget
from tillstream.ingest import backpressure
from tillstream.ingest.backpressure import (
    ACTIVITY_RECORDS,
    LAG_LIMIT_RECORDS,
    PAUSE_LIMIT_S,
    PAUSE_STEP_S,
    STALLED_CHECKS,
    Backpressure,
)
from tillstream.ingest.counters import Counters
from tillstream.ingest.group_commit import Committer
from tillstream.log.base import Batch


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
        committer = Committer(log, Settings(), Counters(), MemoryBudget(10**9))
        task = asyncio.create_task(Backpressure(log, committer).run())
        seen = set()
        for _ in range(STALLED_CHECKS + 6):
            batch = Batch()
            for _ in range(max(LAG_LIMIT_RECORDS, 20_000) // 4):
                batch.add(b"head\n", b"")
            done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            assert committer.add_all(batch, done.set_result)
            assert await done is None
            await asyncio.sleep(backpressure.CHECK_INTERVAL_S * 1.2)
            seen.add(committer.pause_s)
        assert max(seen) > 0.0
        assert committer.pause_s == 0.0
        task.cancel()
        await committer.close(WAIT_S)

    asyncio.run(main())
    log.close()
