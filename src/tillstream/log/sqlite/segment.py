"""One file of the log as readers see it: whatever is damaged in it, they get what SQLite can still give."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from threading import Lock

import structlog

from tillstream.errors import DataDirectoryError, LogFull, LogUnavailable
from tillstream.log.sqlite.row import Row, is_sound, size_bytes, weight

APPLICATION_ID = 0x74696C6C
"""Marks the file as a log of tillstream: the ASCII of "till"."""

VERSION = 1
"""Of the table, in SQLite's `user_version`."""

# A row's own key holds even where damage has changed the table's declaration.
COLUMNS = "rowid, count, total, checksum, heads, bodies, originals"
NUMBERS = "rowid, count, total, 0, x'', x'', NULL"

ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises: its message may quote a damaged schema, which is no text any more."""

BUSY_TIMEOUT_S = 5.0
READ_BYTES = 8 * 1024 * 1024
LOOK_UPS = 20_000
"""Most positions of a hole that are looked up one by one."""

NEAR = 1_000
"""Positions that are looked up one by one behind damage before larger steps are taken."""

MOST_POSITIONS = 1 << 36
"""As many as a record's place has room for."""

IO_PATIENCE_S = 60.0
"""How long what the disk cannot read is asked for again before it counts as damaged."""

COMPLAINT_INTERVAL_S = 10.0

# The statements are right, so even a mere error in one comes from a damaged schema.
_DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
}
_DISK = {
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_DATA,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}
_DISK_HINT = "look at the disk, at what the system's own log says of it, and at who may read and write there"

_logger = structlog.get_logger()


class LogDamaged(LogUnavailable):
    """A file of the log, or the end of it, cannot be read as it is."""


