"""The embedded log: SQLite files in which a group commit is one row."""

from __future__ import annotations

import shutil
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from threading import Lock

import structlog

from tillstream.compression import zstd_compressor
from tillstream.config.settings import Settings
from tillstream.errors import LogFull, LogUnavailable
from tillstream.log.base import MAX_CHUNK_RECORDS, START, Batch, Chunk, Frame, Log, Position, unpack_record_id
from tillstream.log.sqlite.appender import Appender
from tillstream.log.sqlite.progress import Progress
from tillstream.log.sqlite.row import MIN_ROW_BYTES, Row, gap, is_intact, pack, plausible_records, total_after, unpack
from tillstream.log.sqlite.segment import LogDamaged, Segment

CACHED_ROWS = 16
MAX_CACHED_ROW_BYTES = 4 * 1024 * 1024
CAPACITY_CHECK_S = 1.0

SKIPPED_POSITIONS = 1_000_000
"""The gap before a new file that starts after a failed append, because the old file may contain that append."""

_logger = structlog.get_logger()


class SqliteLog(Log):
    """A log of one partition; see `Log` for its guarantees.

    One process opens it with `writer`. Any number of processes read it; they hold no transaction
    between calls. Every method is safe from any thread.

    If the end of a file is damaged, the file is never changed again. The log continues in a new file
    whose name has the position that it starts after, such as `log.after-99.sqlite3`.
    """

    def __init__(self, path: Path, *, writer: bool, settings: Settings) -> None:
        self._path = path
        self._progress = Progress(path.parent)
        self._settings = settings
        self._segments_by_path = {path: Segment(path, START.offsets[0])}
        self._segments_lock = Lock()
        self._cache: OrderedDict[int, tuple[Frame, Frame, Frame]] = OrderedDict()
        self._cache_lock = Lock()
        self._writer: Appender | None = None
        self._write_lock = Lock()
        self._compress = zstd_compressor()
        self._capacity_checked = 0.0
        self._disk_free = 0
        self._has_appended = True
        self._last, self._total = START.offsets[0], 0
        if writer:
            self._open_writer()

    def _segments(self) -> list[Segment]:
        """The files of the log in the order of their positions. Appends go to the last one."""
        with self._segments_lock:
            for path in self._path.parent.glob(f"{self._path.stem}.after-*{self._path.suffix}"):
                after = path.stem.rpartition("-")[2]
                if path not in self._segments_by_path and after.isdecimal():
                    self._segments_by_path[path] = Segment(path, int(after))
            return sorted(self._segments_by_path.values(), key=lambda segment: segment.after)

    def _open_writer(self) -> None:
        """Open the last file for appends; start a new file if it is damaged."""
        *damaged, segment = self._segments()
        if damaged:
            _logger.warning("log.damaged_files", files=[str(each.path) for each in damaged])
        prepared = self._progress.prepared()
        try:
            self._writer = Appender(segment.path)
            rows = segment.last_rows()
        except LogDamaged as error:
            last, self._total = self._readable_end()
            self._start_segment(max(segment.after, prepared, last) + _max_rows(segment.path) + 1, error)
            return
        self._last, self._total = _end_of(segment, rows, prepared)
        if prepared > self._last:
            _logger.error(
                "log.ends_before_engine",
                log=str(segment.path),
                end=self._last,
                engine=prepared,
                hint="the log lost records that the engine has read; restore it from a copy if you have one",
            )
            self._last = prepared
        if damaged and not any(map(is_intact, rows)):
            self._total = self._readable_end()[1]
            self._append_marker()

    def _readable_end(self) -> tuple[int, int]:
        """The last readable position, and the number of records up to it as readers count them."""
        last = self._progress.prepared()
        total = self.count(Position((last,)))
        try:
            while rows := self._rows_after(last, MAX_CHUNK_RECORDS):
                for row in rows:
                    last, total = row.position, total_after(row, total)
        except LogUnavailable as error:
            _logger.error("log.count_incomplete", log=str(self._path), after=last, error=str(error))
        return last, total

    def _start_segment(self, after: int, error: LogUnavailable) -> None:
        """Continue in a new file; the damaged one stays unchanged."""
        path = self._path.with_name(f"{self._path.stem}.after-{after}{self._path.suffix}")
        _logger.error(
            "log.segment_started",
            file=str(path),
            error=str(error),
            hint="keep the damaged file: readers still use its readable part",
        )
        appender = Appender(path)
        if self._writer is not None:
            self._writer.close()
        self._writer, self._last, self._has_appended = appender, after, False
        self._append_marker()

    def _append_marker(self) -> None:
        """Append an empty row, whose total shows readers how many records are missing before it."""
        assert self._writer is not None
        row = pack(self._last + 1, self._total, [], [], [], self._compress)
        self._writer.insert([row])
        self._last = row.position

    def append(self, batch: Batch) -> None:
        if self._writer is None:
            raise LogUnavailable("append to the log", self._path, "it was opened for reading only")
        with self._write_lock:
            self._check_capacity(batch.size_bytes)
            rows = self._pack(batch)
            try:
                self._writer.insert(rows)
            except LogDamaged as error:
                # If a new file fails as well, another one would not help.
                if not self._has_appended:
                    raise
                self._start_segment(self._last + SKIPPED_POSITIONS, error)
                rows = self._pack(batch)
                self._writer.insert(rows)
            if rows:
                self._last, self._total, self._has_appended = rows[-1].position, rows[-1].total, True

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

    def _check_capacity(self, size_bytes: int) -> None:
        limit = self._settings.log_limit_bytes
        if limit and self.size_bytes() + size_bytes > limit:
            raise LogFull(
                "append to the log", self._path, f"it has reached log_limit_bytes ({limit})", "raise the limit"
            )
        now = time.monotonic()
        if now - self._capacity_checked >= CAPACITY_CHECK_S:
            self._capacity_checked = now
            self._disk_free = shutil.disk_usage(self._path.parent).free
        if self._disk_free < self._settings.disk_reserve_bytes + size_bytes:
            reason = f"the disk has {self._disk_free} bytes left, and disk_reserve_bytes must stay free"
            raise LogFull("append to the log", self._path, reason, "make room on the disk")

    def size_bytes(self) -> int:
        """The size of the log on disk, with its write-ahead logs."""
        return sum(_size(segment.path) for segment in self._segments())

    def read(self, after: Position, limit: int) -> Iterator[Chunk]:
        last = after.offsets[0]
        total: int | None = None
        wanted = limit
        while wanted > 0:
            try:
                rows = self._rows_after(last, wanted)
            except LogUnavailable:
                # The caller keeps the chunks that it already has; the next read raises the error.
                if last == after.offsets[0]:
                    raise
                return
            if not rows:
                return
            for row, following in zip(rows, [*rows[1:], None], strict=True):
                chunk = unpack(row)
                if total is None and (chunk.fault or row.position > last + 1):
                    total = self.count(Position((last,)))
                if row.position > last + 1:
                    missing = gap(last, row, total or 0)
                    total = (total or 0) + missing.count
                    yield missing
                if chunk.fault:
                    chunk = replace(chunk, count=self._damaged_records(row, total or 0, following))
                if chunk.fault or chunk.count:
                    yield chunk
                last, total = row.position, (total or 0) + chunk.count if chunk.fault else row.total
                wanted -= max(1, chunk.count)

    def _damaged_records(self, row: Row, total: int, following: Row | None) -> int:
        """The number of records in a damaged row: exact if the next row is intact, plausible otherwise."""
        following = following or self._next_row(row.position)
        if following is not None and following.position == row.position + 1 and is_intact(following):
            return max(following.previous_total - total, 0)
        return plausible_records(row, total)

    def _next_row(self, last: int) -> Row | None:
        """The next row; None if there is none, or if it cannot be read now."""
        try:
            return next(iter(self._rows_after(last, 1)), None)
        except LogUnavailable as error:
            _logger.debug("log.next_row_unreadable", log=str(self._path), after=last, error=str(error))
            return None

    def _rows_after(self, last: int, wanted: int) -> list[Row]:
        """The next rows of the first file that has any after a position."""
        segments = self._segments()
        for segment, following in zip(segments, [*segments[1:], None], strict=True):
            if following is not None and last >= following.after:
                continue
            try:
                rows = segment.rows_after(last, wanted)
            except LogDamaged:
                if following is None:
                    raise
                continue
            if rows:
                return rows
        return []

    def fetch(self, record_ids: Sequence[int]) -> dict[int, tuple[bytes, bytes, bytes]]:
        found = {}
        for offset, ids in groupby(sorted(record_ids), key=lambda each: unpack_record_id(each)[1]):
            frames = self._frames(offset)
            for record_id in ids:
                index = unpack_record_id(record_id)[2]
                if frames is not None and index < len(frames[0]):
                    found[record_id] = (frames[0][index], frames[1][index], frames[2][index])
        return found

    def _frames(self, offset: int) -> tuple[Frame, Frame, Frame] | None:
        """The unpacked row at an offset, from a cache of recent rows; None if it cannot be read."""
        with self._cache_lock:
            if offset in self._cache:
                self._cache.move_to_end(offset)
                return self._cache[offset]
        segment = next(each for each in reversed(self._segments()) if each.after < offset or each.path == self._path)
        try:
            row = segment.row_at(offset)
        except LogUnavailable as error:
            _logger.error("log.row_unreadable", log=str(self._path), position=offset, error=str(error))
            return None
        chunk = None if row is None else unpack(row)
        if chunk is None or chunk.fault:
            return None
        frames = (chunk.heads, chunk.bodies, chunk.originals)
        if sum(len(frame.data) for frame in frames) <= MAX_CACHED_ROW_BYTES:
            with self._cache_lock:
                self._cache[offset] = frames
                if len(self._cache) > CACHED_ROWS:
                    self._cache.popitem(last=False)
        return frames

    def end(self) -> Position:
        return Position((max(self._last_intact()[0], self._progress.committed()),))

    def count(self, upto: Position) -> int:
        at = upto.offsets[0]
        if upto == START:
            return 0
        rows = self._rows_before(at)
        if rows and rows[-1].position == at and is_intact(rows[-1]):
            return rows[-1].total
        following = self._next_row(at)
        if following is not None and is_intact(following) and (following.position == at + 1 or not rows):
            return following.previous_total
        total = 0
        for row in rows:
            total = total_after(row, total)
        return total

    def _rows_before(self, position: int) -> list[Row]:
        """The last intact row at or before a position, and the damaged ones after it."""
        rows: list[Row] = []
        for segment in reversed(self._segments()):
            if segment.after < position and not (rows and is_intact(rows[0])):
                try:
                    rows = segment.rows_before(position) + rows
                except LogDamaged as error:
                    _logger.warning("log.segment_unreadable", file=str(segment.path), error=str(error))
        return rows

    def publish(self, position: Position, *, committed: bool) -> None:
        self._progress.publish(position, committed=committed)

    def lag(self) -> int:
        committed = self._progress.committed()
        last, total = self._last_intact()
        return total - self.count(Position((committed,))) if last > committed else 0

    def close(self) -> None:
        for segment in list(self._segments_by_path.values()):
            segment.close()
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _last_intact(self) -> tuple[int, int]:
        """The position and total of the last intact row; the values of an empty log if there is none."""
        for segment in reversed(self._segments()):
            rows = segment.last_rows()
            if rows and is_intact(rows[0]):
                return rows[0].position, rows[0].total
        return START.offsets[0], 0


def _end_of(segment: Segment, rows: Sequence[Row], prepared: int) -> tuple[int, int]:
    """The last position and the number of records of a file, from its last rows."""
    last, total = segment.after, 0
    if rows and is_intact(rows[0]):
        last, total, rows = rows[0].position, rows[0].total, rows[1:]
    # A damaged row may have a wrong key; a position that the file is too small for is ignored.
    max_position = max(last, prepared) + _max_rows(segment.path)
    for row in rows:
        last = max(last + 1, row.position if row.position <= max_position else 0)
        total = total_after(row, total)
    return last, total


def _max_rows(path: Path) -> int:
    """An upper bound of the number of rows, from the size of the file."""
    return _size(path) // MIN_ROW_BYTES


def _size(path: Path) -> int:
    """The size of the file and its write-ahead log."""
    size = 0
    for each in (path, path.with_name(path.name + "-wal")):
        try:
            size += each.stat().st_size
        except FileNotFoundError:
            continue
    return size
