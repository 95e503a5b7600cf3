"""The embedded log: one SQLite file in which a group commit is one row of compressed frames."""

from __future__ import annotations

import shutil
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

import structlog

from tillstream.compression import zstd_compressor
from tillstream.config.settings import Settings
from tillstream.errors import LogFull, LogUnavailable
from tillstream.log.base import MOST_RECORDS, START, Batch, Chunk, Log, Position, unpack_place
from tillstream.log.frame import Frame
from tillstream.log.sqlite.appender import Appender
from tillstream.log.sqlite.progress import Progress
from tillstream.log.sqlite.row import LEAST_ROW_BYTES, Row, believed, gap, is_sound, pack, unpack
from tillstream.log.sqlite.segment import LogDamaged, Segment

CACHED_ROWS = 16
CACHED_ROW_BYTES = 4 * 1024 * 1024
ROOM_CHECK_S = 1.0

SPARE_POSITIONS = 1_000_000
"""Left free where a file that took appends until now is given up: its last append may be in it or not."""

_logger = structlog.get_logger()


class SqliteLog(Log):
    """A log of one partition in one file, WAL with `synchronous=FULL`; see `Log` for its promises.

    One process opens it with `writer`; readers are query-only, in any number of processes, and hold
    no read transaction between two calls. Every method is safe from any thread.

    A file that is damaged where it would grow is left as it is, for ever, and another one goes on
    beside it, which has in its name the position behind which it starts: `log.after-99.sqlite3`.
    """

    def __init__(self, path: Path, *, writer: bool, settings: Settings) -> None:
        self._path = path
        self._progress = Progress(path.parent)
        self._settings = settings
        self._known = {path: Segment(path, START.offsets[0])}
        self._known_lock = Lock()
        self._cache: OrderedDict[int, tuple[Frame, Frame, Frame]] = OrderedDict()
        self._cache_lock = Lock()
        self._writer: Appender | None = None
        self._write_lock = Lock()
        self._compress = zstd_compressor()
        self._room_checked = 0.0
        self._disk_free = 0
        self._proven = True
        self._last, self._total = START.offsets[0], 0
        if writer:
            self._start()

    def _segments(self) -> list[Segment]:
        """The files of the log in the order of their positions; the last one grows."""
        with self._known_lock:
            for path in self._path.parent.glob(f"{self._path.stem}.after-*{self._path.suffix}"):
                after = path.stem.rpartition("-")[2]
                if path not in self._known and after.isdecimal():
                    self._known[path] = Segment(path, int(after))
            return sorted(self._known.values(), key=lambda segment: segment.after)

    # -- writing

    def _start(self) -> None:
        """Open the file that grows, or begin another one where it cannot."""
        *damaged, segment = self._segments()
        if damaged:
            _logger.warning("log_has_damaged_files", files=[str(each.path) for each in damaged])
        reach = self._progress.reach()
        try:
            self._writer = Appender(segment.path)
            rows = segment.tail()
        except LogDamaged as error:
            last, self._total = self._salvaged()
            self._begin(max(segment.after, reach, last) + _most_rows(segment.path) + 1, error)
            return
        self._last, self._total = self._end_of(segment, rows, reach)
        if reach > self._last:
            _logger.error(
                "log_ends_behind_engine",
                log=str(segment.path),
                end=self._last,
                engine=reach,
                hint="records that the engine has counted are gone from the log; restore it from a copy if you have one",
            )
            self._last = reach
        if damaged and not any(map(is_sound, rows)):
            self._total = self._salvaged()[1]
            self._mark()

    def _end_of(self, segment: Segment, rows: Sequence[Row], reach: int) -> tuple[int, int]:
        """The position that no row of the file is behind, and the count of all its records."""
        last, total = segment.after, 0
        for row in rows:
            if is_sound(row):
                last, total = row.position, row.total
        # A damaged row may have a damaged key: one that no row of this file can have is not believed.
        most = max(last, reach) + _most_rows(segment.path)
        for row in rows:
            if not is_sound(row):
                last, total = max(last + 1, row.position if row.position <= most else 0), total + believed(row, total)
        return last, total

    def _salvaged(self) -> tuple[int, int]:
        """The last position that can be read, and how many records there are, counted as readers do."""
        last = self._progress.reach()
        total = self.count(Position((last,)))
        try:
            while rows := self._rows_after(last, MOST_RECORDS):
                for row in rows:
                    last, total = row.position, row.total if is_sound(row) else total + believed(row, total)
        except LogUnavailable as error:
            _logger.error("log_not_counted_to_its_end", log=str(self._path), after=last, error=str(error))
        return last, total

    def _begin(self, after: int, error: LogUnavailable) -> None:
        """Go on in a new file behind `after`; the damaged one stays as it is."""
        path = self._path.with_name(f"{self._path.stem}.after-{after}{self._path.suffix}")
        _logger.error(
            "log_goes_on_in_a_new_file",
            file=str(path),
            error=str(error),
            hint="keep the damaged file: readers take from it what can be read",
        )
        fresh = Appender(path)
        if self._writer is not None:
            self._writer.close()
        self._writer, self._last, self._proven = fresh, after, False
        self._mark()

    def _mark(self) -> None:
        """An empty row, so that readers know what is missing before it."""
        assert self._writer is not None
        row = pack(self._last + 1, self._total, [], [], [], self._compress)
        self._writer.insert([row])
        self._last = row.position

    def append(self, batch: Batch) -> Position:
        if self._writer is None:
            raise LogUnavailable("append to the log", self._path, "it was opened for reading only")
        with self._write_lock:
            self._check_room(batch.size_bytes)
            rows = self._pack(batch)
            try:
                self._writer.insert(rows)
            except LogDamaged as error:
                # A new file that takes nothing either shows that another one would not help.
                if not self._proven:
                    raise
                self._begin(self._last + SPARE_POSITIONS, error)
                rows = self._pack(batch)
                self._writer.insert(rows)
            if rows:
                self._last, self._total, self._proven = rows[-1].position, rows[-1].total, True
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
        """What the log takes on disk, its write-ahead logs included."""
        return sum(_size(segment.path) for segment in self._segments())

    # -- reading

    def read(self, after: Position, limit: int) -> Iterator[Chunk]:
        last = after.offsets[0]
        total: int | None = None
        wanted = limit
        while wanted > 0:
            try:
                rows = self._rows_after(last, wanted)
            except LogUnavailable:
                # What was read until here must not wait for what cannot be read now.
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
        """How many records a damaged row had: from the sound row behind it, or else as it says itself."""
        following = following or self._next_row(row.position)
        if following is not None and following.position == row.position + 1 and is_sound(following):
            return max(following.before - total, 0)
        return believed(row, total)

    def _next_row(self, last: int) -> Row | None:
        """None too where it cannot be read now."""
        try:
            return next(iter(self._rows_after(last, 1)), None)
        except LogUnavailable as error:
            _logger.debug("log_next_row_unreadable", log=str(self._path), after=last, error=str(error))
            return None

    def _rows_after(self, last: int, wanted: int) -> list[Row]:
        """The next rows, in order, of the first file that has any behind `last`."""
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

    def _segment_of(self, position: int) -> Segment:
        return next(each for each in reversed(self._segments()) if each.after < position or each.path == self._path)

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
        with self._cache_lock:
            if offset in self._cache:
                self._cache.move_to_end(offset)
                return self._cache[offset]
        try:
            row = self._segment_of(offset).row_at(offset)
        except LogUnavailable as error:
            _logger.error("log_row_unreadable", log=str(self._path), position=offset, error=str(error))
            return None
        chunk = None if row is None else unpack(row)
        if chunk is None or chunk.fault:
            return None
        frames = (chunk.heads, chunk.bodies, chunk.originals)
        if sum(len(frame.data) for frame in frames) <= CACHED_ROW_BYTES:
            with self._cache_lock:
                self._cache[offset] = frames
                if len(self._cache) > CACHED_ROWS:
                    self._cache.popitem(last=False)
        return frames

    def end(self) -> Position:
        return Position((max(self._tail()[0], self._progress.committed()),))

    def count(self, upto: Position) -> int:
        at = upto.offsets[0]
        if upto == START:
            return 0
        rows = self._rows_before(at)
        if rows and rows[-1].position == at and is_sound(rows[-1]):
            return rows[-1].total
        behind = self._next_row(at)
        if behind is not None and is_sound(behind) and (behind.position == at + 1 or not rows):
            return behind.before
        total = 0
        for row in rows:
            total = row.total if is_sound(row) else total + believed(row, total)
        return total

    def _rows_before(self, position: int) -> list[Row]:
        """The last sound row at or before `position`, and the damaged ones behind it."""
        rows: list[Row] = []
        for segment in reversed(self._segments()):
            if segment.after < position and not (rows and is_sound(rows[0])):
                try:
                    rows = segment.rows_before(position) + rows
                except LogDamaged as error:
                    _logger.warning("log_file_unreadable", file=str(segment.path), error=str(error))
        return rows

    def publish(self, position: Position, *, committed: bool) -> None:
        self._progress.tell(position, committed=committed)

    def lag(self) -> int:
        published = self._progress.committed()
        last, total = self._tail()
        return total - self.count(Position((published,))) if last > published else 0

    def close(self) -> None:
        for segment in list(self._known.values()):
            segment.close()
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _tail(self) -> tuple[int, int]:
        """Position and total of the last sound row; those of an empty log where there is none."""
        for segment in reversed(self._segments()):
            rows = segment.tail()
            if rows and is_sound(rows[0]):
                return rows[0].position, rows[0].total
        return START.offsets[0], 0


def _most_rows(path: Path) -> int:
    """More rows than a file can have, from its size."""
    return _size(path) // LEAST_ROW_BYTES


def _size(path: Path) -> int:
    """With its write-ahead log."""
    found = 0
    for each in (path, path.with_name(path.name + "-wal")):
        try:
            found += each.stat().st_size
        except FileNotFoundError:
            continue
    return found
