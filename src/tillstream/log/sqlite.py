"""The embedded log: one SQLite file in which a group commit is one row of compressed frames."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import structlog
import zstandard

from tillstream.errors import DataDirectoryError, LogFull, LogUnavailable
from tillstream.log.base import START, Batch, Chunk, Log, Position, unpack_place
from tillstream.log.frame import Frame
from tillstream.log.progress import Progress
from tillstream.log.row import Row, gap, pack, unpack
from tillstream.settings import Settings

APPLICATION_ID = 0x74696C6C
"""Marks the file as a log of tillstream: the ASCII of "till"."""

VERSION = 1
"""Of the table below, in SQLite's `user_version`."""

PAGE_BYTES = 4096
CHECKPOINT_PAGES = 1000
WAL_KEPT_BYTES = 64 * 1024 * 1024
READ_BYTES = 8 * 1024 * 1024
CACHED_ROWS = 16
CACHED_ROW_BYTES = 4 * 1024 * 1024
ROOM_CHECK_S = 1.0
BUSY_TIMEOUT_S = 5.0

# The numbers stand before the blobs, so that counting never walks a row's overflow pages.
_TABLE = """CREATE TABLE IF NOT EXISTS log (
  position INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  total INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  heads BLOB NOT NULL,
  bodies BLOB NOT NULL,
  originals BLOB
)"""
_ROW = "position, count, total, checksum, heads, bodies, originals"

_logger = structlog.get_logger()


