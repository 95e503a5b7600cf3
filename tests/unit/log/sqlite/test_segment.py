"""One file of the log for readers: its holes, its wrong keys, and a disk that fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tillstream.config.settings import Settings
from tillstream.errors import DataDirectoryError, LogFull, LogUnavailable
from tillstream.log.base import Batch
from tillstream.log.sqlite import segment as segment_module
from tillstream.log.sqlite.log import SqliteLog
from tillstream.log.sqlite.row import is_sound
from tillstream.log.sqlite.segment import LogDamaged, Segment, failure

ROWS = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of forty rows of one record, each on pages of its own."""
    path = tmp_path / "log.sqlite3"
    with closing(SqliteLog(path, writer=True, settings=Settings())) as log:
        for number in range(ROWS):
            batch = Batch()
            batch.add(b"head\n", bytes(range(256)) * 2 + b"%d" % number)
            log.append(batch)
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def segment(path: Path) -> Iterator[Segment]:
    segment = Segment(path, -1)
    yield segment
    segment.close()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def positions(segment: Segment, last: int = -1) -> list[int]:
    return [row.position for row in segment.rows_after(last, 1_000_000)]


def error(code: int) -> sqlite3.OperationalError:
    made = sqlite3.OperationalError("said SQLite")
    made.sqlite_errorcode = code
    return made


class Failing:
    """A connection on which statements about some positions fail as they do on a bad disk."""

    def __init__(self, real: sqlite3.Connection, code: int, bad: range) -> None:
        self._real = real
        self.code = code
        self.bad = bad

    def execute(self, sql: str, parameters: tuple[int, ...] = ()) -> Any:
        at = parameters[0] if parameters else -1
        if (at + 1 if "> ?" in sql else at) in self.bad:
            raise error(self.code)
        return self._real.execute(sql, parameters)

    def close(self) -> None:
        self._real.close()


def fail(segment: Segment, code: int, bad: range) -> Failing:
    segment.rows_after(-1, 1)
    assert segment._connection is not None
    failing = Failing(segment._connection, code, bad)
    segment._connection = failing  # type: ignore[assignment]
    return failing


def test_rows_come_in_order_until_there_are_enough(segment: Segment) -> None:
    assert positions(segment) == list(range(ROWS))
    assert [row.position for row in segment.rows_after(4, 3)] == [5, 6, 7]
    assert positions(segment, ROWS - 1) == []


def test_a_file_that_nobody_made_yet_has_no_rows(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "none.sqlite3", -1)
    assert (positions(segment), segment.tail(), segment.rows_before(5), segment.row_at(5)) == ([], [], [], None)


@pytest.mark.parametrize("wrong", [2**62, -5, 30_000])
def test_a_damaged_row_with_a_wrong_key_hides_none_behind_it(segment: Segment, path: Path, wrong: int) -> None:
    change(path, f"UPDATE log SET position = {wrong} WHERE position = 7")
    assert positions(segment) == [number for number in range(ROWS) if number != 7]


def test_a_damaged_row_in_its_place_is_given(segment: Segment, path: Path) -> None:
    change(path, "UPDATE log SET total = -3, count = 'x' WHERE position = 7")
    rows = segment.rows_after(-1, 1_000_000)
    assert [row.position for row in rows] == list(range(ROWS))
    assert [row.position for row in rows if not is_sound(row)] == [7]


def test_the_tail_is_the_last_sound_row_and_what_is_damaged_behind_it(segment: Segment, path: Path) -> None:
    change(path, f"UPDATE log SET bodies = x'00' WHERE position > {ROWS - 3}")
    assert [(row.position, is_sound(row)) for row in segment.tail()] == [
        (ROWS - 3, True), (ROWS - 2, False), (ROWS - 1, False)
    ]  # fmt: skip
    assert [row.position for row in segment.rows_before(20)] == [20]


def test_a_long_stretch_of_damage_is_leapt_over(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_module, "NEAR", 3)
    fail(segment, sqlite3.SQLITE_CORRUPT, range(10, 31))
    assert positions(segment, 9)[0] == 31


def test_damage_up_to_the_end_is_told_now_and_then_and_not_searched_each_time(segment: Segment) -> None:
    fail(segment, sqlite3.SQLITE_CORRUPT, range(30, 2**40))
    with capture_logs() as said:
        for _ in range(3):
            assert positions(segment, 29) == []
    assert [entry["event"] for entry in said] == ["log_damaged_to_its_end"]


def test_what_the_disk_cannot_read_is_asked_for_again_before_it_is_passed_over(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = fail(segment, sqlite3.SQLITE_IOERR_READ, range(10, 13))
    for _ in range(2):
        with pytest.raises(LogUnavailable, match=r"could not read the log .* look at the disk") as told:
            segment.rows_after(9, 100)
        assert not isinstance(told.value, LogDamaged)
    monkeypatch.setattr(segment_module, "IO_PATIENCE_S", 0.0)
    assert positions(segment, 9)[0] == 13
    monkeypatch.undo()
    failing.bad = range(0)
    assert positions(segment, 9)[0] == 10


def test_a_disk_that_reads_again_loses_nothing(segment: Segment) -> None:
    failing = fail(segment, sqlite3.SQLITE_IOERR_READ, range(10, 13))
    with pytest.raises(LogUnavailable):
        segment.rows_after(9, 100)
    failing.bad = range(0)
    assert positions(segment, 9) == list(range(10, ROWS))
    assert segment._failing is None


def test_a_lock_is_no_damage(segment: Segment) -> None:
    fail(segment, sqlite3.SQLITE_BUSY, range(10, 13))
    with pytest.raises(LogUnavailable) as told:
        segment.rows_after(9, 100)
    assert not isinstance(told.value, LogDamaged)


def test_an_end_that_cannot_be_read_is_damage(segment: Segment, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(LogDamaged, match="check"):
        segment.tail()


def test_a_log_that_lost_its_mark_is_still_one(segment: Segment, path: Path) -> None:
    change(path, "PRAGMA application_id=7")
    assert positions(segment) == list(range(ROWS))


def test_another_programs_table_is_refused(path: Path) -> None:
    change(path, "PRAGMA application_id=7", "ALTER TABLE log RENAME TO theirs")
    with pytest.raises(DataDirectoryError, match="another program's file"):
        Segment(path, -1).tail()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, LogFull),
        (sqlite3.SQLITE_CORRUPT, LogDamaged),
        (sqlite3.SQLITE_IOERR_READ, LogDamaged),
        (sqlite3.SQLITE_IOERR_SHORT_READ, LogDamaged),
        (sqlite3.SQLITE_IOERR_FSYNC, LogUnavailable),
        (sqlite3.SQLITE_BUSY, LogUnavailable),
    ],
)
def test_an_error_says_what_was_done_to_what_and_what_to_try(code: int, kind: type[LogUnavailable]) -> None:
    told = failure("read", Path("a/log.sqlite3"), error(code))
    assert type(told) is kind
    assert str(told).startswith("could not read the log a/log.sqlite3: said SQLite; ")


def test_a_declaration_that_is_no_text_any_more_is_damage(path: Path) -> None:
    change(
        path,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = CAST(x'4352454154459420' AS TEXT) WHERE name = 'log'",
    )
    with pytest.raises(LogDamaged, match="could not open the log"):
        Segment(path, -1).tail()


def test_rows_are_found_by_their_key_whatever_the_table_is_said_to_be(segment: Segment, path: Path) -> None:
    change(
        path,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'INTEGER PRIMARY KEY', 'INTEGER') WHERE name = 'log'",
    )
    assert positions(segment) == list(range(ROWS))
