"""The embedded engine: one loop that folds batches of the log in SQL, in a DuckDB of its own in memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Event

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from tillstream.clock import Clock, utc
from tillstream.config.settings import Settings
from tillstream.database.base import Changes, Database, Row
from tillstream.engine.arrow_batches import ChunkError, records
from tillstream.engine.base import Engine, OnCommit, Step, ignore
from tillstream.engine.dedup import Deduplicator, Repeat
from tillstream.engine.duckdb_sql import BatchSql, Folded
from tillstream.engine.quarantine_rows import QuarantineRows
from tillstream.errors import LogUnavailable
from tillstream.log.base import Chunk, Log, Position
from tillstream.receipt.amounts import minor_digits
from tillstream.receipt.model import RECEIPT, REFUSAL
from tillstream.receipt.normalization import Normalization

_STEP_LIMIT_BYTES = 64 * 1024 * 1024

COMPLAINT_INTERVAL_S = 10.0
"""How often at most the engine says that it stands still."""

logger = structlog.get_logger()


_RECEIPT_US = 60
"""What a receipt more in a step adds to it, on a slow processor."""


@dataclass(slots=True)
class _Pace:
    """How long it takes from here to the commit. A receipt's `applied_at` is part of the commit that makes it
    visible, so it is foretold: as long as it took last time, and more where there are more receipts. Most of a
    small step is the same however many its receipts are."""

    receipts: int = 0
    took_us: int = 0
    _began: float = 0.0

    def begin(self, receipts: int) -> int:
        """Microseconds that it is expected to take with so many receipts."""
        expected_us = self.took_us + max(0, receipts - self.receipts) * _RECEIPT_US
        self.receipts, self._began = receipts, time.perf_counter()
        return expected_us

    def end(self) -> None:
        self.took_us = round((time.perf_counter() - self._began) * 1_000_000)


class DuckEngine(Engine):
    """Reads the log, deduplicates by key, normalises and folds in SQL, commits to the database.

    While it rebuilds a database, when a receipt became visible is not known: its delay is not measured.
    """

    def __init__(
        self,
        log: Log,
        database: Database,
        settings: Settings,
        clock: Clock,
        *,
        rebuilding: bool = False,
    ) -> None:
        self._log = log
        self._database = database
        self._settings = settings
        self._clock = clock
        self._rebuilding = rebuilding
        self._sql = BatchSql(Normalization(minor_digits(settings.currency), tuple(settings.vat_rates)), settings)
        self._repeats = Deduplicator(log, self._sql)
        self._pace = _Pace()
        self._position = database.position()
        self._told: Position | None = None
        self._trouble: LogUnavailable | None = None
        self._complained = 0.0
        try:
            self._tell()
        except LogUnavailable as error:
            # It is told again before the first step; until then there are figures to show.
            self._complain(error)

    def step(self, on_commit: OnCommit = ignore) -> Step | None:
        started = time.perf_counter()
        self._tell()
        chunks = self._read()
        if not chunks:
            return None
        changes = Changes(after=self._position, upto=chunks[-1].position, records=sum(c.count for c in chunks))
        aside = QuarantineRows(self._settings.zone)
        table = self._table(chunks, changes, aside)
        if table is not None and table.num_rows:
            self._fold(table, changes, aside)
        changes.quarantine, changes.counters = aside.rows, aside.counters
        changes.committed_us = self._clock.now_us()
        # Were it told behind the commit only, a crash in between could let the log reuse these positions.
        self._log.publish(changes.upto, committed=False)
        self._database.commit(changes)
        if changes.receipts is not None:
            self._pace.end()
        self._position = changes.upto
        self._tell()
        step = Step(
            position=changes.upto,
            records=changes.records,
            receipts=0 if changes.receipts is None else changes.receipts.num_rows,
            duplicates=aside.count("duplicates"),
            conflicts=aside.count("conflicts"),
            quarantined=aside.count("quarantined"),
            faults=len(changes.faults),
            seconds=time.perf_counter() - started,
        )
        on_commit(step)
        self._database.maintain()
        return step

    def _tell(self) -> None:
        """Publish what is committed, where the log doesn't know it yet.

        A rebuild starts at the beginning: what it has read yet is not how far the log was read.
        """
        if self._told != self._position and not self._rebuilding:
            self._log.publish(self._position, committed=True)
            self._told = self._position

    def _read(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        size = 0
        for chunk in self._log.read(self._position, self._settings.engine_batch_receipts):
            chunks.append(chunk)
            size += len(chunk.heads.data) + len(chunk.bodies.data) + len(chunk.originals.data)
            if size >= _STEP_LIMIT_BYTES:
                break
        return chunks

    def _table(self, chunks: Sequence[Chunk], changes: Changes, aside: QuarantineRows) -> pa.Table | None:
        """The receipts of the chunks; damage goes to `changes.faults`, refusals are set aside."""
        sound = [chunk for chunk in chunks if not chunk.fault]
        reasons = [(chunk, chunk.fault) for chunk in chunks if chunk.fault]
        try:
            table = records(sound) if sound else None
        except ChunkError:
            table, unreadable = _salvage(sound)
            reasons += unreadable
        changes.faults = [self._fault(chunk, reason) for chunk, reason in reasons]
        if table is None:
            return None
        is_refusal = pc.equal(table["kind"], pa.scalar(REFUSAL))
        if pc.any(is_refusal).as_py():
            aside.refusals(table.filter(is_refusal), self._log)
            table = table.filter(pc.equal(table["kind"], pa.scalar(RECEIPT)))
        return table

    def _fault(self, chunk: Chunk, reason: str) -> Row:
        logger.error("log.damaged", offset=chunk.offset, records=chunk.count, reason=reason)
        return {
            "offset_text": f"{chunk.partition}:{chunk.offset}",
            "records": chunk.count,
            "reason": reason,
            "found_at": utc(self._clock.now_us()),
        }

    def _fold(self, table: pa.Table, changes: Changes, aside: QuarantineRows) -> None:
        """Fold the receipts that the database doesn't know; the others are counted, conflicts set aside.

        Of a key the first that can be read stands: behind one that cannot, the next is tried.
        """
        known = self._database.record_ids(self._sql.keys(table))
        folded: list[Folded] = []
        repeated: list[Repeat] = []
        while table.num_rows:
            fresh, again = self._repeats.split(table, known)
            parts = self._parts(fresh, self._applied_at(fresh.num_rows)) if fresh.num_rows else []
            folded += parts
            lost = {place for part in parts for place in part.unreadable["place"].to_pylist()}
            repeated += [repeat for repeat in again if repeat.first not in lost]
            tried = [repeat.record["place"] for repeat in again if repeat.first in lost]
            table = table.filter(pc.is_in(table["place"], pa.array(tried, pa.int64())))
        self._repeats.judge(repeated, aside)
        for part in folded:
            aside.unreadable(part.unreadable)
        if any(part.receipts.num_rows for part in folded):
            changes.receipts, changes.lines, changes.settlements = (
                pa.concat_tables([part[column] for part in folded]) for column in range(3)
            )

    def _applied_at(self, receipts: int) -> datetime | None:
        """When so many receipts will be visible; None: it is not measured."""
        expected_us = self._pace.begin(receipts)
        return None if self._rebuilding else utc(self._clock.now_us() + expected_us)

    def _parts(self, table: pa.Table, applied_at: datetime | None) -> list[Folded]:
        """The records folded, together or, where that is not possible, by halves: neither a record that nobody
        can read nor one that takes too much memory may stop the road."""
        try:
            return [self._sql.fold(table, applied_at)]
        except duckdb.Error as error:
            logger.warning("engine.batch_unreadable", receipts=table.num_rows, reason=str(error).split("\n")[0])
        if table.num_rows == 1:
            return [self._sql.nothing(table)]
        half = table.num_rows // 2
        return self._parts(table.slice(0, half), applied_at) + self._parts(table.slice(half), applied_at)

    def run(self, stop: Event, on_commit: OnCommit) -> None:
        interval = self._settings.engine_interval_ms / 1000
        while not stop.is_set():
            started = time.monotonic()
            step = self._try_step(on_commit)
            if step is None or step.records < self._settings.engine_batch_receipts:
                stop.wait(max(0.0, interval - (time.monotonic() - started)))

    def _try_step(self, on_commit: OnCommit = ignore) -> Step | None:
        try:
            step = self.step(on_commit)
        except LogUnavailable as error:
            self._complain(error)
            return None
        if self._trouble is not None:
            self._trouble = None
            logger.info("engine_goes_on", position=str(self._position))
        return step

    def _complain(self, error: LogUnavailable) -> None:
        now = time.monotonic()
        if self._trouble is None or now - self._complained >= COMPLAINT_INTERVAL_S:
            self._complained = now
            logger.error("engine_stands_still", position=str(self._position), error=str(error))
        self._trouble = error

    def trouble(self) -> LogUnavailable | None:
        return self._trouble

    def close(self) -> None:
        self._sql.close()

    @property
    def position(self) -> Position:
        """The position of the last commit."""
        return self._position


def _salvage(chunks: Sequence[Chunk]) -> tuple[pa.Table | None, list[tuple[Chunk, str]]]:
    """Chunk by chunk: the records of those that can be read, and why each other cannot."""
    tables = []
    unreadable = []
    for chunk in chunks:
        try:
            tables.append(records([chunk]))
        except ChunkError as error:
            unreadable.append((chunk, str(error)))
    return pa.concat_tables(tables) if tables else None, unreadable
