"""The loop of the embedded engine, and its handling of a damaged log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn

import pytest
from structlog.testing import capture_logs

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.database.base import Changes
from tillstream.database.duckdb.database import DuckDatabase
from tillstream.engine.base import Step
from tillstream.engine.duckdb import DuckEngine
from tillstream.errors import LogUnavailable
from tillstream.log.base import EMPTY, Chunk, Frame, Position


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


class Damaged:
    """The log of the pipeline, with the chunk at one offset replaced."""

    def __init__(self, pipeline: Pipeline, offset: int, **changes: object) -> None:
        self._log = pipeline.log
        self._offset = offset
        self._changes = changes

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    def read(self, after: Position, limit: int) -> Iterator[Chunk]:
        for chunk in self._log.read(after, limit):
            if chunk.offset != self._offset:
                yield chunk
                continue
            parts = {name: getattr(chunk, name) for name in Chunk.__slots__} | self._changes
            yield Chunk(**parts)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fault": "checksum", "heads": EMPTY, "bodies": EMPTY}, "checksum"),
        ({"heads": Frame.of([b"nonsense\n"])}, "CSV parse error"),
    ],
)
def test_a_damaged_chunk_is_recorded_and_all_others_count(
    pipeline: Pipeline, changes: dict[str, object], reason: str
) -> None:
    offsets = []
    for number in range(3):
        pipeline.append(body(cashReceiptID=str(number)))
        offsets.append(pipeline.log.end().offsets[0])
    log = Damaged(pipeline, offsets[1], **changes)
    engine = DuckEngine(log, pipeline.database, pipeline.settings, pipeline.clock)  # type: ignore[arg-type]
    step = engine.step()
    engine.close()
    assert step is not None
    assert (step.records, step.receipts, step.faults) == (3, 2, 1)
    [fault] = pipeline.database.query("SELECT * FROM faults")
    assert (fault["offset_text"], fault["records"]) == (f"0:{offsets[1]}", 1)
    assert reason in fault["reason"]


def test_it_runs_until_it_is_stopped_and_reports_each_commit(pipeline: Pipeline) -> None:
    steps: list[Step] = []
    committed, stop = Event(), Event()

    def note(step: Step) -> None:
        steps.append(step)
        committed.set()

    runner = Thread(target=pipeline.engine.run, args=(stop, note))
    runner.start()
    try:
        for number in range(3):
            committed.clear()
            pipeline.append(body(cashReceiptID=str(number)))
            assert committed.wait(30)
    finally:
        stop.set()
        runner.join(30)
    assert not runner.is_alive()
    assert sum(step.receipts for step in steps) == 3


class SlowDatabase:
    """The database of the pipeline, with a fixed duration of commits and maintenance by `perf_counter`."""

    def __init__(self, pipeline: Pipeline, commit_s: float, maintain_s: float) -> None:
        self._database = pipeline.database
        self._commit_s, self._maintain_s = commit_s, maintain_s
        self.now = 0.0
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)

    def perf_counter(self) -> float:
        return self.now

    def commit(self, changes: Changes) -> None:
        self._database.commit(changes)
        self.now += self._commit_s
        self.calls.append("commit")

    def maintain(self) -> None:
        self._database.maintain()
        self.now += self._maintain_s
        self.calls.append("maintain")


def test_readers_are_notified_of_a_commit_before_maintenance(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = SlowDatabase(pipeline, commit_s=2, maintain_s=7)
    monkeypatch.setattr("tillstream.engine.duckdb.time", database)
    engine = DuckEngine(pipeline.log, database, pipeline.settings, pipeline.clock)  # type: ignore[arg-type]
    for number in range(2):
        pipeline.append(body(cashReceiptID=str(number)))
        engine.step(lambda _: database.calls.append("on_commit"))
    engine.close()
    assert database.calls == ["commit", "on_commit", "maintain"] * 2
    [first, second] = pipeline.database.query("SELECT epoch_us(applied_at) AS us FROM receipts ORDER BY receipt")
    # The first forecast has no duration to go by. The second one has that of the first step.
    assert (first["us"], second["us"]) == (pipeline.clock.now_us() + 60, pipeline.clock.now_us() + 2_000_000)


def test_its_position_is_published_to_the_log_at_start_and_with_every_commit(pipeline: Pipeline) -> None:
    pipeline.append(body())
    assert pipeline.log.lag() == 1
    pipeline.drain()
    assert pipeline.log.lag() == 0
    pipeline.reopen()
    assert pipeline.log.lag() == 0


def test_a_receipt_accepted_after_a_crash_that_lost_the_end_of_the_log_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(tmp_path)
    pipeline.append(body())
    pipeline.drain()
    pipeline.append(body(cashReceiptID="2"))
    publish = pipeline.log.publish

    def die_after_the_commit(position: Position, *, committed: bool) -> None:
        if committed:
            raise LogUnavailable("publish a position in", "the log", "the power is gone")
        publish(position, committed=committed)

    monkeypatch.setattr(pipeline.log, "publish", die_after_the_commit)
    with pytest.raises(LogUnavailable):
        pipeline.engine.step()
    pipeline.close()
    with closing(sqlite3.connect(tmp_path / "log.sqlite3", isolation_level=None)) as connection:
        connection.execute("DELETE FROM log WHERE position = (SELECT max(position) FROM log)")
    again = Pipeline(tmp_path)
    again.append(body(cashReceiptID="3"))
    again.drain()
    assert {row["receipt"] for row in again.database.query("SELECT receipt FROM receipts")} == {"1", "2", "3"}
    again.close()


def test_a_rebuild_publishes_its_prepared_position_only(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.append(body())
    fresh = DuckDatabase(tmp_path / "new.duckdb", pipeline.metrics, pipeline.settings, pipeline.clock)
    engine = DuckEngine(pipeline.log, fresh, pipeline.settings, pipeline.clock, rebuilding=True)
    assert engine.step() is not None
    engine.close()
    fresh.close()
    assert pipeline.log.lag() == 1
    assert (tmp_path / "engine.reach").read_text() == str(pipeline.log.end())


def test_a_stall_is_logged_at_intervals_and_its_end_once(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(after: Position, limit: int) -> NoReturn:
        raise LogUnavailable("read the log", "a file", "disk I/O error", "look at the disk")

    monkeypatch.setattr(pipeline.log, "read", fail)
    with capture_logs() as logs:
        for _ in range(3):
            assert pipeline.engine._try_step() is None
        monkeypatch.setattr("tillstream.engine.duckdb.STALL_LOG_INTERVAL_S", 0.0)
        pipeline.engine._try_step()
        monkeypatch.undo()
        for _ in range(2):
            pipeline.engine._try_step()
    assert [entry["event"] for entry in logs] == ["engine.stalled"] * 2 + ["engine.resumed"]
    assert logs[0]["error"] == "could not read the log a file: disk I/O error; look at the disk"


def test_a_position_that_could_not_be_published_is_published_by_the_next_step(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.append(body())
    publish = pipeline.log.publish

    def fail(position: Position, *, committed: bool) -> None:
        if committed:
            raise LogUnavailable("publish a position in", "a file", "no space", "")
        publish(position, committed=committed)

    monkeypatch.setattr(pipeline.log, "publish", fail)
    with pytest.raises(LogUnavailable):
        pipeline.engine.step()
    monkeypatch.undo()
    assert pipeline.log.lag() == 1
    assert pipeline.engine.step() is None
    assert pipeline.log.lag() == 0


def test_a_step_is_bounded_by_bytes_too(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillstream.engine.duckdb._STEP_LIMIT_BYTES", 1)
    receipts: Sequence[dict[str, object]] = [body(cashReceiptID=str(number)) for number in range(3)]
    for receipt in receipts:
        pipeline.append(receipt)
    assert [step.records for step in pipeline.drain()] == [1, 1, 1]


def test_given_a_small_step_when_a_large_one_follows_then_its_forecast_is_not_proportional(pipeline: Pipeline) -> None:
    pipeline.append(body(cashReceiptID="0"))
    pipeline.drain()
    pipeline.append(*(body(cashReceiptID=str(number)) for number in range(1, 1_001)))
    pipeline.drain()
    sql = "SELECT max(epoch_ms(applied_at) - epoch_ms(received_at)) AS most FROM receipts"
    # A thousand times as long as the step of one receipt would be half a minute.
    assert 0 < pipeline.database.query(sql)[0]["most"] < 5_000


def test_a_batch_that_needs_too_much_memory_is_processed_in_parts(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(engine_memory_bytes=96 * 1024 * 1024))
    empty: list[dict[str, object]] = [{} for _ in range(10_000)]
    pipeline.append(*(body(cashReceiptID=str(number), lines=empty) for number in range(40)))
    with capture_logs() as logs:
        [step] = pipeline.drain()
    assert (step.receipts, step.quarantined) == (40, 0)
    assert "engine.batch_unreadable" in {log["event"] for log in logs}
    [sales] = pipeline.rows("sales")
    assert (sales["receipts"], str(sales["revenue"])) == (40, "200.00")
    assert pipeline.database.query("SELECT count(*) AS lines FROM lines WHERE is_line = 1") == [{"lines": 400_000}]
    pipeline.close()


@pytest.mark.parametrize("together", [True, False])
def test_after_an_unreadable_receipt_the_next_one_of_its_key_counts(pipeline: Pipeline, together: bool) -> None:
    unreadable, good = body(), body(customerID="8")
    pipeline.append_bytes(unreadable, b"{broken")
    if not together:
        pipeline.drain()
    pipeline.append_bytes(unreadable, json.dumps({**unreadable, "documentTotal": {}}).encode())
    pipeline.append(good, good, body(documentTotal={"grossTotal": 9}))
    pipeline.drain()
    kinds = [row["kind"] for row in pipeline.database.query("SELECT kind FROM quarantine ORDER BY place")]
    assert kinds == ["unreadable", "unreadable", "conflict"]
    [sales] = pipeline.rows("sales")
    assert (sales["receipts"], str(sales["revenue"])) == (1, "5.00")
    counters = {row["name"]: row["value"] for row in pipeline.database.query("SELECT name, value FROM counters")}
    assert counters == {"duplicates": 1, "conflicts": 1, "quarantined": 2}
