"""With any damage in the file of the log, readers get correct records or faults, and ingest keeps appending."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tillstream.config.settings import Settings
from tillstream.errors import LogUnavailable
from tillstream.log.base import START, Batch, Chunk, Log, Position
from tillstream.log.sqlite.damage import ERRORS
from tillstream.log.sqlite.log import SqliteLog
from tillstream.log.sqlite.row import COLUMNS, Row

ROWS = 60
LAST = Position((ROWS - 1,))
VERSION_BYTES = range(60, 64)
"""`user_version` in SQLite's header: a greater version would be refused."""

Damage = Callable[[bytearray], None]
values = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=9), st.binary(max_size=40)
)


def records(row: int) -> list[tuple[bytes, bytes, bytes]]:
    """The records of one row: from one small record to several that fill whole pages."""
    chance = random.Random(row)
    size = 6_000 if row % 7 == 3 else 90
    return [
        (b"head %d %d\n" % (row, index), chance.randbytes(size), chance.randbytes(9) if row % 3 else b"")
        for index in range(1 + row % 4)
    ]


def batch(row: int) -> Batch:
    made = Batch()
    for record in records(row):
        made.add(*record)
    return made


@cache
def intact_file() -> bytes:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "log.sqlite3"
        with closing(SqliteLog(path, writer=True, settings=Settings())) as log:
            for row in range(ROWS):
                log.append(batch(row))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


@contextmanager
def damaged(damage: Damage) -> Iterator[Path]:
    content = bytearray(intact_file())
    damage(content)
    with TemporaryDirectory() as directory, capture_logs():
        path = Path(directory) / "log.sqlite3"
        path.write_bytes(content)
        yield path


def intact_positions(path: Path) -> set[int]:
    """The positions where SQLite still finds the row unchanged."""
    found = set()
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        for position in range(ROWS):
            try:
                values = connection.execute(f"SELECT {COLUMNS} FROM log WHERE rowid = ?", (position,)).fetchone()
            except ERRORS:
                continue
            if values is not None and Row(*values).is_intact:
                found.add(position)
    return found


def read_in_steps(log: Log, limit: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    position = START
    while step := list(log.read(position, limit)):
        chunks += step
        assert step[-1].position.offsets > position.offsets
        position = step[-1].position
        assert len(chunks) <= 3 * ROWS
    return chunks


def assert_readable(path: Path, limit: int) -> None:
    """Every record is correct and at its position, and no intact row is skipped."""
    with closing(SqliteLog(path, writer=False, settings=Settings())) as log:
        try:
            chunks = read_in_steps(log, limit)
        except LogUnavailable:
            assert not intact_positions(path)
            return
        intact = [chunk for chunk in chunks if not chunk.fault]
        for chunk in intact:
            assert list(zip(chunk.heads, chunk.bodies, chunk.originals, strict=True)) == records(chunk.offset)
        assert {chunk.offset for chunk in intact} >= intact_positions(path)
        if chunks and chunks[-1].position == LAST and not chunks[-1].fault:
            assert sum(chunk.count for chunk in chunks) == sum(len(records(row)) for row in range(ROWS))
        for position in range(-2, ROWS + 2):
            log.count(Position((position,)))
        log.fetch([position << 20 for position in range(ROWS)])


def assert_appendable(path: Path, prepared: Position | None) -> None:
    """Ingest starts and appends at positions that no engine has read, and readers find the new records."""
    with closing(SqliteLog(path, writer=True, settings=Settings())) as log:
        if prepared is not None:
            log.publish(prepared, committed=False)
    with closing(SqliteLog(path, writer=True, settings=Settings())) as log:
        log.append(batch(ROWS))
        first = log.end()
        log.append(batch(ROWS + 1))
        assert log.end().offsets > first.offsets > (prepared or START).offsets
    with closing(SqliteLog(path, writer=True, settings=Settings())) as log:
        log.append(batch(ROWS + 2))
        found = [
            list(zip(chunk.heads, chunk.bodies, chunk.originals, strict=True))
            for chunk in log.read(START, 1_000_000)
            if not chunk.fault
        ]
        assert found[-3:] == [records(row) for row in range(ROWS, ROWS + 3)]


limits = st.sampled_from([1, 7, 1_000_000])
prepared_positions = st.sampled_from([None, LAST])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, ROWS - 1), st.integers(0, 5), values, limits, prepared_positions)
def test_any_value_in_any_column(row: int, column: int, value: Any, limit: int, prepared: Position | None) -> None:
    with damaged(lambda content: None) as path:
        put(path, row, ("count", "total", "checksum", "heads", "bodies", "originals")[column], value)
        assert_readable(path, limit)
        assert_appendable(path, prepared)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, ROWS - 1), st.integers(-(2**63), 2**63 - 1), limits, prepared_positions)
def test_any_changed_position(row: int, position: int, limit: int, prepared: Position | None) -> None:
    with damaged(lambda content: None) as path:
        put(path, row, "position", position)
        assert_readable(path, limit)
        assert_appendable(path, prepared)


def put(path: Path, row: int, column: str, value: Any) -> None:
    """Change a value without SQLite's checks: the table's columns get no types and no constraints."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE log RENAME TO was")
        connection.execute(
            "CREATE TABLE log (position INTEGER PRIMARY KEY, count, total, checksum, heads, bodies, originals)"
        )
        connection.execute("INSERT INTO log SELECT * FROM was")
        connection.execute("DROP TABLE was")
        connection.execute(f"UPDATE OR IGNORE log SET {column} = ? WHERE position = ?", (value, row))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=4), limits, prepared_positions)
def test_any_flipped_bytes(flips: list[tuple[int, int]], limit: int, prepared: Position | None) -> None:
    def damage(content: bytearray) -> None:
        for at, mask in flips:
            if at % len(content) not in VERSION_BYTES:
                content[at % len(content)] ^= mask

    with damaged(damage) as path:
        assert_readable(path, limit)
        assert_appendable(path, prepared)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0),
    st.integers(1, 3),
    st.sampled_from(["zeros", "noise", "gone", "other page"]),
    limits,
    prepared_positions,
)
def test_any_lost_pages(first: int, count: int, how: str, limit: int, prepared: Position | None) -> None:
    def damage(content: bytearray) -> None:
        pages = len(content) // 4096
        start = first % pages * 4096
        end = min(start + count * 4096, len(content))
        if how == "gone":
            del content[start:]
        elif how == "other page":
            content[start : start + 4096] = content[(first // 7) % pages * 4096 :][:4096]
        else:
            content[start:end] = bytes(end - start) if how == "zeros" else random.Random(first).randbytes(end - start)

    with damaged(damage) as path:
        assert_readable(path, limit)
        assert_appendable(path, prepared)
