"""Reads one file of the log, and recovers what SQLite can still read if the file is damaged."""

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
from tillstream.log.sqlite.row import Row, is_intact, size_bytes, weight

APPLICATION_ID = 0x74696C6C
"""Marks the file as a log of tillstream: "till" in ASCII."""

VERSION = 1
"""The version of the table, in SQLite's `user_version`."""

# `rowid` is the real key even if damage has changed the declaration of the table.
COLUMNS = "rowid, count, total, checksum, heads, bodies, originals"
NUMBERS = "rowid, count, total, 0, x'', x'', NULL"

ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""Errors from SQLite. A message that quotes a damaged schema may not be valid UTF-8."""

BUSY_TIMEOUT_S = 5.0
MAX_READ_BYTES = 8 * 1024 * 1024
MAX_LOOKUPS = 20_000
"""The maximum number of positions of a gap that are looked up one by one."""

LINEAR_LOOKUPS = 1_000
"""The number of positions after damage that are looked up one by one. Then a search doubles its step."""

MAX_POSITION = 1 << 36
"""The limit of the offset in a record id."""

IO_RETRY_S = 60.0
"""The time to retry a failed disk read before its rows count as damaged."""

DAMAGE_SEARCH_INTERVAL_S = 10.0

# The statements are correct, so a general error in one of them comes from a damaged schema.
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
_DISK_HINT = "look at the disk, at the system's own log, and at the permissions of the file"
CHECK_HINT = "run `tillstream check` to see what can be read"

_logger = structlog.get_logger()


class LogDamaged(LogUnavailable):
    """A file of the log, or its end, is damaged and cannot be read."""


def log_error(doing: str, path: Path, error: Exception) -> LogUnavailable:
    """Convert an error of SQLite, and add a hint."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return LogFull(f"{doing} the log", path, error, "make room on the disk")
    if code in _DISK:
        return LogDamaged(f"{doing} the log", path, error, _DISK_HINT)
    if _is_damage(code):
        return LogDamaged(f"{doing} the log", path, error, CHECK_HINT)
    return LogUnavailable(f"{doing} the log", path, error, _DISK_HINT)


def connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """Open the file in a mode of SQLite's URIs. Raises `LogUnavailable`."""
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    try:
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise log_error("open", path, error) from error
    connection.text_factory = bytes
    return connection


