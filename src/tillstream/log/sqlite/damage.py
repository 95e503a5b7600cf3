"""Decides what counts as damage in a file of the log, and finds the readable rows before and after the damage.

Damage stops neither readers nor ingest. Readers get a fault with the number of lost records, and continue with
the next intact row.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import structlog

from tillstream.errors import LogFull, LogUnavailable
from tillstream.log.base import EMPTY, MAX_CHUNK_RECORDS, Chunk, Position
from tillstream.log.sqlite.row import COLUMNS, NUMBERS, Row, integer

MAX_LOOKUPS = 20_000
"""The maximum number of positions that are looked up one by one between two rows."""

LINEAR_LOOKUPS = 1_000
"""The maximum number of rows or positions next to damage that one search tries one by one."""

MAX_POSITION = 1 << 36
"""All positions are less than this value: a row's position is the 36-bit offset in the ids of its records."""

IO_RETRY_S = 60.0
"""A disk read that has failed for this long counts as damage."""

SEARCH_INTERVAL_S = 10.0
"""When a search for rows after damage finds nothing, the next search waits for this long."""

ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""The errors that a statement can raise.

If an error message quotes a damaged schema, Python may fail to decode the message and raise `UnicodeDecodeError`.
"""

# All SQL statements of tillstream are correct, so SQLITE_ERROR means that the schema is damaged.
_DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
}
_DISK = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_DATA, sqlite3.SQLITE_IOERR_CORRUPTFS}
_DISK_HINT = "look at the disk, at the system's own log, and at the permissions of the file"
CHECK_HINT = "run `tillstream check` to see what can be read"

_logger = structlog.get_logger()


class LogDamaged(LogUnavailable):
    """A file of the log is damaged: it cannot be read any further, or it accepts no more rows."""


def log_error(doing: str, path: Path, error: Exception) -> LogUnavailable:
    """Convert an error of SQLite to a `LogFull`, a `LogDamaged` or another `LogUnavailable`."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return LogFull(f"{doing} the log", path, error, "make room on the disk")
    if _is_damage(code):
        return LogDamaged(f"{doing} the log", path, error, CHECK_HINT)
    kind = LogDamaged if code in _DISK else LogUnavailable
    return kind(f"{doing} the log", path, error, _DISK_HINT)


def _is_damage(code: int) -> bool:
    # A short read means that the file was truncated.
    return code & 0xFF in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _code(error: Exception) -> int:
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code


