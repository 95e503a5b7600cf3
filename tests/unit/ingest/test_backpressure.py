"""Commits wait while the engine is behind and moving, and never for one that stands still."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from tests.inprocess.ingest import GatedLog
from tests.support.ingest import WAIT_S
from tillstream.config.settings import Settings
from tillstream.http.memory import MemoryBudget
from tillstream.ingest import backpressure
from tillstream.ingest.backpressure import BEHIND_RECORDS, CROWD_RECORDS, LIMIT_S, STEP_S, STILL_LOOKS, Pace
from tillstream.ingest.counters import Counters
from tillstream.ingest.group_commit import Committer
from tillstream.log.base import Batch


class Looks:
    """A pace that is told what it would see."""

    def __init__(self) -> None:
        self._pace = Pace(None, None)  # type: ignore[arg-type]
        self.pause_s = 0.0

    def look(self, appended: int, lag: int) -> float:
        self.pause_s = self._pace.after(appended, lag, self.pause_s)
        return self.pause_s


def test_an_engine_that_keeps_up_is_not_waited_for() -> None:
    looks = Looks()
    assert {looks.look(5_000 * step, 1_000) for step in range(1, 100)} == {0.0}


def test_one_that_is_behind_is_given_more_and_more_time_up_to_a_limit_and_then_less_again() -> None:
    looks = Looks()
    pauses = [looks.look(6_000 * step, BEHIND_RECORDS + 1_000 * step) for step in range(1, 40)]
    assert pauses[0] == STEP_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == LIMIT_S
    for step in range(40, 80):
        looks.look(6_000 * step, 100)
    assert looks.pause_s == 0.0


def test_one_that_stands_still_slows_nothing() -> None:
    looks = Looks()
    looks.look(20_000, 20_000)
    pauses = [looks.look(20_000 + 5_000 * step, 20_000 + 5_000 * step) for step in range(1, STILL_LOOKS + 3)]
    assert max(pauses) < LIMIT_S
    assert pauses[-1] == 0.0


def test_one_that_stands_still_slows_nothing_although_the_lag_is_read_a_little_late() -> None:
    looks, random = Looks(), Random(1)
    pauses = [looks.look(5_000 * step, 5_000 * step + random.randrange(CROWD_RECORDS)) for step in range(1, 200)]
    assert pauses[STILL_LOOKS + 1 :] == [0.0] * (199 - STILL_LOOKS - 1)


def test_over_a_real_log_commits_wait_while_nothing_is_folded_and_then_no_longer(tmp_path: Path) -> None:
    log = GatedLog(tmp_path / "log.sqlite3", Settings())

    async def main() -> None:
        committer = Committer(log, Settings(), Counters(), MemoryBudget(10**9))
        watching = asyncio.create_task(Pace(log, committer).watch())
        seen = set()
        for _ in range(STILL_LOOKS + 6):
            batch = Batch()
            for _ in range(max(BEHIND_RECORDS, 20_000) // 4):
                batch.add(b"head\n", b"")
            done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            assert committer.add_all(batch, done.set_result)
            assert await done is None
            await asyncio.sleep(backpressure.INTERVAL_S * 1.2)
            seen.add(committer.pause_s)
        assert max(seen) > 0.0
        assert committer.pause_s == 0.0
        watching.cancel()
        await committer.close(WAIT_S)

    asyncio.run(main())
    log.close()
