"""Group commit: what shares one, who waits for which, and that nobody is told too early."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.ingest import WAIT_S, GatedLog
from tillstream.errors import LogFull, LogUnavailable
from tillstream.ingest.commit import Committer
from tillstream.ingest.counters import Counters
from tillstream.log.base import START, Batch
from tillstream.settings import Settings


@pytest.fixture
def log(tmp_path: Path) -> GatedLog:
    return GatedLog(tmp_path / "log.sqlite3", Settings())


def run(log: GatedLog, main: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(asyncio.wait_for(main, WAIT_S))
    finally:
        log.gate.set()
        log.close()


async def reached(log: GatedLog) -> None:
    assert await asyncio.to_thread(log.waiting.wait, WAIT_S)


def test_what_arrives_during_a_commit_shares_the_next_one(log: GatedLog) -> None:
    async def main() -> None:
        committer = Committer(log, Settings(), Counters())
        log.gate.clear()
        first = committer.add(b"head\n", b"0")
        await reached(log)
        later = [committer.add(b"head\n", b"%d" % number) for number in range(1, 50)]
        assert len(set(map(id, later))) == 1
        assert first is not later[0]
        log.gate.set()
        assert [await first, await later[0]] == [None, None]
        await committer.close(WAIT_S)
        assert log.commits == [1, 49]

    run(log, main())


def test_nobody_is_told_before_the_append_has_returned(log: GatedLog) -> None:
    async def main() -> None:
        committer = Committer(log, Settings(), Counters())
        log.gate.clear()
        outcome = committer.add(b"head\n", b"body")
        await reached(log)
        await asyncio.sleep(0.02)
        assert not outcome.done()
        assert list(log.read(START, 10)) == []
        log.gate.set()
        assert await outcome is None
        assert len(list(log.read(START, 10))) == 1
        await committer.close(WAIT_S)

    run(log, main())


def test_pending_bytes_are_counted_until_they_are_durable(log: GatedLog) -> None:
    async def main() -> None:
        committer = Committer(log, Settings(pending_limit_bytes=100), Counters())
        log.gate.clear()
        committer.add(b"x" * 10, b"x" * 40)
        await reached(log)
        last = committer.add(b"x" * 10, b"x" * 20, b"x" * 10)
        assert committer.pending_bytes == 90
        assert committer.has_room(10)
        assert not committer.has_room(11)
        log.gate.set()
        await last
        assert committer.pending_bytes == 0
        await committer.close(WAIT_S)

    run(log, main())


def test_a_failure_reaches_everyone_who_waits_and_the_next_try_goes_to_the_log(log: GatedLog) -> None:
    async def main() -> None:
        committer = Committer(log, Settings(), Counters())
        log.failure = LogFull("append to", "it", "no room")
        batch = Batch()
        batch.add(b"head\n", b"body")
        outcomes = [committer.add(b"head\n", b"body"), committer.add_all(batch)]
        assert [await outcome for outcome in outcomes] == [log.failure, log.failure]
        log.failure = None
        assert await committer.add(b"head\n", b"body") is None
        assert await committer.probe() is None
        await committer.close(WAIT_S)

    with capture_logs() as said:
        run(log, main())
    assert [entry["event"] for entry in said] == ["log_refuses_records", "log_takes_records_again"]


def test_an_unforeseen_failure_is_an_answer_too(log: GatedLog) -> None:
    async def main() -> None:
        committer = Committer(log, Settings(), Counters())
        log.failure = ZeroDivisionError()
        assert isinstance(await committer.add(b"head\n", b"body"), LogUnavailable)
        await committer.close(WAIT_S)

    with capture_logs() as said:
        run(log, main())
    assert [entry["event"] for entry in said] == ["commit_failed"]


def test_closing_commits_what_waits(log: GatedLog) -> None:
    async def main() -> None:
        committer = Committer(log, Settings(), Counters())
        outcome = committer.add(b"head\n", b"body")
        await committer.close(WAIT_S)
        assert outcome.done()
        assert log.commits == [1]

    run(log, main())