class RowReader:
    """Reads the rows of one file in order, and skips damage.

    A damaged row may have a wrong position. A reader that trusts this position could skip intact rows. Therefore the
    position of a damaged row is used only if it is the next expected position.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failing: tuple[int, float] | None = None
        """The position after which a disk read fails, and the time of the first failure."""
        self._searched: tuple[int, float] | None = None
        """The position after which the last search found no rows, and the time of this search."""

    def rows_after(self, connection: sqlite3.Connection, last: int) -> Generator[Row, None, None]:
        """Yield the readable rows after a position. Raises `LogUnavailable` if they cannot be read now."""
        at = last
        failure: sqlite3.Error | None = None
        try:
            for row in _scan(connection, last):
                if self._failing is not None and self._failing[0] == last:
                    self._failing = None
                if row.position <= at:
                    continue
                if row.position > at + 1:
                    if not row.is_intact:
                        continue
                    yield from _look_up_all(connection, at + 1, row.position)
                elif not row.is_intact:
                    row = look_up(connection, row.position) or row
                yield row
                at = row.position
        except sqlite3.Error as error:
            failure = error
        if failure is not None and at == last:
            self.raise_if_temporary("read", last, failure)
            yield from self._skip_damage(connection, last, failure)

    def raise_if_temporary(self, doing: str, last: int, error: Exception) -> None:
        """Raise `LogUnavailable` if a later read may succeed. Return normally if the error means damage.

        `LogUnavailable` keeps the caller from skipping rows that can be read later.
        """
        code, now_s = _code(error), time.monotonic()
        if code in _DISK:
            if self._failing is None or self._failing[0] != last:
                self._failing = (last, now_s)
            if now_s - self._failing[1] >= IO_RETRY_S:
                return
        elif _is_damage(code):
            return
        raise LogUnavailable(f"{doing} the log", self._path, error, _DISK_HINT) from error

    def _skip_damage(self, connection: sqlite3.Connection, last: int, error: sqlite3.Error) -> Iterator[Row]:
        """Yield the readable rows after `last`, up to and including the first trusted row.

        A row is trusted if it is intact, or if its position is `last + 1`. If no row is trusted, yield nothing.
        """
        now_s = time.monotonic()
        searched, searched_s = self._searched or (None, 0.0)
        if searched == last and now_s - searched_s < SEARCH_INTERVAL_S:
            return
        near = _look_up_all(connection, last + 1, last + 1 + LINEAR_LOOKUPS)
        first = next((row for row in near if row.position == last + 1 or row.is_intact), None)
        first = first or _search_intact(connection, last + LINEAR_LOOKUPS)
        if first is not None:
            yield from _look_up_all(connection, last + 1, first.position)
            yield first
            return
        self._searched = (last, now_s)
        _logger.error("log.damaged_to_end", log=str(self._path), after=last, error=str(error))


def _scan(connection: sqlite3.Connection, last: int) -> Generator[Row, None, None]:
    sql = f"SELECT {COLUMNS} FROM log WHERE rowid > ? ORDER BY rowid"
    with closing(connection.execute(sql, (last,))) as cursor:
        for values in cursor:
            yield Row(*values)


def look_up(connection: sqlite3.Connection, position: int) -> Row | None:
    """Return the row at a position, or None if it is missing or unreadable.

    If only the numbers of the row can be read, its blobs are empty.
    """
    for columns in (COLUMNS, NUMBERS):
        try:
            values = connection.execute(f"SELECT {columns} FROM log WHERE rowid = ?", (position,)).fetchone()
        except sqlite3.DatabaseError as error:
            if not _is_damage(_code(error)) and _code(error) not in _DISK:
                raise
            continue
        return None if values is None else Row(*values)
    return None


def _look_up_all(connection: sqlite3.Connection, first: int, end: int) -> Iterator[Row]:
    """Yield the readable rows at the positions from `first` to `end - 1`. Look up at most `MAX_LOOKUPS` positions."""
    for position in range(first, min(end, first + MAX_LOOKUPS)):
        row = look_up(connection, position)
        if row is not None:
            yield row


def _search_intact(connection: sqlite3.Connection, last: int) -> Row | None:
    """Find the first intact row after a long range of damage.

    Try to read at the distances 1, 3, 9… from `last` until a read succeeds. Then bisect between the last distance that
    failed and the distance that succeeded.
    """

    def intact_from(position: int) -> list[Row] | None:
        """Return a list with the first intact row at or after a position, or an empty list if there is none.

        Return None if damage prevents the read.
        """
        try:
            rows = islice(_scan(connection, position - 1), LINEAR_LOOKUPS)
            return list(islice((row for row in rows if row.is_intact), 1))
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


def scan_back(connection: sqlite3.Connection, position: int, after: int) -> Iterator[Row]:
    """Yield the readable rows at the positions from `position` down to `after + 1`."""
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
        found = look_up(connection, each)
        if found is not None:
            yield found


def until_intact(descending: Iterable[Row]) -> list[Row]:
    """Return the last intact row and the damaged rows after it, in ascending order.

    `descending` contains rows in descending order of position. The returned damaged rows have empty blobs.
    """
    found: list[Row] = []
    for row in islice(descending, LINEAR_LOOKUPS):
        if row.is_intact:
            found.append(row)
            break
        found.append(row._replace(heads=b"", bodies=b"", originals=None))
    return found[::-1]


def total_after(row: Row, previous_total: int) -> int:
    """Return the number of records up to and including a row. If the row is damaged, this is an estimate."""
    return row.total if row.is_intact else previous_total + _plausible_records(row, previous_total)


def damaged_records(row: Row, previous_total: int, following: Row | None) -> int:
    """Return the number of records in a damaged row. `previous_total` is the number of records before it.

    `following` is the next row. If it is intact and no position is missing between the two rows, the number is exact.
    If not, the number is an estimate.
    """
    if following is not None and following.position == row.position + 1 and following.is_intact:
        return max(following.previous_total - previous_total, 0)
    return _plausible_records(row, previous_total)


def _plausible_records(row: Row, previous_total: int) -> int:
    for records in (integer(row.total) - previous_total, integer(row.records)):
        if 0 < records <= MAX_CHUNK_RECORDS:
            return records
    return 0


def gap(last: int, row: Row, previous_total: int) -> Chunk:
    """Return a fault for the missing rows between the position `last` and a row."""
    # If the row is damaged, the fault for this row also counts the missing records.
    missing = max(row.previous_total - previous_total, 0) if row.is_intact else 0
    return fault(row.position - 1, missing, f"rows {last + 1} to {row.position - 1} of the log are missing")


def fault(position: int, records: int, reason: str) -> Chunk:
    """Return a chunk in place of records that cannot be read."""
    return Chunk(0, position, records, Position((position,)), EMPTY, EMPTY, EMPTY, reason)
