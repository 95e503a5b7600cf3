"""The embedded engine: one loop that normalizes batches of the log in an in-memory DuckDB."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from threading import Event

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from tillstream.clock import Clock, utc
from tillstream.config.settings import Settings
from tillstream.database.base import Changes, Database, Row
from tillstream.engine.base import Engine, OnCommit, Step
from tillstream.engine.batches import NO_RECORDS, BatchSql, ChunkError, NormalizedBatch, records
from tillstream.engine.dedup import Deduplicator, Repeat
from tillstream.engine.quarantine_rows import QuarantineRows
from tillstream.errors import LogUnavailable
from tillstream.log.base import Chunk, Log, Position
from tillstream.receipt.model import RECEIPT, REFUSAL

_STEP_LIMIT_BYTES = 64 * 1024 * 1024

STALL_LOG_INTERVAL_S = 10.0
"""The minimum interval between two `engine.stalled` log events."""

_RECEIPT_US = 60
"""The microseconds by which each additional receipt makes a step longer on a slow processor."""

logger = structlog.get_logger()


class DuckEngine(Engine):
    """An engine that runs in one thread, with SQL in DuckDB.

    The column `applied_at` contains the predicted time at which a receipt becomes visible to readers. A rebuild writes
    null, because it does not know when the receipt first became visible.
    """

    def __init__(
        self, log: Log, database: Database, settings: Settings, clock: Clock, *, rebuilding: bool = False
    ) -> None:
        self._log = log
        self._database = database
        self._settings = settings
        self._clock = clock
        self._rebuilding = rebuilding
        self._sql = BatchSql(settings)
        self._deduplicator = Deduplicator(log, self._sql)
        self._last_receipts = 0
        self._last_duration_us = 0
        self._normalization_began = 0.0
        self._position = database.position()
        self._published: Position | None = None
        self._failure: LogUnavailable | None = None
        self._stall_logged = 0.0
        try:
            self._publish_position()
        except LogUnavailable as error:
            # The first step tries again. Readers can use the stored figures until then.
            self._report_stall(error)

    def step(self, on_commit: OnCommit | None = None) -> Step | None:
        self._publish_position()
        chunks = self._read()
        if not chunks:
            return None
        changes = Changes(self._position, chunks[-1].position, records=sum(chunk.count for chunk in chunks))
        quarantine = QuarantineRows(self._settings.zone)
        self._process(self._receipts(chunks, changes, quarantine), changes, quarantine)
        changes.quarantine, changes.counters = quarantine.rows, quarantine.counters
        changes.committed_us = self._clock.now_us()
        # Publish the new position before the commit as well as after it. A crash after the commit may lose the last
        # records of the log. If new records then got the offsets of committed records, the engine would skip them. The
        # log prevents this: it gives new records only offsets after the published position.
        self._log.publish(changes.to_position, committed=False)
        self._database.commit(changes)
        if changes.receipts is not None:
            self._last_duration_us = round((time.perf_counter() - self._normalization_began) * 1_000_000)
        self._position = changes.to_position
        self._publish_position()
        step = Step(
            records=changes.records,
            receipts=0 if changes.receipts is None else changes.receipts.num_rows,
            duplicates=quarantine.count("duplicates"),
            conflicts=quarantine.count("conflicts"),
            quarantined=quarantine.count("quarantined"),
            faults=len(changes.faults),
        )
        if on_commit is not None:
            on_commit(step)
        self._database.maintain()
        return step

    def _publish_position(self) -> None:
        """Tell the log the committed position, if it has changed. A rebuild does not do this."""
        if self._published != self._position and not self._rebuilding:
            self._log.publish(self._position, committed=True)
            self._published = self._position

    def _read(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        size = 0
        for chunk in self._log.read(self._position, self._settings.engine_batch_receipts):
            chunks.append(chunk)
            size += len(chunk.heads.data) + len(chunk.bodies.data) + len(chunk.originals.data)
            if size >= _STEP_LIMIT_BYTES:
                break
        return chunks

    def _receipts(self, chunks: Sequence[Chunk], changes: Changes, quarantine: QuarantineRows) -> pa.Table:
        """Return the receipts of the chunks. Damaged chunks go to `changes.faults`, and refusals to `quarantine`."""
        table, damaged = _read_records(chunks)
        changes.faults = [self._fault(chunk, reason) for chunk, reason in damaged]
        is_refusal = pc.equal(table["kind"], pa.scalar(REFUSAL))
        if not pc.any(is_refusal).as_py():
            return table
        quarantine.add_refusals(table.filter(is_refusal), self._log)
        return table.filter(pc.equal(table["kind"], pa.scalar(RECEIPT)))

    def _fault(self, chunk: Chunk, reason: str) -> Row:
        logger.error("log.damaged", offset=chunk.offset, records=chunk.count, reason=reason)
        return {
            "offset_text": f"{chunk.partition}:{chunk.offset}",
            "records": chunk.count,
            "reason": reason,
            "found_at": utc(self._clock.now_us()).replace(tzinfo=None),
        }

    def _process(self, table: pa.Table, changes: Changes, quarantine: QuarantineRows) -> None:
        """Normalize new receipts, count duplicates, and quarantine conflicts and unreadable receipts.

        If several receipts have the same key, the first readable one counts.
        """
        if not table.num_rows:
            return
        keys = pa.table({"key": table["key"], "sold_local": table["date"].cast(pa.timestamp("us"))})
        stored = self._database.record_ids(keys)
        normalized: list[NormalizedBatch] = []
        repeated: list[Repeat] = []
        while table.num_rows:
            new, repeats = self._deduplicator.split(table, stored)
            batches = self._normalize(new, self._applied_at(new.num_rows)) if new.num_rows else []
            normalized += batches
            unreadable = {record_id for batch in batches for record_id in batch.unreadable["place"].to_pylist()}
            repeated += [repeat for repeat in repeats if repeat.first not in unreadable]
            retried = [repeat.record["place"] for repeat in repeats if repeat.first in unreadable]
            table = table.filter(pc.is_in(table["place"], pa.array(retried, pa.int64())))
        self._deduplicator.classify(repeated, quarantine)
        for batch in normalized:
            quarantine.add_unreadable(batch.unreadable)
        if any(batch.receipts.num_rows for batch in normalized):
            changes.receipts, changes.lines, changes.settlements = (
                pa.concat_tables([batch[column] for batch in normalized]) for column in range(3)
            )

    def _applied_at(self, receipts: int) -> datetime | None:
        """Predict the time at which the receipts become visible. Returns None in a rebuild.

        The commit that makes the receipts visible also writes this time, so the time must be predicted. The prediction
        is that this step takes as long as the previous one. If this step has more receipts, each additional one adds
        `_RECEIPT_US`.
        """
        expected_us = self._last_duration_us + max(0, receipts - self._last_receipts) * _RECEIPT_US
        self._last_receipts, self._normalization_began = receipts, time.perf_counter()
        return None if self._rebuilding else utc(self._clock.now_us() + expected_us)

    def _normalize(self, table: pa.Table, applied_at: datetime | None) -> list[NormalizedBatch]:
        """Normalize the records. If this fails, split the table in half until each unreadable record is isolated."""
        try:
            return [self._sql.normalize(table, applied_at)]
        except duckdb.Error as error:
            logger.warning("engine.batch_unreadable", receipts=table.num_rows, reason=str(error).split("\n")[0])
        if table.num_rows == 1:
            return [self._sql.normalize(table.slice(0, 0), applied_at)._replace(unreadable=table)]
        half = table.num_rows // 2
        return self._normalize(table.slice(0, half), applied_at) + self._normalize(table.slice(half), applied_at)

    def run(self, stop: Event, on_commit: OnCommit) -> None:
        interval = self._settings.engine_interval_ms / 1000
        while not stop.is_set():
            started = time.monotonic()
            step = self._try_step(on_commit)
            if step is None or step.records < self._settings.engine_batch_receipts:
                stop.wait(max(0.0, interval - (time.monotonic() - started)))

    def _try_step(self, on_commit: OnCommit | None = None) -> Step | None:
        try:
            step = self.step(on_commit)
        except LogUnavailable as error:
            self._report_stall(error)
            return None
        if self._failure is not None:
            self._failure = None
            logger.info("engine.resumed", position=str(self._position))
        return step

    def _report_stall(self, error: LogUnavailable) -> None:
        now = time.monotonic()
        if self._failure is None or now - self._stall_logged >= STALL_LOG_INTERVAL_S:
            self._stall_logged = now
            logger.error("engine.stalled", position=str(self._position), error=str(error))
        self._failure = error

    def failure(self) -> LogUnavailable | None:
        return self._failure

    def close(self) -> None:
        self._sql.close()


def _read_records(chunks: Sequence[Chunk]) -> tuple[pa.Table, list[tuple[Chunk, str]]]:
    """Return the records of all intact chunks, and a list of the damaged chunks with the cause of each."""
    damaged = [(chunk, chunk.fault) for chunk in chunks if chunk.fault]
    intact = [chunk for chunk in chunks if not chunk.fault]
    try:
        return records(intact) if intact else NO_RECORDS, damaged
    except ChunkError as error:
        if len(intact) == 1:
            return NO_RECORDS, [*damaged, (intact[0], str(error))]
    tables = []
    for chunk in intact:
        table, malformed = _read_records([chunk])
        tables.append(table)
        damaged += malformed
    return pa.concat_tables(tables), damaged
