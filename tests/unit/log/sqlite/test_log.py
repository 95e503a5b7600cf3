"""The SQLite log beyond the port's conformance suite: damaged files, new files, limits, and the engine's progress."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from tillstream.config.settings import Settings
from tillstream.errors import DataDirectoryError, LogFull, LogUnavailable
from tillstream.log.base import START, Batch, Chunk, Position, pack_record_id
from tillstream.log.sqlite.damage import LogDamaged
from tillstream.log.sqlite.log import Progress, SqliteLog
from tillstream.log.sqlite.row import Row
from tillstream.log.sqlite.segment import VERSION, WAL_LIMIT_BYTES, Appender, Segment

Open = Callable[..., SqliteLog]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite3"


@pytest.fixture
def open_log(path: Path) -> Iterator[Open]:
    opened = []

    def open_log(*, writer: bool = True, **settings: int) -> SqliteLog:
        log = SqliteLog(path, writer=writer, settings=msgspec.structs.replace(Settings(), **settings))
        opened.append(log)
        return log

    yield open_log
    for log in opened:
        log.close()


def batch(*bodies: bytes) -> Batch:
    made = Batch()
    for body in bodies:
        made.add(b"head " + body + b"\n", body)
    return made


def change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def bodies(chunks: list[Chunk]) -> list[bytes]:
    return [body for chunk in chunks for body in chunk.bodies]


def test_a_batch_over_the_commit_limit_is_stored_as_several_rows(open_log: Open) -> None:
    log = open_log(commit_limit_receipts=2)
    log.append(batch(b"1", b"2", b"3", b"4", b"5"))
    chunks = list(log.read(START, 100))
    assert [chunk.count for chunk in chunks] == [2, 2, 1]
    assert bodies(chunks) == [b"1", b"2", b"3", b"4", b"5"]
    assert log.end() == chunks[-1].position
    assert log.count(log.end()) == 5


@pytest.mark.parametrize("column", ["heads", "bodies", "originals"])
def test_a_flipped_bit_is_one_fault_between_intact_chunks(open_log: Open, path: Path, column: str) -> None:
    log = open_log()
    log.append(batch(b"1"))
    damaged = Batch()
    damaged.add(b"head 2\n", b"2", b"original")
    damaged.add(b"head 3\n", b"3", b"original")
    log.append(damaged)
    log.append(batch(b"4"))
    change(
        path,
        f"UPDATE log SET {column} = CAST(substr({column}, 1, length({column}) - 1) || x'5a' AS BLOB) WHERE position = 1",
    )
    chunks = list(open_log(writer=False).read(START, 100))
    assert [(chunk.count, bool(chunk.fault)) for chunk in chunks] == [(1, False), (2, True), (1, False)]
    assert "checksum" in chunks[1].fault
    assert bodies(chunks) == [b"1", b"4"]


def test_a_changed_count_is_a_fault(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1", b"2"))
    change(path, "UPDATE log SET count = 3")
    (chunk,) = log.read(START, 100)
    assert "checksum" in chunk.fault


def test_rows_with_swapped_positions_are_faults(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1"))
    log.append(batch(b"2"))
    change(
        path,
        "UPDATE log SET position = 7 WHERE position = 0",
        "UPDATE log SET position = 0 WHERE position = 1",
        "UPDATE log SET position = 1 WHERE position = 7",
    )
    assert all(chunk.fault for chunk in log.read(START, 100))


def test_a_damaged_record_is_not_fetched(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1"))
    log.append(batch(b"2"))
    change(path, "UPDATE log SET bodies = x'00' WHERE position = 0")
    assert list(log.fetch([pack_record_id(0, 0, 0), pack_record_id(0, 1, 0)])) == [pack_record_id(0, 1, 0)]


def test_a_gap_is_a_fault_that_counts_the_missing_records(open_log: Open, path: Path) -> None:
    log = open_log()
    for group in ([b"1"], [b"2", b"3"], [b"4"], [b"5"]):
        log.append(batch(*group))
    change(path, "DELETE FROM log WHERE position IN (1, 2)")
    first, gap, last = log.read(START, 100)
    assert (first.count, last.count) == (1, 1)
    assert "rows 1 to 2 of the log are missing" in gap.fault
    assert gap.count == 3
    assert gap.position == Position((2,))
    assert next(log.read(first.position, 100)) == gap


def test_rows_after_damaged_pages_are_read(open_log: Open, path: Path) -> None:
    log = open_log()
    for number in range(300):
        log.append(batch(*(b"%d-%d" % (number, index) * 40 for index in range(40))))
    log.close()
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    pages = bytearray(path.read_bytes())
    middle = len(pages) // 2 // 4096 * 4096
    pages[middle : middle + 8192] = b"\x5a" * 8192
    path.write_bytes(pages)
    with capture_logs():
        chunks = list(open_log(writer=False).read(START, 1_000_000))
    assert sum(chunk.count for chunk in chunks) == 300 * 40
    assert chunks[-1].position == Position((299,))
    assert not chunks[-1].fault
    assert 0 < sum(chunk.count for chunk in chunks if chunk.fault) < 1_000


def test_positions_continue_after_the_table_was_emptied(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1"))
    log.append(batch(b"2"))
    published = log.end()
    log.publish(published, committed=True)
    log.close()
    change(path, "DELETE FROM log")
    with capture_logs() as events:
        log = open_log()
    assert log.end() == published
    log.append(batch(b"3"))
    assert log.end().offsets > published.offsets
    assert bodies(list(log.read(published, 100))) == [b"3"]
    assert [entry["event"] for entry in events] == ["log.ends_before_engine"]
    assert events[0]["log_level"] == "error"


def test_a_new_file_for_a_lost_one_starts_after_the_engines_position(open_log: Open, path: Path) -> None:
    log = open_log()
    log.publish(Position((41,)), committed=True)
    log.close()
    path.unlink()
    with capture_logs() as events:
        log = open_log()
    log.append(batch(b"1"))
    assert log.end() == Position((42,))
    assert events[0]["engine"] == 41


def test_the_lag_is_zero_if_the_log_ends_before_the_engines_position(open_log: Open) -> None:
    log = open_log()
    log.append(batch(b"1"))
    log.publish(Position((41,)), committed=True)
    assert log.lag() == 0
    assert log.end() == Position((41,))


def test_the_log_opens_with_an_unreadable_position_file(open_log: Open, tmp_path: Path) -> None:
    (tmp_path / "engine.position").write_text("rubbish")
    with capture_logs() as events:
        log = open_log()
    log.append(batch(b"1"))
    assert log.end() == Position((0,))
    assert events[0]["event"] == "log.engine_position_unreadable"


def damage_end(path: Path) -> bytes:
    """Make the last page of a closed log unreadable, and return the content of the file."""
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    content = content[:-4096] + bytes(4096)
    path.write_bytes(content)
    return content


def append_many(log: SqliteLog, first: int, count: int) -> None:
    for number in range(first, first + count):
        log.append(batch(*(b"%d-%d" % (number, index) * 9 for index in range(3))))


def test_a_log_with_an_unreadable_end_continues_in_a_new_file(open_log: Open, path: Path) -> None:
    log = open_log()
    append_many(log, 0, 100)
    log.publish(Position((20,)), committed=True)
    log.close()
    content = damage_end(path)
    with capture_logs() as events:
        log = open_log()
        append_many(log, 100, 2)
    assert path.read_bytes() == content
    (event,) = [entry for entry in events if entry["event"] == "log.segment_started"]
    assert event["log_level"] == "error"
    chunks = list(open_log(writer=False).read(START, 1_000_000))
    intact = [chunk for chunk in chunks if not chunk.fault]
    (lost,) = [chunk for chunk in chunks if chunk.fault]
    assert [chunk.offset for chunk in intact[:-2]] == list(range(len(intact) - 2))
    assert 50 < len(intact) - 2 < 100
    assert "of the log are missing" in lost.fault
    assert lost.position.offsets > (99,)
    assert bodies(intact[-2:])[0] == b"100-0" * 9
    assert log.lag() == sum(chunk.count for chunk in chunks if chunk.offset > 20)
    assert log.count(log.end()) == sum(chunk.count for chunk in chunks)
    record_ids = [pack_record_id(0, intact[0].offset, 0), pack_record_id(0, intact[-1].offset, 2)]
    assert [body for _, body, _ in open_log(writer=False).fetch(record_ids).values()] == [b"0-0" * 9, b"101-2" * 9]


def test_a_reader_at_the_damage_continues_in_the_new_file(open_log: Open, path: Path) -> None:
    log = open_log()
    append_many(log, 0, 100)
    log.close()
    damage_end(path)
    with capture_logs():
        reader = open_log(writer=False)
        position = list(reader.read(START, 1_000_000))[-1].position
        assert list(reader.read(position, 100)) == []
        with pytest.raises(LogUnavailable):
            reader.lag()
        append_many(open_log(), 100, 1)
        lost, appended = reader.read(position, 100)
    assert lost.fault
    assert appended.bodies[0] == b"100-0" * 9
    reader.publish(appended.position, committed=True)
    assert reader.lag() == 0


def test_a_damaged_new_file_is_followed_by_another(open_log: Open, path: Path) -> None:
    with capture_logs():
        for start in (0, 100, 200):
            log = open_log()
            append_many(log, start, 100)
            log.close()
            damage_end(max(path.parent.glob("log*.sqlite3"), key=lambda each: len(each.name)))
        log = open_log()
        append_many(log, 300, 1)
        chunks = list(log.read(START, 1_000_000))
    assert len(list(path.parent.glob("log*.sqlite3"))) == 4
    assert [bool(chunk.fault) for chunk in chunks].count(True) == 3
    assert bodies(chunks)[-1] == b"300-2" * 9
    assert [chunk.offset for chunk in chunks] == sorted({chunk.offset for chunk in chunks})


def test_a_new_file_without_rows_gets_its_marker_at_the_next_start(open_log: Open, path: Path) -> None:
    log = open_log()
    append_many(log, 0, 3)
    log.close()
    path.with_name("log.after-500.sqlite3").touch()
    with capture_logs():
        log = open_log()
        append_many(log, 3, 1)
    chunks = list(log.read(START, 100))
    assert [(chunk.count, bool(chunk.fault)) for chunk in chunks] == [(3, False)] * 3 + [(0, True), (3, False)]
    assert log.count(log.end()) == 12


def test_rows_before_a_disk_failure_are_read_first(open_log: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log()
    append_many(log, 0, 9)
    original = Segment.rows_after

    def failing(segment: Segment, last: int, wanted: int) -> list[Row]:
        if last >= 4:
            raise LogUnavailable("read the log", segment.path, "disk I/O error")
        return [row for row in original(segment, last, wanted) if row.position <= 4]

    monkeypatch.setattr(Segment, "rows_after", failing)
    chunks = list(log.read(START, 1_000_000))
    assert [chunk.offset for chunk in chunks] == [0, 1, 2, 3, 4]
    with pytest.raises(LogUnavailable, match="disk I/O error"):
        next(log.read(chunks[-1].position, 100))
    monkeypatch.undo()
    assert next(log.read(chunks[-1].position, 100)).offset == 5


class BrokenAppender:
    """An appender whose file is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def insert(self, rows: object) -> None:
        raise LogDamaged("append to the log", self.path, "database disk image is malformed")

    def close(self) -> None:
        """Does nothing: no file is open."""


