"""Appending rows to a file of the log, all of them or none, and refusing other files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from tillstream.errors import DataDirectoryError
from tillstream.log.sqlite.damage import LogDamaged
from tillstream.log.sqlite.row import Row
from tillstream.log.sqlite.segment import Appender, Segment

compress = zstandard.ZstdCompressor(level=1).compress


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite3"


def row(position: int) -> Row:
    return Row.pack(position, position + 1, [b"head\n"], [b"{}"], [b""], compress)


def positions(path: Path) -> list[int]:
    with closing(Segment(path, -1)) as segment:
        return [row.position for row in segment.rows_after(-1, 100)]


def test_readers_see_appended_rows_and_so_does_a_new_appender(path: Path) -> None:
    for first in (0, 2):
        with closing(Appender(path)) as appender:
            appender.insert([row(first), row(first + 1)])
            assert positions(path) == list(range(first + 2))


def test_every_commit_waits_for_the_disk(path: Path) -> None:
    with closing(Appender(path)) as appender:
        assert appender.connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert appender.connection.execute("PRAGMA journal_mode").fetchone()[0] in ("wal", b"wal")


def test_a_position_that_is_in_use_is_damage_and_no_row_is_appended(path: Path) -> None:
    with closing(Appender(path)) as appender:
        appender.insert([row(0), row(2)])
        with pytest.raises(LogDamaged, match="a row already has the position of the new row"):
            appender.insert([row(1), row(2)])
        assert positions(path) == [0, 2]
        appender.insert([row(3)])
    assert positions(path) == [0, 2, 3]


def test_a_file_that_is_not_a_database_is_damage(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LogDamaged, match=r"could not open the log .*log\.sqlite3: file is not a database"):
        Appender(path)


def test_a_log_without_its_table_is_damage(path: Path) -> None:
    Appender(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE log")
    with pytest.raises(LogDamaged, match="no such table"):
        Appender(path)


def test_a_table_without_its_primary_key_is_damage(path: Path) -> None:
    Appender(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'PRIMARY KEY', '')")
    with pytest.raises(LogDamaged, match="its table has lost its primary key"):
        Appender(path)


def test_a_header_that_forbids_writing_is_damage(path: Path) -> None:
    Appender(path).close()
    content = bytearray(path.read_bytes())
    content[18] = 9
    path.write_bytes(content)
    with pytest.raises(LogDamaged, match="readonly"):
        Appender(path)


def test_an_appender_refuses_another_programs_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(DataDirectoryError, match="another program's file"):
        Appender(path)


def test_another_programs_table_is_refused(path: Path) -> None:
    Appender(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id=7")
        connection.execute("ALTER TABLE log RENAME TO theirs")
    with pytest.raises(DataDirectoryError, match="another program's file"):
        Segment(path, -1).last_rows()


def test_a_missing_file_has_no_rows(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "none.sqlite3", -1)
    assert (segment.rows_after(-1, 9), segment.last_rows(), segment.rows_before(5)) == ([], [], [])
    assert segment.row_at(5) is None
    assert segment.size_bytes() == 0