class SqliteLog(Log):
    """A log of one partition in one file, WAL with `synchronous=FULL`; see `Log` for its promises.

    One process opens it with `writer`; readers are query-only, in any number of processes, and hold
    no read transaction between two calls. Every method is safe from any thread.
    """

    def __init__(self, path: Path, *, writer: bool, settings: Settings) -> None:
        self._path = path
        self._progress = Progress(path.parent)
        self._settings = settings
        self._reader: sqlite3.Connection | None = None
        self._read_lock = Lock()
        self._cache: OrderedDict[int, tuple[Frame, Frame, Frame]] = OrderedDict()
        self._writer: sqlite3.Connection | None = None
        self._write_lock = Lock()
        self._compress = zstandard.ZstdCompressor(level=1).compress
        self._room_checked = 0.0
        self._disk_free = 0
        if writer:
            self._writer = self._open_writer()
            self._last, self._total = self._start()

    # -- writing

    def _open_writer(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._failure("open", error) from error
        try:
            self._check_version(connection)
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={WAL_KEPT_BYTES}")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute(_TABLE)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            connection.close()
            raise self._failure("open", error) from error
        except DataDirectoryError:
            connection.close()
            raise
        return connection

    def _check_version(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is a log by now. Raises `DataDirectoryError` where it never can be."""
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application == APPLICATION_ID and version > VERSION:
            raise DataDirectoryError(
                "open the log", self._path, f"it has version {version}, newer than {VERSION}", "upgrade tillstream"
            )
        if application != APPLICATION_ID and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise DataDirectoryError(
                "open the log", self._path, "it is another program's file", "choose another --data"
            )
        return bool(application == APPLICATION_ID)

    def _start(self) -> tuple[int, int]:
        """The position and the total that the next row follows."""
        last, total = self._tail()
        reach = self._progress.reach()
        if reach > last:
            _logger.error(
                "log_ends_behind_engine",
                log=str(self._path),
                end=last,
                engine=reach,
                hint="records that the engine has counted are gone from the log; restore it from a copy if you have one",
            )
        return max(last, reach), total

    def append(self, batch: Batch) -> Position:
        if self._writer is None:
            raise LogUnavailable("append to the log", self._path, "it was opened for reading only")
        with self._write_lock:
            self._check_room(batch.size_bytes)
            rows = self._pack(batch)
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                self._writer.executemany(f"INSERT INTO log ({_ROW}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                raise self._failure("append to", error) from error
            if rows:
                self._last, self._total = rows[-1].position, rows[-1].total
            return Position((self._last,))

    def _pack(self, batch: Batch) -> list[Row]:
        rows = []
        position, total = self._last, self._total
        step = self._settings.commit_limit_receipts
        for first in range(0, len(batch), step):
            part = slice(first, first + step)
            position, total = position + 1, total + len(batch.heads[part])
            rows.append(
                pack(position, total, batch.heads[part], batch.bodies[part], batch.originals[part], self._compress)
            )
        return rows

    def _roll_back(self) -> None:
        assert self._writer is not None
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error as error:
            _logger.error("log_rollback_failed", log=str(self._path), error=str(error))

    def _check_room(self, size_bytes: int) -> None:
        limit = self._settings.log_limit_bytes
        if limit and self.size_bytes() + size_bytes > limit:
            raise LogFull(
                "append to the log", self._path, f"it has reached log_limit_bytes ({limit})", "raise the limit"
            )
        now = time.monotonic()
        if now - self._room_checked >= ROOM_CHECK_S:
            self._room_checked = now
            self._disk_free = shutil.disk_usage(self._path.parent).free
        if self._disk_free < self._settings.disk_reserve_bytes + size_bytes:
            reason = f"the disk has {self._disk_free} bytes left, and disk_reserve_bytes are for others"
            raise LogFull("append to the log", self._path, reason, "make room on the disk")

    def size_bytes(self) -> int:
        """What the log takes on disk, its write-ahead log included."""
        return sum(_size(self._path.with_name(self._path.name + suffix)) for suffix in ("", "-wal"))

    # -- reading

    def read(self, after: Position, limit: int) -> Iterator[Chunk]:
        last = after.offsets[0]
        total: int | None = None
        wanted = limit
        while wanted > 0:
            rows = self._rows_after(last, wanted)
            if not rows:
                return
            for row in rows:
                if row.position != last + 1:
                    yield gap(last, row, self.count(Position((last,))) if total is None else total)
                yield unpack(row)
                last, total = row.position, row.total
                wanted -= row.records

    def _rows_after(self, last: int, wanted: int) -> list[Row]:
        """The next rows, until `wanted` records or `READ_BYTES` are there; damaged pages are skipped."""
        rows: list[Row] = []
        size = 0
        sql = f"SELECT {_ROW} FROM log WHERE position > ? ORDER BY position"
        with self._read_lock:
            connection = self._open_reader()
            if connection is None:
                return rows
            cursor = connection.cursor()
            try:
                for values in cursor.execute(sql, (last,)):
                    row = Row(*values)
                    rows.append(row)
                    wanted -= row.records
                    size += len(row.bodies) + len(row.heads) + len(row.originals or b"")
                    if wanted <= 0 or size >= READ_BYTES:
                        break
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise self._failure("read", error) from error
                if not rows:
                    rows = self._salvage(connection, last)
            finally:
                cursor.close()
        return rows

    def _salvage(self, connection: sqlite3.Connection, last: int) -> list[Row]:
        """The nearest row behind `last` of which SQLite can read anything."""
        try:
            end = connection.execute("SELECT max(position) FROM log").fetchone()[0]
        except sqlite3.DatabaseError as error:
            _logger.error("log_damaged_to_its_end", log=str(self._path), after=last, error=str(error))
            return []
        for position in range(last + 1, end + 1):
            for columns in (_ROW, "position, count, total, 0, x'', x'', NULL"):
                try:
                    row = connection.execute(f"SELECT {columns} FROM log WHERE position = ?", (position,)).fetchone()
                except sqlite3.DatabaseError as error:
                    _logger.error("log_page_damaged", log=str(self._path), position=position, error=str(error))
                    continue
                if row is not None:
                    return [Row(*row)]
                break
        return []

    def fetch(self, places: Sequence[int]) -> dict[int, tuple[bytes, bytes, bytes]]:
        found = {}
        at = -1
        frames: tuple[Frame, Frame, Frame] | None = None
        for place in sorted(places):
            _, offset, index = unpack_place(place)
            if offset != at:
                at, frames = offset, self._frames(offset)
            if frames is not None and index < len(frames[0]):
                found[place] = (frames[0][index], frames[1][index], frames[2][index])
        return found

    def _frames(self, offset: int) -> tuple[Frame, Frame, Frame] | None:
        """The row at `offset`, unpacked; the rows asked for last are kept."""
        with self._read_lock:
            if offset in self._cache:
                self._cache.move_to_end(offset)
                return self._cache[offset]
        try:
            values = self._one(f"SELECT {_ROW} FROM log WHERE position = ?", (offset,))
        except LogUnavailable as error:
            _logger.error("log_row_unreadable", log=str(self._path), position=offset, error=str(error))
            return None
        chunk = unpack(Row(*values)) if values else None
        if chunk is None or chunk.fault:
            return None
        frames = (chunk.heads, chunk.bodies, chunk.originals)
        if sum(len(frame.data) for frame in frames) <= CACHED_ROW_BYTES:
            with self._read_lock:
                self._cache[offset] = frames
                if len(self._cache) > CACHED_ROWS:
                    self._cache.popitem(last=False)
        return frames

    def end(self) -> Position:
        return Position((max(self._tail()[0], self._progress.committed()),))

    def count(self, upto: Position) -> int:
        sql = "SELECT total FROM log WHERE position <= ? ORDER BY position DESC LIMIT 1"
        row = self._one(sql, upto.offsets) or self._one("SELECT total - count FROM log ORDER BY position LIMIT 1")
        return int(row[0]) if row else 0

    def publish(self, position: Position, *, committed: bool) -> None:
        self._progress.tell(position, committed=committed)

    def lag(self) -> int:
        published = self._progress.committed()
        last, total = self._tail()
        return total - self.count(Position((published,))) if last > published else 0

    def close(self) -> None:
        with self._read_lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _tail(self) -> tuple[int, int]:
        """Position and total of the last row; those of an empty log where there is none."""
        row = self._one("SELECT position, total FROM log ORDER BY position DESC LIMIT 1")
        return (row[0], row[1]) if row else (START.offsets[0], 0)

    def _one(self, sql: str, parameters: tuple[int, ...] = ()) -> tuple[Any, ...] | None:
        with self._read_lock:
            connection = self._open_reader()
            if connection is None:
                return None
            try:
                row: tuple[Any, ...] | None = connection.execute(sql, parameters).fetchone()
            except sqlite3.Error as error:
                raise self._failure("read", error) from error
            return row

    def _open_reader(self) -> sqlite3.Connection | None:
        """The query-only connection; None while no writer has made the log yet."""
        if self._reader is None and self._path.exists():
            uri = f"{self._path.resolve().as_uri()}?mode=ro"
            try:
                reader = sqlite3.connect(
                    uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
                )
            except sqlite3.Error as error:
                raise self._failure("open", error) from error
            try:
                reader.execute("PRAGMA query_only=ON")
                reader.text_factory = bytes
                if self._check_version(reader):
                    self._reader = reader
            except sqlite3.Error as error:
                raise self._failure("open", error) from error
            finally:
                if self._reader is None:
                    reader.close()
        return self._reader

    def _failure(self, doing: str, error: sqlite3.Error) -> LogUnavailable:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return LogFull(f"{doing} the log", self._path, error, "make room on the disk")
        hint = "`tillstream check` tells what can still be read" if _is_damage(error) else ""
        return LogUnavailable(f"{doing} the log", self._path, error, hint)


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
