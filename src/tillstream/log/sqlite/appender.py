"""Appends rows to one file of the log, and creates the file."""

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
    CHECK_HINT,
    ERRORS,
    VERSION,
    LogDamaged,
    check_version,
    connect,
    log_error,
)

PAGE_BYTES = 4096
CHECKPOINT_PAGES = 1000
WAL_LIMIT_BYTES = 64 * 1024 * 1024

# The numbers come before the blobs, so that they can be read when the blobs are damaged.
_TABLE = """CREATE TABLE log (
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

_logger = structlog.get_logger()


class Appender:
    """Appends to a file in WAL mode with `synchronous=FULL`: rows are on disk when `insert` returns.

    Raises `LogDamaged` if the file can never accept rows, `LogUnavailable` if it may later, and
    `DataDirectoryError` if it is not a log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = connect(path, mode="rwc")
        try:
            self._prepare()
        except ERRORS as error:
            self.close()
            # The file is damaged if its header forbids writing, but the file system allows it.
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK):
                raise LogDamaged("open the log", path, error, CHECK_HINT) from error
            raise log_error("open", path, error) from error
        except OperationalError:
            self.close()
            raise

    def _prepare(self) -> None:
        is_log = check_version(self.connection, self.path)
        for statement in (
            f"PRAGMA page_size={PAGE_BYTES}",
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}",
            f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}",
            "BEGIN IMMEDIATE",
            f"PRAGMA application_id={APPLICATION_ID}",
            f"PRAGMA user_version={VERSION}",
            "" if is_log else _TABLE,
            "COMMIT",
        ):
            self.connection.execute(statement)
        if self.connection.execute(_HAS_KEY).fetchone() is None:
            raise LogDamaged("open the log", self.path, "its table has lost its primary key")

    def insert(self, rows: Sequence[Row]) -> None:
        """Make all rows durable, or none of them."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.executemany(_INSERT, rows)
            self.connection.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            self._roll_back()
            raise LogDamaged("append to the log", self.path, error, "a row has the position of a new one") from error
        except sqlite3.Error as error:
            self._roll_back()
            raise log_error("append to", self.path, error) from error

    def _roll_back(self) -> None:
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            _logger.error("log.rollback_failed", log=str(self.path), error=str(error))

    def close(self) -> None:
        try:
            self.connection.close()
        except sqlite3.Error as error:
            _logger.error("log.close_failed", log=str(self.path), error=str(error))
