"""What only the SQLite log has: its file, its damage, and its limits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from tillstream.config.settings import Settings
from tillstream.errors import DataDirectoryError, LogFull, LogUnavailable
from tillstream.log.base import START, Batch, Chunk, Position, pack_place
from tillstream.log.sqlite.appender import WAL_KEPT_BYTES, Appender
from tillstream.log.sqlite.log import SqliteLog
from tillstream.log.sqlite.row import Row
from tillstream.log.sqlite.segment import VERSION, LogDamaged, Segment

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


def damage_end(path: Path) -> bytes:
    """Make a closed log's last page, where it would grow, unreadable; what the file then holds."""
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    content = content[:-4096] + bytes(4096)
    path.write_bytes(content)
    return content


def many(log: SqliteLog, first: int, count: int) -> None:
    for number in range(first, first + count):
        log.append(batch(*(b"%d-%d" % (number, index) * 9 for index in range(3))))


def test_a_log_whose_end_cannot_be_read_goes_on_in_a_new_file(open_log: Open, path: Path) -> None:
    log = open_log()
    many(log, 0, 100)
    log.publish(Position((20,)), committed=True)
    log.close()
    content = damage_end(path)
    with capture_logs() as said:
        log = open_log()
        many(log, 100, 2)
    assert path.read_bytes() == content
    (event,) = [entry for entry in said if entry["event"] == "log_goes_on_in_a_new_file"]
    assert event["log_level"] == "error"
    chunks = list(open_log(writer=False).read(START, 1_000_000))
    sound = [chunk for chunk in chunks if not chunk.fault]
    (lost,) = [chunk for chunk in chunks if chunk.fault]
    assert [chunk.offset for chunk in sound[:-2]] == list(range(len(sound) - 2))
    assert 50 < len(sound) - 2 < 100
    assert "of the log are missing" in lost.fault
    assert lost.position.offsets > (99,)
    assert bodies(sound[-2:])[0] == b"100-0" * 9
    assert log.lag() == sum(chunk.count for chunk in chunks if chunk.offset > 20)
    assert log.count(log.end()) == sum(chunk.count for chunk in chunks)
    places = [pack_place(0, sound[0].offset, 0), pack_place(0, sound[-1].offset, 2)]
    assert [body for _, body, _ in open_log(writer=False).fetch(places).values()] == [b"0-0" * 9, b"101-2" * 9]


def test_a_reader_that_stands_at_the_damage_is_led_on(open_log: Open, path: Path) -> None:
    log = open_log()
    many(log, 0, 100)
    log.close()
    damage_end(path)
    with capture_logs():
        reader = open_log(writer=False)
        position = list(reader.read(START, 1_000_000))[-1].position
        assert list(reader.read(position, 100)) == []
        with pytest.raises(LogUnavailable):
            reader.lag()
        many(open_log(), 100, 1)
        lost, taken = reader.read(position, 100)
    assert lost.fault
    assert taken.bodies[0] == b"100-0" * 9
    reader.publish(taken.position, committed=True)
    assert reader.lag() == 0


def test_a_new_file_that_is_damaged_too_is_followed_by_another(open_log: Open, path: Path) -> None:
    with capture_logs():
        for start in (0, 100, 200):
            log = open_log()
            many(log, start, 100)
            log.close()
            damage_end(max(path.parent.glob("log*.sqlite3"), key=lambda each: len(each.name)))
        log = open_log()
        many(log, 300, 1)
        chunks = list(log.read(START, 1_000_000))
    assert len(list(path.parent.glob("log*.sqlite3"))) == 4
    assert [bool(chunk.fault) for chunk in chunks].count(True) == 3
    assert bodies(chunks)[-1] == b"300-2" * 9
    assert [chunk.offset for chunk in chunks] == sorted({chunk.offset for chunk in chunks})


def test_a_start_that_died_before_its_first_row_is_made_good(open_log: Open, path: Path) -> None:
    log = open_log()
    many(log, 0, 3)
    log.close()
    path.with_name("log.after-500.sqlite3").touch()
    with capture_logs():
        log = open_log()
        many(log, 3, 1)
    chunks = list(log.read(START, 100))
    assert [(chunk.count, bool(chunk.fault)) for chunk in chunks] == [(3, False)] * 3 + [(0, True), (3, False)]
    assert log.count(log.end()) == 12


