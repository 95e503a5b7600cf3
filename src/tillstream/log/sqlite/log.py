"""The log on SQLite: one file, or several after damage. Each row of a file contains many records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from threading import Lock

import structlog

from tillstream.compression import zstd_compressor
from tillstream.config.files import replace_file
from tillstream.config.settings import Settings
from tillstream.errors import LogUnavailable
from tillstream.log.base import MAX_CHUNK_RECORDS, START, Batch, Chunk, Log, Position, Record, unpack_record_id
from tillstream.log.capacity import DiskCapacity
from tillstream.log.sqlite.damage import LogDamaged, damaged_records, fault, gap, total_after
from tillstream.log.sqlite.row import MIN_ROW_BYTES, Frames, Row, RowDamaged
from tillstream.log.sqlite.segment import Appender, Segment

SKIPPED_POSITIONS = 1_000_000
"""The number of positions that are skipped if an append fails and the log continues in a new file.

The failed append may have used some of these positions.
"""

_START = START.offsets[0]

_logger = structlog.get_logger()


class SqliteLog(Log):
    """A log of one partition. Thread-safe.

    One process opens the log with `writer=True`. Any number of processes can read it at the same time. If the end
    of a file is damaged, that file is never changed again, and the log continues in a new file. For example,
    the file `log.after-99.sqlite3` starts with the position 100.
    """

    def __init__(self, path: Path, *, writer: bool, settings: Settings) -> None:
        self._path = path
        self._settings = settings
        self._progress = Progress(path.parent)
        self._capacity = DiskCapacity(settings, path, self.size_bytes)
        self._segments_by_path = {path: Segment(path, _START)}
        self._segments_lock = Lock()
        self._fetched: tuple[int, Frames] | None = None
        """The position and the content of the row that `fetch` read last, kept for the next `fetch`."""
        self._writer: Appender | None = None
        self._write_lock = Lock()
        self._compress = zstd_compressor()
        self._has_appended = True
        self._last, self._total = _START, 0
        if writer:
            self._open_writer()

    def _segments(self) -> list[Segment]:
        """Return the files of the log in the order of their positions. Rows are appended to the last file."""
        with self._segments_lock:
            for path in self._path.parent.glob(f"{self._path.stem}.after-*{self._path.suffix}"):
                after = path.stem.rpartition("-")[2]
                if path not in self._segments_by_path and after.isdecimal():
                    self._segments_by_path[path] = Segment(path, int(after))
            return sorted(self._segments_by_path.values(), key=lambda segment: segment.after)

    def _open_writer(self) -> None:
        """Open the last file for appends. If this file is damaged, start a new file."""
        *damaged, segment = self._segments()
        if damaged:
            _logger.warning("log.damaged_files", files=[str(each.path) for each in damaged])
        prepared = self._progress.prepared()
        try:
            self._writer = Appender(segment.path)
            rows = segment.last_rows()
        except LogDamaged as error:
            last, self._total = self._readable_end()
            self._start_segment(max(segment.after, prepared, last) + _max_rows(segment) + 1, error)
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
        if damaged and not any(row.is_intact for row in rows):
            self._total = self._readable_end()[1]
            self._append_marker()

    def _readable_end(self) -> tuple[int, int]:
        """Return the last readable position, and the number of records up to this position."""
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
        """Append a row without records. Readers use its `total` to compute how many records were lost before it."""
        assert self._writer is not None
        row = Row.pack(self._last + 1, self._total, [], [], [], self._compress)
        self._writer.insert([row])
        self._last = row.position

    def append(self, batch: Batch) -> None:
        if self._writer is None:
            raise LogUnavailable("append to the log", self._path, "it was opened for reading only")
        with self._write_lock:
            self._capacity.check(batch.size_bytes)
            rows = self._pack(batch)
            try:
                self._writer.insert(rows)
            except LogDamaged as error:
                # If even the first append to a new file fails, another new file would not help.
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
            heads, bodies, originals = batch.heads[part], batch.bodies[part], batch.originals[part]
            position, total = position + 1, total + len(heads)
            rows.append(Row.pack(position, total, heads, bodies, originals, self._compress))
        return rows

    def size_bytes(self) -> int:
        """Return the size of the log on disk, with its write-ahead logs."""
        return sum(segment.size_bytes() for segment in self._segments())

    def read(self, after: Position, limit: int) -> Iterator[Chunk]:
        last = after.offsets[0]
        total: int | None = None
        while limit > 0:
            try:
                rows = self._rows_after(last, limit)
            except LogUnavailable:
                # If this read has already yielded chunks, they are valid, and the read ends without an error. If the
                # error persists, the next read raises it.
                if last == after.offsets[0]:
                    raise
                return
            if not rows:
                return
            if total is None:
                total = self.count(after)
            for row, following in zip(rows, [*rows[1:], None], strict=True):
                if row.position > last + 1:
                    missing = gap(last, row, total)
                    total += missing.count
                    yield missing
                chunk = self._chunk(row, total, following)
                if chunk.fault or chunk.count:
                    yield chunk
                last, total = row.position, total + chunk.count if chunk.fault else row.total
                limit -= max(1, chunk.count)

    def _chunk(self, row: Row, previous_total: int, following: Row | None) -> Chunk:
        try:
            frames = row.unpack()
        except RowDamaged as damage:
            records = damaged_records(row, previous_total, following or self._next_row(row.position))
            return fault(row.position, records, str(damage))
        return Chunk(0, row.position, row.records, Position((row.position,)), *frames)

    def _next_row(self, last: int) -> Row | None:
        """Return the first row after the position `last`, or None if no row follows or the log cannot be read now."""
        try:
            return next(iter(self._rows_after(last, 1)), None)
        except LogUnavailable as error:
            _logger.debug("log.next_row_unreadable", log=str(self._path), after=last, error=str(error))
            return None

    def _rows_after(self, last: int, wanted: int) -> list[Row]:
        """Return rows with about `wanted` records after a position, from the first file that contains such rows."""
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

    def fetch(self, record_ids: Sequence[int]) -> dict[int, Record]:
        found = {}
        for offset, ids in groupby(sorted(record_ids), key=lambda each: unpack_record_id(each)[1]):
            frames = self._frames(offset)
            for record_id in ids:
                index = unpack_record_id(record_id)[2]
                if frames is not None and index < len(frames[0]):
                    found[record_id] = Record(*(frame[index] for frame in frames))
        return found

    def _frames(self, offset: int) -> Frames | None:
        fetched = self._fetched
        if fetched is not None and fetched[0] == offset:
            return fetched[1]
        segment = next(each for each in reversed(self._segments()) if each.after < offset or each.path == self._path)
        try:
            row = segment.row_at(offset)
            frames = None if row is None else row.unpack()
        except (LogUnavailable, RowDamaged) as error:
            _logger.error("log.row_unreadable", log=str(self._path), position=offset, error=str(error))
            return None
        if frames is not None:
            self._fetched = offset, frames
        return frames

    def end(self) -> Position:
        return Position((max(self._last_intact()[0], self._progress.committed()),))

    def count(self, upto: Position) -> int:
        position = upto.offsets[0]
        if upto == START:
            return 0
        rows = self._rows_before(position)
        if rows and rows[-1].position == position and rows[-1].is_intact:
            return rows[-1].total
        following = self._next_row(position)
        if following is not None and following.is_intact and (following.position == position + 1 or not rows):
            return following.previous_total
        total = 0
        for row in rows:
            total = total_after(row, total)
        return total

    def _rows_before(self, position: int) -> list[Row]:
        """Return the last intact row at or before a position, and the damaged rows after it."""
        rows: list[Row] = []
        for segment in reversed(self._segments()):
            if segment.after < position and not (rows and rows[0].is_intact):
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

    def _last_intact(self) -> tuple[int, int]:
        """Return the position and the total of the last intact row. In an empty log they are -1 and 0."""
        for segment in reversed(self._segments()):
            rows = segment.last_rows()
            if rows and rows[0].is_intact:
                return rows[0].position, rows[0].total
        return _START, 0

    def close(self) -> None:
        for segment in list(self._segments_by_path.values()):
            segment.close()
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None


def _end_of(segment: Segment, rows: Sequence[Row], prepared: int) -> tuple[int, int]:
    """Return the last position of a file, and the number of records up to this position.

    `rows` is the result of `Segment.last_rows`. `prepared` is the prepared position of the engine (see `Progress`).
    """
    last, total = segment.after, 0
    if rows and rows[0].is_intact:
        last, total, rows = rows[0].position, rows[0].total, rows[1:]
    # The position of a damaged row may be wrong. If it is too high for the size of the file, it is ignored.
    max_position = max(last, prepared) + _max_rows(segment)
    for row in rows:
        last = max(last + 1, row.position if row.position <= max_position else 0)
        total = total_after(row, total)
    return last, total


def _max_rows(segment: Segment) -> int:
    return segment.size_bytes() // MIN_ROW_BYTES


class Progress:
    """The positions of the engine, in two files beside the log. The engine writes these files, and ingest reads them.

    `engine.reach` contains the prepared position: the highest position that the engine has committed or was about to
    commit. It is on disk before the engine commits. `engine.position` contains the committed position. If a
    crash loses this file, the engine writes it again when it starts.
    """

    def __init__(self, directory: Path) -> None:
        self._committed_path = directory / "engine.position"
        self._prepared_path = directory / "engine.reach"

    def committed(self) -> int:
        """Return the committed position, or -1 if there is none."""
        return _read_position(self._committed_path)

    def prepared(self) -> int:
        """Return the prepared position, or -1 if there is none."""
        return max(_read_position(self._prepared_path), self.committed())

    def publish(self, position: Position, *, committed: bool) -> None:
        """Write a prepared or a committed position. Raises `LogUnavailable`."""
        content = str(position).encode()
        path = self._prepared_path
        try:
            if position.offsets[0] > _read_position(path):
                replace_file(path, content)
            if committed:
                path = self._committed_path
                # This file is not synced: if a crash loses it, the engine writes it again.
                new = path.with_name(f"{path.name}.new")
                new.write_bytes(content)
                new.replace(path)
        except OSError as error:
            reason, hint = error.strerror or error, "the engine must be able to write there"
            raise LogUnavailable("publish a position in", path, reason, hint) from error


def _read_position(path: Path) -> int:
    try:
        text = path.read_text(encoding="ascii")
        # After a crash of the machine, a file that was not synced may be empty.
        return Position.parse(text).offsets[0] if text else _START
    except FileNotFoundError:
        return _START
    except (ValueError, OSError) as error:
        _logger.error("log.engine_position_unreadable", file=str(path), error=str(error))
        return _START
