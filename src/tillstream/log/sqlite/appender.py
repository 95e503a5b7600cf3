"""One file of the log as its writer sees it: made where there is none, and appended to."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import structlog

from tillstream.errors import OperationalError
from tillstream.log.sqlite.row import Row
from tillstream.log.sqlite.segment import (
    APPLICATION_ID,
    BUSY_TIMEOUT_S,
    ERRORS,
    VERSION,
    LogDamaged,
    check_version,
    failure,
)

PAGE_BYTES = 4096
CHECKPOINT_PAGES = 1000
WAL_KEPT_BYTES = 64 * 1024 * 1024

# The numbers stand before the blobs, so that they can be read where the blobs cannot.
_TABLE = """CREATE TABLE log (
  position INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  total INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  heads BLOB NOT NULL,
  bodies BLOB NOT NULL,
  originals BLOB
)"""
_KEY = "SELECT 1 FROM pragma_table_info('log') WHERE name = 'position' AND type = 'INTEGER' AND pk = 1"
_INSERT = "INSERT INTO log (position, count, total, checksum, heads, bodies, originals) VALUES (?, ?, ?, ?, ?, ?, ?)"

_logger = structlog.get_logger()


class Appender:
    """Appends to a file: WAL, with `synchronous=FULL`, so that what `insert` returned for is on disk.

    Raises `LogDamaged` where the file will never take rows, `LogUnavailable` where it may later, and
    `DataDirectoryError` where it is no log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise failure("open", path, error) from error
        try:
            self._prepare()
        except ERRORS as error:
            self.close()
            # A header that forbids writing, where the system does not, is damaged.
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK):
                raise LogDamaged("open the log", path, error, "`tillstream check` tells what can be read") from error
            raise failure("open", path, error) from error
        except OperationalError:
            self.close()
            raise

    def _prepare(self) -> None:
        self.connection.text_factory = bytes
        is_log = check_version(self.connection, self.path)
        self.connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")
        self.connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        self.connection.execute(f"PRAGMA journal_size_limit={WAL_KEPT_BYTES}")
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        self.connection.execute(f"PRAGMA user_version={VERSION}")
        if not is_log:
            self.connection.execute(_TABLE)
        self.connection.execute("COMMIT")
        if self.connection.execute(_KEY).fetchone() is None:
            raise LogDamaged("open the log", self.path, "its table is not as it was made")

    def insert(self, rows: Sequence[Row]) -> None:
        """Make the rows durable, all of them or none."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.executemany(_INSERT, rows)
            self.connection.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            self._roll_back()
            raise LogDamaged("append to the log", self.path, error, "a row stands where none should") from error
        except sqlite3.Error as error:
            self._roll_back()
            raise failure("append to", self.path, error) from error

    def _roll_back(self) -> None:
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            _logger.error("log_rollback_failed", log=str(self.path), error=str(error))

    def close(self) -> None:
        try:
            self.connection.close()
        except sqlite3.Error as error:
            _logger.error("log_close_failed", log=str(self.path), error=str(error))