def test_what_stands_before_a_failure_of_the_disk_is_read_first(
    open_log: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log()
    many(log, 0, 9)
    whole = Segment.rows_after

    def fail_behind(segment: Segment, last: int, wanted: int) -> list[Row]:
        if last >= 4:
            raise LogUnavailable("read the log", segment.path, "disk I/O error")
        return [row for row in whole(segment, last, wanted) if row.position <= 4]

    monkeypatch.setattr(Segment, "rows_after", fail_behind)
    chunks = list(log.read(START, 1_000_000))
    assert [chunk.offset for chunk in chunks] == [0, 1, 2, 3, 4]
    with pytest.raises(LogUnavailable, match="disk I/O error"):
        next(log.read(chunks[-1].position, 100))
    monkeypatch.undo()
    assert next(log.read(chunks[-1].position, 100)).offset == 5


class Broken:
    """Stands in for the file that the log appends to, and takes nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def insert(self, rows: object) -> None:
        raise LogDamaged("append to the log", self.path, "database disk image is malformed")

    def close(self) -> None:
        """Nothing is open."""


def test_an_append_that_meets_damage_goes_into_a_new_file(open_log: Open, path: Path) -> None:
    log = open_log()
    before = log.append(batch(b"1"))
    assert log._writer is not None
    log._writer.close()
    log._writer = Broken(path)  # type: ignore[assignment]
    with capture_logs() as said:
        behind = log.append(batch(b"2"))
    assert [entry["event"] for entry in said] == ["log_goes_on_in_a_new_file"]
    assert behind.offsets > before.offsets
    assert bodies(list(open_log(writer=False).read(START, 100))) == [b"1", b"2"]
    assert log.lag() == 2


def test_where_no_new_file_helps_there_is_only_one(open_log: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log()
    log.append(batch(b"1"))
    assert log._writer is not None
    log._writer.close()
    log._writer = Broken(path)  # type: ignore[assignment]
    whole = Appender.insert
    monkeypatch.setattr(Appender, "insert", Broken.insert)
    with capture_logs():
        for _ in range(3):
            with pytest.raises(LogUnavailable):
                log.append(batch(b"2"))
    assert len(list(path.parent.glob("log.after-*.sqlite3"))) == 1
    monkeypatch.setattr(Appender, "insert", whole)
    log.append(batch(b"3"))
    assert bodies(list(open_log(writer=False).read(START, 100))) == [b"1", b"3"]


def test_a_new_file_that_cannot_be_made_is_tried_again(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1"))
    assert log._writer is not None
    log._writer.close()
    log._writer = Broken(path)  # type: ignore[assignment]
    obstacle = path.with_name("log.after-1000000.sqlite3")
    obstacle.mkdir()
    with capture_logs(), pytest.raises(LogUnavailable):
        log.append(batch(b"2"))
    obstacle.rmdir()
    with capture_logs():
        log.append(batch(b"2"))
    assert bodies(list(open_log(writer=False).read(START, 100))) == [b"1", b"2"]


def test_a_damaged_last_row_is_not_overwritten_and_counts(open_log: Open, path: Path) -> None:
    log = open_log()
    log.append(batch(b"1"))
    log.append(batch(b"2", b"3"))
    log.close()
    change(path, "UPDATE log SET bodies = x'00' WHERE position = 1")
    log = open_log()
    assert log.append(batch(b"4")) == Position((2,))
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


def test_a_file_that_is_no_database_any_more_is_kept_and_another_one_goes_on(open_log: Open, path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LogUnavailable, match=r"could not open the log .*log\.sqlite3"):
        list(open_log(writer=False).read(START, 10))
    with capture_logs() as said:
        log = open_log()
    log.append(batch(b"1"))
    assert bodies(list(open_log(writer=False).read(START, 100))) == [b"1"]
    assert path.read_bytes() == b"not a database" * 100
    assert "log_goes_on_in_a_new_file" in [entry["event"] for entry in said]


def test_a_full_log_takes_nothing_and_works_again_once_there_is_room(open_log: Open, path: Path) -> None:
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
