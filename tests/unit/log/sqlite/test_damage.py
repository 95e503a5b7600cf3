"""Reading a file of the log with missing rows, wrong keys, damaged pages, or a failing disk: nothing stops."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tillstream.config.settings import Settings
from tillstream.errors import LogFull, LogUnavailable
from tillstream.log.base import Batch, Position
from tillstream.log.sqlite import damage
from tillstream.log.sqlite.damage import LogDamaged, damaged_records, gap, log_error, total_after
from tillstream.log.sqlite.log import SqliteLog
from tillstream.log.sqlite.row import Row
from tillstream.log.sqlite.segment import Segment

ROWS = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of forty rows with one record each."""
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
    made = sqlite3.OperationalError("disk image is malformed")
    made.sqlite_errorcode = code
    return made


class Failing:
    """A connection whose statements for some positions fail."""

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


def test_rows_are_read_in_order_up_to_the_limit(segment: Segment) -> None:
    assert positions(segment) == list(range(ROWS))
    assert [row.position for row in segment.rows_after(4, 3)] == [5, 6, 7]
    assert positions(segment, ROWS - 1) == []


@pytest.mark.parametrize("wrong", [2**62, -5, 30_000])
def test_a_damaged_row_with_a_wrong_key_hides_no_other_row(segment: Segment, path: Path, wrong: int) -> None:
    change(path, f"UPDATE log SET position = {wrong} WHERE position = 7")
    assert positions(segment) == [number for number in range(ROWS) if number != 7]


def test_a_damaged_row_with_its_own_key_is_returned(segment: Segment, path: Path) -> None:
    change(path, "UPDATE log SET total = -3, count = 'x' WHERE position = 7")
    rows = segment.rows_after(-1, 1_000_000)
    assert [row.position for row in rows] == list(range(ROWS))
    assert [row.position for row in rows if not row.is_intact] == [7]


def test_the_last_rows_are_the_last_intact_row_and_the_damaged_ones_after_it(segment: Segment, path: Path) -> None:
    change(path, f"UPDATE log SET bodies = x'00' WHERE position > {ROWS - 3}")
    assert [(row.position, row.is_intact) for row in segment.last_rows()] == [
        (ROWS - 3, True), (ROWS - 2, False), (ROWS - 1, False)
    ]  # fmt: skip
    assert [row.position for row in segment.rows_before(20)] == [20]


def test_a_long_range_of_damage_is_skipped(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "LINEAR_LOOKUPS", 3)
    fail(segment, sqlite3.SQLITE_CORRUPT, range(10, 31))
    assert positions(segment, 9)[0] == 31


def test_damage_up_to_the_end_is_logged_and_searched_once_per_interval(segment: Segment) -> None:
    fail(segment, sqlite3.SQLITE_CORRUPT, range(30, 2**40))
    with capture_logs() as events:
        for _ in range(3):
            assert positions(segment, 29) == []
    assert [entry["event"] for entry in events] == ["log.damaged_to_end"]


def test_a_failed_disk_read_is_retried_before_its_rows_are_skipped(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = fail(segment, sqlite3.SQLITE_IOERR_READ, range(10, 13))
    for _ in range(2):
        with pytest.raises(LogUnavailable, match=r"could not read the log .* look at the disk") as raised:
            segment.rows_after(9, 100)
        assert not isinstance(raised.value, LogDamaged)
    monkeypatch.setattr(damage, "IO_RETRY_S", 0.0)
    assert positions(segment, 9)[0] == 13
    monkeypatch.undo()
    failing.bad = range(0)
    assert positions(segment, 9)[0] == 10


def test_no_row_is_lost_when_the_disk_recovers(segment: Segment) -> None:
    failing = fail(segment, sqlite3.SQLITE_IOERR_READ, range(10, 13))
    with pytest.raises(LogUnavailable):
        segment.rows_after(9, 100)
    failing.bad = range(0)
    assert positions(segment, 9) == list(range(10, ROWS))
    assert segment._reader._failing is None


def test_a_lock_is_not_damage(segment: Segment) -> None:
    fail(segment, sqlite3.SQLITE_BUSY, range(10, 13))
    with pytest.raises(LogUnavailable) as raised:
        segment.rows_after(9, 100)
    assert not isinstance(raised.value, LogDamaged)


def test_an_unreadable_end_is_damage(segment: Segment, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(LogDamaged, match="check"):
        segment.last_rows()


def test_a_log_with_another_application_id_is_still_read(segment: Segment, path: Path) -> None:
    change(path, "PRAGMA application_id=7")
    assert positions(segment) == list(range(ROWS))


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
def test_an_error_names_the_action_the_file_the_reason_and_a_hint(code: int, kind: type[LogUnavailable]) -> None:
    converted = log_error("read", Path("a/log.sqlite3"), error(code))
    assert type(converted) is kind
    assert str(converted).startswith("could not read the log a/log.sqlite3: disk image is malformed; ")


def test_a_schema_that_is_not_text_is_damage(path: Path) -> None:
    change(
        path,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = CAST(x'4352454154459420' AS TEXT) WHERE name = 'log'",
    )
    with pytest.raises(LogDamaged, match="could not open the log"):
        Segment(path, -1).last_rows()


def test_rows_are_found_by_key_if_the_declaration_of_the_table_is_damaged(segment: Segment, path: Path) -> None:
    change(
        path,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'INTEGER PRIMARY KEY', 'INTEGER') WHERE name = 'log'",
    )
    assert positions(segment) == list(range(ROWS))


@pytest.fixture
def row() -> Row:
    return Row.pack(7, 102, [b"h1\n", b"h2\n"], [b"{}", b""], [b"", b""], bytes)


def test_a_gap_counts_the_difference_of_the_totals(row: Row) -> None:
    chunk = gap(3, row, 60)
    assert (chunk.offset, chunk.position, chunk.count) == (6, Position((6,)), 40)
    assert "rows 4 to 6" in chunk.fault
    assert gap(3, row, 500).count == 0


def test_the_records_of_a_damaged_row_come_from_its_own_numbers(row: Row) -> None:
    assert damaged_records(row, 100, None) == 2
    assert damaged_records(row._replace(records=-5), 100, None) == 2
    assert damaged_records(row._replace(total=-5), 100, None) == 2
    assert damaged_records(row._replace(total=2**60, records=-1), 100, None) == 0


def test_the_records_of_a_damaged_row_come_from_an_intact_row_after_it(row: Row) -> None:
    broken = row._replace(position=6, total=-5, records=-1)
    assert damaged_records(broken, 90, row) == 10
    assert damaged_records(broken, 90, row._replace(position=8)) == 0


def test_a_gap_before_a_damaged_row_has_no_count(row: Row) -> None:
    broken = row._replace(total=10**9)
    assert not broken.is_intact
    assert gap(3, broken, 60).count == 0
    assert total_after(broken, 60) == 62
    assert total_after(row, 60) == 102
