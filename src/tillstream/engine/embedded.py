"""The embedded engine: one loop that folds batches of the log in SQL, in a DuckDB of its own in memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from tillstream.clock import Clock, utc
from tillstream.engine.base import Engine, OnCommit, Step, ignore
from tillstream.engine.duckdb_sql import DuckSql
from tillstream.engine.intake import ChunkError, records
from tillstream.engine.plan import Plan
from tillstream.engine.repeats import Repeats
from tillstream.engine.setaside import Aside
from tillstream.errors import LogUnavailable
from tillstream.log.base import Chunk, Log, Position
from tillstream.receipt import RECEIPT, REFUSAL, minor_digits
from tillstream.settings import Settings
from tillstream.store.base import Changes, Row, Store

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


class EmbeddedEngine(Engine):
    """Reads the log, deduplicates by key, normalises and folds in SQL, commits to the store.

    While it rebuilds a store, when a receipt became visible is not known: its delay is not measured.
    """

    def __init__(
        self,
        log: Log,
        store: Store,
        settings: Settings,
        clock: Clock,
        *,
        rebuilding: bool = False,
    ) -> None:
        self._log = log
        self._store = store
        self._settings = settings
        self._clock = clock
        self._rebuilding = rebuilding
        self._sql = DuckSql(Plan(minor_digits(settings.currency), tuple(settings.vat_rates)), settings)
        self._repeats = Repeats(log, self._sql)
        self._pace = _Pace()
        self._position = store.position()
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
        aside = Aside(self._settings.zone)
        table = self._table(chunks, changes, aside)
        fresh = self._fresh(table, aside)
        self._fold(fresh, changes, aside)
        changes.quarantine, changes.counters = aside.rows, aside.counters
        changes.committed_us = self._clock.now_us()
        # Were it told behind the commit only, a crash in between could let the log reuse these positions.
        self._log.publish(changes.upto, committed=False)
        self._store.commit(changes)
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
        self._store.tend()
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

    def _table(self, chunks: Sequence[Chunk], changes: Changes, aside: Aside) -> pa.Table | None:
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

    def _fresh(self, table: pa.Table | None, aside: Aside) -> pa.Table | None:
        """The receipts that the store doesn't know; the others are counted, conflicts set aside."""
        if table is None or not table.num_rows:
            return None
        known = self._store.known(self._sql.keys(table))
        if not known and len(pc.unique(table["key"])) == table.num_rows:
            return table
        fresh, repeated = self._repeats.split(table, known)
        self._repeats.judge(repeated, aside)
        return fresh

    def _fold(self, fresh: pa.Table | None, changes: Changes, aside: Aside) -> None:
        if fresh is None or not fresh.num_rows:
            return
        expected_us = self._pace.begin(fresh.num_rows)
        applied_at = None if self._rebuilding else utc(self._clock.now_us() + expected_us)
        try:
            unreadable = self._sql.normalise(fresh, applied_at)
        except duckdb.Error as error:
            logger.warning("engine.batch_unreadable", receipts=fresh.num_rows, reason=str(error).split("\n")[0])
            unreadable = self._sql.normalise(self._sound(fresh, aside), applied_at)
        aside.unreadable(unreadable)
        self._sql.collect(changes)

    def _sound(self, table: pa.Table, aside: Aside) -> pa.Table:
        """The records that can be normalised, found by halving: one bad record must not stop the road."""
        try:
            self._sql.normalise(table, None)
        except duckdb.Error:
            if table.num_rows == 1:
                aside.unreadable(table)
                return table.slice(0, 0)
            half = table.num_rows // 2
            return pa.concat_tables([self._sound(table.slice(0, half), aside), self._sound(table.slice(half), aside)])
        return table

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
