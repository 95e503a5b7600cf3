"""What only the SQLite log has: its file, its damage, and its limits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from tillstream.errors import DataDirectoryError, LogFull, LogUnavailable
from tillstream.log.base import START, Batch, Chunk, Position, pack_place
from tillstream.log.sqlite import VERSION, WAL_KEPT_BYTES, SqliteLog
from tillstream.settings import Settings

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


def test_a_batch_over_the_commit_limit_becomes_several_rows_of_one_transaction(open_log: Open) -> None:
    log = open_log(commit_limit_receipts=2)
    behind = log.append(batch(b"1", b"2", b"3", b"4", b"5"))
    chunks = list(log.read(START, 100))
    assert [chunk.count for chunk in chunks] == [2, 2, 1]
    assert bodies(chunks) == [b"1", b"2", b"3", b"4", b"5"]
    assert behind == chunks[-1].position
    assert log.count(behind) == 5


@pytest.mark.parametrize("column", ["heads", "bodies", "originals"])
def test_a_flipped_bit_is_one_faulty_chunk_between_good_ones(open_log: Open, path: Path, column: str) -> None:
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


def test_a_changed_count_is_noticed_too(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1", b"2"))
    change(path, "UPDATE log SET count = 3")
    (chunk,) = log.read(START, 100)
    assert "checksum" in chunk.fault


def test_a_row_that_swapped_its_place_is_noticed(open_log: Open, path: Path) -> None:
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
    assert list(log.fetch([pack_place(0, 0, 0), pack_place(0, 1, 0)])) == [pack_place(0, 1, 0)]


def test_a_gap_is_a_faulty_chunk_that_counts_what_is_missing(open_log: Open, path: Path) -> None:
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


def test_damaged_pages_hide_nothing_behind_them(open_log: Open, path: Path) -> None:
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


def test_positions_go_on_after_the_table_was_emptied(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1"))
    published = log.append(batch(b"2"))
    log.publish(published, committed=True)
    log.close()
    change(path, "DELETE FROM log")
    with capture_logs() as said:
        log = open_log()
    assert log.end() == published
    behind = log.append(batch(b"3"))
    assert behind.offsets > published.offsets
    assert bodies(list(log.read(published, 100))) == [b"3"]
    assert [entry["event"] for entry in said] == ["log_ends_behind_engine"]
    assert said[0]["log_level"] == "error"


def test_a_lost_file_starts_behind_the_engine(open_log: Open, path: Path) -> None:
    log = open_log()
    log.publish(Position((41,)), committed=True)
    log.close()
    path.unlink()
    with capture_logs() as said:
        assert open_log().append(batch(b"1")) == Position((42,))
    assert said[0]["engine"] == 41


def test_an_end_before_the_engines_position_is_no_lag(open_log: Open) -> None:
    log = open_log()
    log.append(batch(b"1"))
    log.publish(Position((41,)), committed=True)
    assert log.lag() == 0
    assert log.end() == Position((41,))


def test_an_unreadable_position_file_is_told_and_does_not_stop_the_start(open_log: Open, tmp_path: Path) -> None:
    (tmp_path / "engine.position").write_text("rubbish")
    with capture_logs() as said:
        assert open_log().append(batch(b"1")) == Position((0,))
    assert said[0]["event"] == "engine_position_unreadable"


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


def test_a_file_that_is_no_database_is_refused_with_its_path(open_log: Open, path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LogUnavailable, match=r"could not open the log .*log\.sqlite3"):
        open_log()


def test_a_full_log_takes_nothing_and_works_again_once_there_is_room(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1"))
    assert log._writer is not None
    pages = log._writer.execute("PRAGMA page_count").fetchone()[0]
    log._writer.execute(f"PRAGMA max_page_count={pages + 1}")
    big = batch(bytes(range(256)) * 4, *(str(number).encode() * 9 for number in range(5_000)))
    with pytest.raises(LogFull, match="make room"):
        log.append(big)
    assert bodies(list(log.read(START, 100))) == [b"1"]
    log._writer.execute("PRAGMA max_page_count=1000000")
    assert log.append(big) == Position((2,))
    assert log.count(log.end()) == 1 + len(big)


def test_the_limit_of_the_log_is_kept(open_log: Open) -> None:
    log = open_log(log_limit_bytes=200_000)
    one = batch(b"x" * 1_000)
    while log.size_bytes() < 190_000:
        log.append(one)
    with pytest.raises(LogFull, match="log_limit_bytes"):
        log.append(batch(b"x" * 20_000))
    assert log.size_bytes() <= 200_000
    assert 10 < log.count(log.end()) < 1_000


def test_the_reserve_of_the_disk_is_left_alone(open_log: Open) -> None:
    with pytest.raises(LogFull, match="disk_reserve_bytes"):
        open_log(disk_reserve_bytes=2**60).append(batch(b"1"))


def test_the_write_ahead_log_stays_bounded(open_log: Open, path: Path) -> None:
    log = open_log()
    reader = open_log(writer=False)
    for number in range(600):
        log.append(batch(*(b"%d" % (number * index * 7919) * 30 for index in range(100))))
        list(reader.read(Position((number - 1,)), 1))
    assert path.with_name("log.sqlite3-wal").stat().st_size < WAL_KEPT_BYTES / 4