def failure(doing: str, path: Path, error: Exception) -> LogUnavailable:
    """SQLite's error as ours, with what to try."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return LogFull(f"{doing} the log", path, error, "make room on the disk")
    if code in _DISK:
        return LogDamaged(f"{doing} the log", path, error, _DISK_HINT)
    if _is_damage(code):
        return LogDamaged(f"{doing} the log", path, error, "`tillstream check` tells what can still be read")
    return LogUnavailable(f"{doing} the log", path, error, _DISK_HINT)


def check_version(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is a log by now. Raises `DataDirectoryError` where it never can be."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == APPLICATION_ID and version > VERSION:
        raise DataDirectoryError(
            "open the log", path, f"it has version {version}, newer than {VERSION}", "upgrade tillstream"
        )
    names = {name for (name,) in connection.execute("SELECT CAST(name AS TEXT) FROM sqlite_master")}
    if application == APPLICATION_ID or names & {"log", b"log"}:
        connection.execute(f"SELECT {COLUMNS} FROM log LIMIT 0")
        return True
    if names:
        raise DataDirectoryError("open the log", path, "it is another program's file", "choose another --data")
    return False


class Segment:
    """Reads one file, query-only and without a transaction between two calls, from any thread.

    Positions in it are greater than `after`. A row's own word for its position counts only where the
    row is sound or where no other could stand: the key of a damaged row may be wrong too, and whoever
    believed it would pass over the rows behind.
    """

    def __init__(self, path: Path, after: int) -> None:
        self.path = path
        self.after = after
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._failing: tuple[int, float] | None = None
        self._barren: tuple[int, float] | None = None

    def rows_after(self, last: int, wanted: int) -> list[Row]:
        """The next rows, ascending, until `wanted` records or `READ_BYTES` are there; none at the end.

        A position that is passed over is missing. Raises `LogUnavailable` while the disk fails, for
        as long as `IO_PATIENCE_S`.
        """
        rows: list[Row] = []
        size = 0
        with self._reading() as connection:
            if connection is None:
                return rows
            last = max(last, self.after)
            with closing(self._following(connection, last)) as following:
                for row in following:
                    rows.append(row)
                    wanted -= weight(row)
                    size += size_bytes(row)
                    if wanted <= 0 or size >= READ_BYTES:
                        break
            if rows and self._failing is not None and self._failing[0] == last:
                self._failing = None
        return rows

    def row_at(self, position: int) -> Row | None:
        """The row that SQLite finds at this position, or as much of it as can be read."""
        with self._reading() as connection:
            return None if connection is None else _look_up(connection, position)

    def rows_before(self, position: int) -> list[Row]:
        """The last sound row at or before `position`, and the numbers of the damaged ones behind it."""
        with self._reading() as connection:
            return [] if connection is None else _to_sound(_backwards(connection, position, self.after))

    def tail(self) -> list[Row]:
        """The last sound row and the numbers of the damaged ones behind it, in the file's own order.

        Raises `LogDamaged` where the end of the file cannot be read.
        """
        sql = f"SELECT {COLUMNS} FROM log ORDER BY rowid DESC"
        with self._reading() as connection:
            if connection is None:
                return []
            with closing(connection.execute(sql)) as cursor:
                return _to_sound(Row(*values) for values in cursor)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        with self._lock:
            connection = self._open()
            try:
                yield connection
            except sqlite3.Error as error:
                raise failure("read", self.path, error) from error

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _following(self, connection: sqlite3.Connection, last: int) -> Generator[Row, None, None]:
        at = last
        broken: sqlite3.Error | None = None
        try:
            for row in _scan(connection, last):
                if row.position <= at:
                    continue
                if row.position > at + 1:
                    if not is_sound(row):
                        continue
                    yield from _look_up_all(connection, at + 1, row.position)
                elif not is_sound(row):
                    row = _look_up(connection, row.position) or row
                yield row
                at = row.position
        except sqlite3.Error as error:
            broken = error
        if broken is not None and at == last:
            self._endure("read", last, broken)
            yield from self._search(connection, last, broken)

    def _endure(self, doing: str, last: int, error: Exception) -> None:
        """Raise for what may pass by itself: then nothing may be passed over."""
        code, now = _code(error), time.monotonic()
        if code in _DISK:
            if self._failing is None or self._failing[0] != last:
                self._failing = (last, now)
            if now - self._failing[1] >= IO_PATIENCE_S:
                return
        elif _is_damage(code):
            return
        raise LogUnavailable(f"{doing} the log", self.path, error, _DISK_HINT) from error

    def _search(self, connection: sqlite3.Connection, last: int, error: sqlite3.Error) -> Iterator[Row]:
        """The rows behind `last` up to the nearest that is sound."""
        now = time.monotonic()
        if self._barren is not None and self._barren[0] == last and now - self._barren[1] < COMPLAINT_INTERVAL_S:
            return
        near = _look_up_all(connection, last + 1, last + 1 + NEAR)
        nearest = next((row for row in near if row.position == last + 1 or is_sound(row)), None)
        nearest = nearest or _leap(connection, last + NEAR)
        if nearest is not None:
            yield from _look_up_all(connection, last + 1, nearest.position)
            yield nearest
            return
        self._barren = (last, now)
        _logger.error("log_damaged_to_its_end", log=str(self.path), after=last, error=str(error))

    def _open(self) -> sqlite3.Connection | None:
        """The connection; None while no writer has made the file yet."""
        if self._connection is None and self.path.exists():
            uri = f"{self.path.resolve().as_uri()}?mode=ro"
            try:
                reader = sqlite3.connect(
                    uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
                )
            except sqlite3.Error as error:
                raise failure("open", self.path, error) from error
            try:
                reader.execute("PRAGMA query_only=ON")
                reader.text_factory = bytes
                if check_version(reader, self.path):
                    self._connection = reader
            except ERRORS as error:
                self._endure("open", self.after - 1, error)
                raise failure("open", self.path, error) from error
            finally:
                if self._connection is None:
                    reader.close()
        return self._connection


def _scan(connection: sqlite3.Connection, last: int) -> Generator[Row, None, None]:
    sql = f"SELECT {COLUMNS} FROM log WHERE rowid > ? ORDER BY rowid"
    with closing(connection.execute(sql, (last,))) as cursor:
        for values in cursor:
            yield Row(*values)


def _backwards(connection: sqlite3.Connection, position: int, after: int) -> Iterator[Row]:
    """The rows at and before `position`, descending; behind damage they are looked up one by one."""
    sql = f"SELECT {COLUMNS} FROM log WHERE rowid <= ? ORDER BY rowid DESC"
    at = position + 1
    try:
        with closing(connection.execute(sql, (position,))) as cursor:
            for values in cursor:
                row = Row(*values)
                if row.position < at:
                    yield row
                    at = row.position
            return
    except sqlite3.Error as error:
        _logger.debug("log_scan_broke_off", position=at, error=str(error))
    for each in range(at - 1, max(after, at - 1 - NEAR), -1):
        found = _look_up(connection, each)
        if found is not None:
            yield found


def _to_sound(rows: Iterable[Row]) -> list[Row]:
    """The rows up to the first sound one, turned round; of the others without their blobs."""
    found: list[Row] = []
    for row in islice(rows, NEAR):
        if is_sound(row):
            found.append(row)
            break
        found.append(row._replace(heads=b"", bodies=b"", originals=None))
    return found[::-1]


def _look_up_all(connection: sqlite3.Connection, first: int, behind: int) -> Iterator[Row]:
    """What can be read at the positions from `first` on and before `behind`."""
    for position in range(first, min(behind, first + LOOK_UPS)):
        row = _look_up(connection, position)
        if row is not None:
            yield row


def _leap(connection: sqlite3.Connection, last: int) -> Row | None:
    """The first sound row behind a long stretch of damage, found by doubling the distance, then halving it."""

    def sound_from(position: int) -> list[Row] | None:
        """The first sound row; none beyond the end; None within the damage."""
        try:
            return list(islice(filter(is_sound, islice(_scan(connection, position - 1), NEAR)), 1))
        except sqlite3.DatabaseError:
            return None

    low, high = last, last + 1
    while (found := sound_from(high)) is None:
        low, high = high, high + 2 * (high - last)
        if high > MOST_POSITIONS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        nearer = sound_from(middle)
        if nearer is None:
            low = middle
        else:
            high, found = middle, nearer
    return found[0] if found else None


def _look_up(connection: sqlite3.Connection, position: int) -> Row | None:
    """The row, or its numbers where its blobs cannot be read; None where nothing can."""
    for columns in (COLUMNS, NUMBERS):
        try:
            values = connection.execute(f"SELECT {columns} FROM log WHERE rowid = ?", (position,)).fetchone()
        except sqlite3.DatabaseError as error:
            if not _is_damage(_code(error)) and _code(error) not in _DISK:
                raise
            continue
        return None if values is None else Row(*values)
    return None


def _is_damage(code: int) -> bool:
    # What ends too early for a page that it should have is no failure of the disk.
    return code & 0xFF in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _code(error: Exception) -> int:
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code