def check_version(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has the log's table. Raises `DataDirectoryError` if it belongs to another program."""
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
    """Reads one file from any thread, query-only, without a transaction between calls.

    Its positions are greater than `after`. The key of a damaged row may be wrong too, and a reader
    that trusted it could skip rows. So the key counts only if the row is intact, or if it is the
    next expected position.
    """

    def __init__(self, path: Path, after: int) -> None:
        self.path = path
        self.after = after
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._failing: tuple[int, float] | None = None
        """The position of a failed disk read, and the time of its first failure."""
        self._searched: tuple[int, float] | None = None
        """The position of a search that found no rows, and its time."""

    def rows_after(self, last: int, wanted: int) -> list[Row]:
        """The next rows in order, up to `wanted` records or `MAX_READ_BYTES`; an empty list at the end.

        Unreadable positions are left out. Raises `LogUnavailable` while the disk fails, for up to
        `IO_RETRY_S`.
        """
        rows: list[Row] = []
        size = 0
        with self._reading() as connection:
            if connection is None:
                return rows
            last = max(last, self.after)
            with closing(self._read_after(connection, last)) as following:
                for row in following:
                    rows.append(row)
                    wanted -= weight(row)
                    size += size_bytes(row)
                    if wanted <= 0 or size >= MAX_READ_BYTES:
                        break
            if rows and self._failing is not None and self._failing[0] == last:
                self._failing = None
        return rows

    def row_at(self, position: int) -> Row | None:
        """The row at a position; only its numbers if its blobs cannot be read."""
        with self._reading() as connection:
            return None if connection is None else _look_up(connection, position)

    def rows_before(self, position: int) -> list[Row]:
        """The last intact row at or before a position, and the damaged rows after it without blobs."""
        with self._reading() as connection:
            return [] if connection is None else _until_intact(_scan_back(connection, position, self.after))

    def last_rows(self) -> list[Row]:
        """The last intact row of the file, and the damaged rows after it without blobs.

        Raises `LogDamaged` if the end of the file cannot be read.
        """
        with self._reading() as connection:
            if connection is None:
                return []
            with closing(connection.execute(f"SELECT {COLUMNS} FROM log ORDER BY rowid DESC")) as cursor:
                return _until_intact(Row(*values) for values in cursor)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        with self._lock:
            connection = self._open()
            try:
                yield connection
            except sqlite3.Error as error:
                raise log_error("read", self.path, error) from error

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _read_after(self, connection: sqlite3.Connection, last: int) -> Generator[Row, None, None]:
        at = last
        failure: sqlite3.Error | None = None
        try:
            for row in _scan(connection, last):
                if row.position <= at:
                    continue
                if row.position > at + 1:
                    if not is_intact(row):
                        continue
                    yield from _look_up_all(connection, at + 1, row.position)
                elif not is_intact(row):
                    row = _look_up(connection, row.position) or row
                yield row
                at = row.position
        except sqlite3.Error as error:
            failure = error
        if failure is not None and at == last:
            self._raise_if_temporary("read", last, failure)
            yield from self._skip_damage(connection, last, failure)

    def _raise_if_temporary(self, doing: str, last: int, error: Exception) -> None:
        """Raise `LogUnavailable` unless the error means damage, so that readable rows are not skipped."""
        code, now = _code(error), time.monotonic()
        if code in _DISK:
            if self._failing is None or self._failing[0] != last:
                self._failing = (last, now)
            if now - self._failing[1] >= IO_RETRY_S:
                return
        elif _is_damage(code):
            return
        raise LogUnavailable(f"{doing} the log", self.path, error, _DISK_HINT) from error

    def _skip_damage(self, connection: sqlite3.Connection, last: int, error: sqlite3.Error) -> Iterator[Row]:
        """The rows after `last` up to the first intact one."""
        now = time.monotonic()
        searched, searched_s = self._searched or (None, 0.0)
        if searched == last and now - searched_s < DAMAGE_SEARCH_INTERVAL_S:
            return
        near = _look_up_all(connection, last + 1, last + 1 + LINEAR_LOOKUPS)
        first = next((row for row in near if row.position == last + 1 or is_intact(row)), None)
        first = first or _search_intact(connection, last + LINEAR_LOOKUPS)
        if first is not None:
            yield from _look_up_all(connection, last + 1, first.position)
            yield first
            return
        self._searched = (last, now)
        _logger.error("log.damaged_to_end", log=str(self.path), after=last, error=str(error))

    def _open(self) -> sqlite3.Connection | None:
        """The connection; None until a writer has created the file."""
        if self._connection is None and self.path.exists():
            reader = connect(self.path, mode="ro")
            try:
                reader.execute("PRAGMA query_only=ON")
                if check_version(reader, self.path):
                    self._connection = reader
            except ERRORS as error:
                self._raise_if_temporary("open", self.after - 1, error)
                raise log_error("open", self.path, error) from error
            finally:
                if self._connection is None:
                    reader.close()
        return self._connection


def _scan(connection: sqlite3.Connection, last: int) -> Generator[Row, None, None]:
    sql = f"SELECT {COLUMNS} FROM log WHERE rowid > ? ORDER BY rowid"
    with closing(connection.execute(sql, (last,))) as cursor:
        for values in cursor:
            yield Row(*values)


def _scan_back(connection: sqlite3.Connection, position: int, after: int) -> Iterator[Row]:
    """The rows at and before a position, descending. Beyond damage, they are looked up one by one."""
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
        _logger.debug("log.scan_failed", position=at, error=str(error))
    for each in range(at - 1, max(after, at - 1 - LINEAR_LOOKUPS), -1):
        found = _look_up(connection, each)
        if found is not None:
            yield found


def _until_intact(rows: Iterable[Row]) -> list[Row]:
    """The rows up to the first intact one, in reverse order. Damaged rows lose their blobs."""
    found: list[Row] = []
    for row in islice(rows, LINEAR_LOOKUPS):
        if is_intact(row):
            found.append(row)
            break
        found.append(row._replace(heads=b"", bodies=b"", originals=None))
    return found[::-1]


def _look_up_all(connection: sqlite3.Connection, first: int, end: int) -> Iterator[Row]:
    """The readable rows at positions from `first` to `end - 1`, at most `MAX_LOOKUPS` positions."""
    for position in range(first, min(end, first + MAX_LOOKUPS)):
        row = _look_up(connection, position)
        if row is not None:
            yield row


def _search_intact(connection: sqlite3.Connection, last: int) -> Row | None:
    """The first intact row after a long range of damage, found by doubling the distance, then bisection."""

    def intact_from(position: int) -> list[Row] | None:
        """The first intact row; empty after the end; None within the damage."""
        try:
            return list(islice(filter(is_intact, islice(_scan(connection, position - 1), LINEAR_LOOKUPS)), 1))
        except sqlite3.DatabaseError:
            return None

    low, high = last, last + 1
    while (found := intact_from(high)) is None:
        low, high = high, high + 2 * (high - last)
        if high > MAX_POSITION:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        nearer = intact_from(middle)
        if nearer is None:
            low = middle
        else:
            high, found = middle, nearer
    return found[0] if found else None


def _look_up(connection: sqlite3.Connection, position: int) -> Row | None:
    """The row at a position, or its numbers if its blobs cannot be read; None if neither can."""
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
    # A short read means that the file ends too early, not that the disk failed.
    return code & 0xFF in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _code(error: Exception) -> int:
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code
