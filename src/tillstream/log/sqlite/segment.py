"""One SQLite file of the log: its table, an appender and a reader."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock

from tillstream.errors import DataDirectoryError, OperationalError
from tillstream.log.sqlite.damage import (
    CHECK_HINT,
    ERRORS,
    LogDamaged,
    RowReader,
    log_error,
    look_up,
    scan_back,
    until_intact,
)
from tillstream.log.sqlite.row import COLUMNS, Row

APPLICATION_ID = 0x74696C6C
"""Marks the file as a log of tillstream: "till" in ASCII."""

VERSION = 1
"""The version of the table, in SQLite's `user_version`."""

BUSY_TIMEOUT_S = 5.0
MAX_READ_BYTES = 8 * 1024 * 1024
WAL_LIMIT_BYTES = 64 * 1024 * 1024

# SQLite can read the numbers even if the blobs are damaged, because the numbers come first.
_TABLE = """CREATE TABLE IF NOT EXISTS log (
  position INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  total INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  heads BLOB NOT NULL,
  bodies BLOB NOT NULL,
  originals BLOB
)"""
_HAS_KEY = "SELECT 1 FROM pragma_table_info('log') WHERE name = 'position' AND type = 'INTEGER' AND pk = 1"
_INSERT = "INSERT INTO log (position, count, total, checksum, heads, bodies, originals) VALUES (?, ?, ?, ?, ?, ?, ?)"


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open the file. `mode` is the `mode` parameter of an SQLite URI, such as `ro`. Raises `LogUnavailable`."""
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    try:
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise log_error("open", path, error) from error
    connection.text_factory = bytes
    return connection


def _has_table(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file contains the log's table.

    Raises `DataDirectoryError` if another program or a newer version of tillstream wrote the file.
    """
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


class Appender:
    """Appends rows to a file, and creates the file if it is missing. Rows are on disk when `insert` returns.

    The constructor and `insert` raise `LogDamaged` if the file cannot accept rows any more, and `LogUnavailable` if a
    later attempt may succeed. If the file is not a log, the constructor raises `DataDirectoryError`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = _connect(path, "rwc")
        try:
            self._prepare()
        except ERRORS as error:
            self.close()
            # A damaged header can forbid writing although the file system allows it.
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK):
                raise LogDamaged("open the log", path, error, CHECK_HINT) from error
            raise log_error("open", path, error) from error
        except OperationalError:
            self.close()
            raise

    def _prepare(self) -> None:
        _has_table(self.connection, self.path)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}",
            "BEGIN IMMEDIATE",
            f"PRAGMA application_id={APPLICATION_ID}",
            f"PRAGMA user_version={VERSION}",
            _TABLE,
            "COMMIT",
        ):
            self.connection.execute(statement)
        if self.connection.execute(_HAS_KEY).fetchone() is None:
            raise LogDamaged("open the log", self.path, "its table has lost its primary key")

    def insert(self, rows: Sequence[Row]) -> None:
        """Append all rows or none in one transaction, and make them durable."""
        try:
            # The context manager commits, or rolls back after an error.
            with self.connection:
                self.connection.execute("BEGIN IMMEDIATE")
                self.connection.executemany(_INSERT, rows)
        except sqlite3.IntegrityError as error:
            raise LogDamaged(
                "append to the log", self.path, error, "a row already has the position of the new row"
            ) from error
        except sqlite3.Error as error:
            raise log_error("append to", self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


class Segment:
    """Reads one file, whose positions are greater than `after`. Thread-safe.

    No transaction stays open between calls. While a reader has one open, the file of the write-ahead log only grows.
    """

    def __init__(self, path: Path, after: int) -> None:
        self.path = path
        self.after = after
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._reader = RowReader(path)

    def rows_after(self, last: int, wanted: int) -> list[Row]:
        """Return the rows after the position `last` in order, until they contain `wanted` records or `MAX_READ_BYTES`.

        Unreadable rows are left out. If no row follows, the list is empty. Raises `LogUnavailable` if the file cannot
        be read now.
        """
        rows: list[Row] = []
        size = 0
        with self._reading() as connection:
            if connection is None:
                return rows
            with closing(self._reader.rows_after(connection, max(last, self.after))) as following:
                for row in following:
                    rows.append(row)
                    wanted -= row.weight
                    size += row.size_bytes
                    if wanted <= 0 or size >= MAX_READ_BYTES:
                        break
        return rows

    def row_at(self, position: int) -> Row | None:
        """Return the row at a position, or None if it is missing or unreadable.

        If only the numbers of the row can be read, its blobs are empty.
        """
        with self._reading() as connection:
            return None if connection is None else look_up(connection, position)

    def rows_before(self, position: int) -> list[Row]:
        """Return the last intact row at or before a position, and the damaged rows after it up to the position.

        The blobs of the damaged rows are empty.
        """
        with self._reading() as connection:
            return [] if connection is None else until_intact(scan_back(connection, position, self.after))

    def last_rows(self) -> list[Row]:
        """Return the last intact row of the file, and the damaged rows after it.

        The blobs of the damaged rows are empty. Raises `LogDamaged` if the end of the file cannot be read.
        """
        with self._reading() as connection:
            if connection is None:
                return []
            with closing(connection.execute(f"SELECT {COLUMNS} FROM log ORDER BY rowid DESC")) as cursor:
                return until_intact(Row(*values) for values in cursor)

    def size_bytes(self) -> int:
        """Return the size of the file and its write-ahead log."""
        size = 0
        for path in (self.path, self.path.with_name(f"{self.path.name}-wal")):
            try:
                size += path.stat().st_size
            except FileNotFoundError:
                continue
        return size

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Provide the connection, locked during the block, or None if no appender has created the file yet."""
        with self._lock:
            if self._connection is None and self.path.exists():
                self._open()
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise log_error("read", self.path, error) from error

    def _open(self) -> None:
        connection = _connect(self.path, "ro")
        try:
            connection.execute("PRAGMA query_only=ON")
            if _has_table(connection, self.path):
                self._connection = connection
        except ERRORS as error:
            self._reader.raise_if_temporary("open", self.after - 1, error)
            raise log_error("open", self.path, error) from error
        finally:
            if self._connection is None:
                connection.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