def test_an_append_to_a_damaged_file_goes_into_a_new_file(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1"))
    before = log.end()
    assert log._writer is not None
    log._writer.close()
    log._writer = BrokenAppender(path)  # type: ignore[assignment]
    with capture_logs() as events:
        log.append(batch(b"2"))
    assert [entry["event"] for entry in events] == ["log.segment_started"]
    assert log.end().offsets > before.offsets
    assert bodies(list(open_log(writer=False).read(START, 100))) == [b"1", b"2"]
    assert log.lag() == 2


def test_only_one_new_file_is_made_if_it_fails_too(open_log: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log()
    log.append(batch(b"1"))
    assert log._writer is not None
    log._writer.close()
    log._writer = BrokenAppender(path)  # type: ignore[assignment]
    insert = Appender.insert
    monkeypatch.setattr(Appender, "insert", BrokenAppender.insert)
    with capture_logs():
        for _ in range(3):
            with pytest.raises(LogUnavailable):
                log.append(batch(b"2"))
    assert len(list(path.parent.glob("log.after-*.sqlite3"))) == 1
    monkeypatch.setattr(Appender, "insert", insert)
    log.append(batch(b"3"))
    assert bodies(list(open_log(writer=False).read(START, 100))) == [b"1", b"3"]


def test_making_a_new_file_is_retried_at_the_next_append(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1"))
    assert log._writer is not None
    log._writer.close()
    log._writer = BrokenAppender(path)  # type: ignore[assignment]
    obstacle = path.with_name("log.after-1000000.sqlite3")
    obstacle.mkdir()
    with capture_logs(), pytest.raises(LogUnavailable):
        log.append(batch(b"2"))
    obstacle.rmdir()
    with capture_logs():
        log.append(batch(b"2"))
    assert bodies(list(open_log(writer=False).read(START, 100))) == [b"1", b"2"]


def test_a_damaged_last_row_is_counted_and_not_overwritten(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1"))
    log.append(batch(b"2", b"3"))
    log.close()
    change(path, "UPDATE log SET bodies = x'00' WHERE position = 1")
    log = open_log()
    log.append(batch(b"4"))
    assert log.end() == Position((2,))
    assert [(chunk.count, bool(chunk.fault)) for chunk in log.read(START, 100)] == [(1, False), (2, True), (1, False)]
    assert log.count(log.end()) == 4


def test_a_newer_version_is_refused(open_log: Open, path: Path) -> None:
    open_log().close()
    change(path, f"PRAGMA user_version={VERSION + 1}")
    for writer in (True, False):
        with pytest.raises(DataDirectoryError, match="upgrade tillstream"):
            open_log(writer=writer).end()


def test_another_programs_file_is_refused(open_log: Open, path: Path) -> None:
    change(path, "CREATE TABLE theirs (x)")
    with pytest.raises(DataDirectoryError, match="another program's file"):
        open_log()


def test_a_file_that_is_not_a_database_stays_and_the_log_continues_in_a_new_one(open_log: Open, path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LogUnavailable, match=r"could not open the log .*log\.sqlite3"):
        list(open_log(writer=False).read(START, 10))
    with capture_logs() as events:
        log = open_log()
    log.append(batch(b"1"))
    assert bodies(list(open_log(writer=False).read(START, 100))) == [b"1"]
    assert path.read_bytes() == b"not a database" * 100
    assert "log.segment_started" in [entry["event"] for entry in events]


def test_a_full_log_refuses_appends_until_there_is_room(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1"))
    assert log._writer is not None
    pages = log._writer.connection.execute("PRAGMA page_count").fetchone()[0]
    log._writer.connection.execute(f"PRAGMA max_page_count={pages + 1}")
    big = batch(bytes(range(256)) * 4, *(str(number).encode() * 9 for number in range(5_000)))
    with pytest.raises(LogFull, match="make room"):
        log.append(big)
    assert bodies(list(log.read(START, 100))) == [b"1"]
    log._writer.connection.execute("PRAGMA max_page_count=1000000")
    log.append(big)
    assert log.end() == Position((2,))
    assert log.count(log.end()) == 1 + len(big)


def test_the_log_stays_below_its_size_limit(open_log: Open) -> None:
    log = open_log(log_limit_bytes=200_000)
    one = batch(b"x" * 1_000)
    while log.size_bytes() < 190_000:
        log.append(one)
    with pytest.raises(LogFull, match="log_limit_bytes"):
        log.append(batch(b"x" * 20_000))
    assert log.size_bytes() <= 200_000
    assert 10 < log.count(log.end()) < 1_000


def test_the_disk_reserve_stays_free(open_log: Open) -> None:
    with pytest.raises(LogFull, match="disk_reserve_bytes"):
        open_log(disk_reserve_bytes=2**60).append(batch(b"1"))


def test_the_write_ahead_log_stays_bounded(open_log: Open, path: Path) -> None:
    log = open_log()
    reader = open_log(writer=False)
    for number in range(600):
        log.append(batch(*(b"%d" % (number * index * 7919) * 30 for index in range(100))))
        list(reader.read(Position((number - 1,)), 1))
    assert path.with_name("log.sqlite3-wal").stat().st_size < WAL_LIMIT_BYTES / 4


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    return Progress(tmp_path)


def test_without_files_the_progress_is_at_the_start(progress: Progress) -> None:
    assert (progress.committed(), progress.prepared()) == (-1, -1)


def test_a_prepared_position_does_not_change_the_committed_one(progress: Progress) -> None:
    progress.publish(Position((7,)), committed=True)
    progress.publish(Position((9,)), committed=False)
    assert (progress.committed(), progress.prepared()) == (7, 9)


def test_the_prepared_position_never_goes_back_even_in_another_process(progress: Progress, tmp_path: Path) -> None:
    progress.publish(Position((9,)), committed=True)
    for each in (progress, Progress(tmp_path)):
        each.publish(START, committed=True)
        assert (each.committed(), each.prepared()) == (-1, 9)


def test_without_a_prepared_position_the_committed_one_counts(progress: Progress, tmp_path: Path) -> None:
    (tmp_path / "engine.position").write_text("5")
    assert progress.prepared() == 5


def test_only_a_new_prepared_position_waits_for_the_disk(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    progress.publish(Position((1,)), committed=False)
    assert len(synced) == 2
    progress.publish(Position((1,)), committed=True)
    progress.publish(Position((1,)), committed=False)
    assert len(synced) == 2


def test_an_empty_file_counts_as_missing(progress: Progress, tmp_path: Path) -> None:
    (tmp_path / "engine.position").touch()
    with capture_logs() as events:
        assert progress.committed() == -1
    assert events == []


def test_an_unreadable_file_is_logged_and_the_other_one_counts(progress: Progress, tmp_path: Path) -> None:
    progress.publish(Position((3,)), committed=True)
    (tmp_path / "engine.reach").write_bytes(b"\xff")
    with capture_logs() as events:
        assert progress.prepared() == 3
    assert [entry["event"] for entry in events] == ["log.engine_position_unreadable"]


def test_an_error_on_writing_names_the_file(progress: Progress, tmp_path: Path) -> None:
    (tmp_path / "engine.reach.new").mkdir()
    with pytest.raises(LogUnavailable, match=r"could not publish a position in .*engine\.reach: Is a directory"):
        progress.publish(Position((3,)), committed=False)
    assert progress.prepared() == -1
