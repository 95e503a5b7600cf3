"""The embedded database: one DuckDB file with one writer, and readers that do not wait for the writer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.database.base import VERSION, Changes, Database, Reader, Row, tables
from tillstream.database.duckdb.metric_tables import MetricTables, Run
from tillstream.database.duckdb.quarantine_tables import ADD_COUNTER, write_quarantine
from tillstream.errors import DatabaseUnavailable, PositionConflict
from tillstream.log.base import START, Position
from tillstream.metrics.catalogue import Metric
from tillstream.receipt.amounts import minor_digits

_RECEIVED_RETENTION_US = 300 * 1_000_000

_MERGE_RULES = ((10_000_000, 1), (2_000_000, 4_000), (0, 30_000))
"""The rules for merging receipts into the metric tables.

Each rule is a pair: microseconds since the last merge, and a number of unmerged receipts. A merge runs as soon as both
values of a pair are reached, for example 2 seconds and 4,000 receipts. It takes tens of milliseconds, however many
receipts it merges, so frequent merges are expensive. Rare merges make queries slow, because each query aggregates the
unmerged receipts."""

_CHECKPOINT_BYTES = 128 * 1024 * 1024
"""The size of the write-ahead log at which maintenance makes a checkpoint.

A checkpoint spends most of its time on data that is already in the file, so rare checkpoints cost less. But the larger
the write-ahead log, the longer DuckDB needs to open the database."""

_CHECKPOINT_LIMIT_BYTES = 2 * _CHECKPOINT_BYTES
"""The size of the write-ahead log at which DuckDB itself makes a checkpoint, within a commit."""

_NUMBERS = re.compile(r"[0-9.]+")

_PRIMARY_KEYS = {
    "counters": ", PRIMARY KEY (day, name)",
    "set_aside": ", PRIMARY KEY (day, kind, reason, source)",
}
_SOURCES = ("receipts", "lines", "settlements")
"""The tables that metrics aggregate. Their additional column `step` is the number of the commit that added the row."""

logger = structlog.get_logger()


class DuckDatabase(Database):
    """The tables of `tillstream.database.base` in a DuckDB file.

    Receipts have no index. The key of a receipt depends on its date, so a lookup of keys searches only the receipts
    from the earliest to the latest date of these keys. DuckDB finds them fast, because it knows the lowest and the
    highest `sold_local` of each block of rows.
    """

    def __init__(self, path: Path, catalogue: Sequence[Metric], settings: Settings, clock: Clock) -> None:
        self._path = path
        self._wal = path.with_name(f"{path.name}.wal")
        self._clock = clock
        self._settings = settings
        self._digits = minor_digits(settings.currency)
        self._tables = MetricTables(catalogue, self._digits)
        self._writing = Lock()
        self._committing = Lock()
        self._pruned_us = 0
        self._merged_us = 0
        self._unmerged = 0
        self._maintenance_error = ""
        with _convert_errors("open the database", path, "is another engine running on it?"):
            self._connection = duckdb.connect(
                str(path),
                config={
                    "threads": 2,
                    "memory_limit": f"{settings.store_memory_bytes}B",
                    "wal_autocheckpoint": f"{_CHECKPOINT_LIMIT_BYTES}B",
                },
            )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._create_tables()

    def _create_tables(self) -> None:
        with self._transaction() as run:
            for name, columns in tables(self._digits).items():
                declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
                step = ", step BIGINT" if name in _SOURCES else ""
                run(f"CREATE TABLE IF NOT EXISTS {name} ({declared}{step}{_PRIMARY_KEYS.get(name, '')})")
            if not run("SELECT count(*) FROM state").fetchone()[0]:
                run("INSERT INTO state VALUES (?, 0, NULL, 0, 0)", [str(START)])
                run("INSERT INTO meta VALUES ('version', ?), ('currency', ?)", [str(VERSION), self._settings.currency])
            meta = dict(run("SELECT name, value FROM meta").fetchall())
        for name, wanted, hint in (
            ("currency", self._settings.currency, "set `currency` back, or use another data directory"),
            ("version", str(VERSION), "rebuild it with `tillstream rebuild`"),
        ):
            if meta[name] != wanted:
                because = f"its {name} is {meta[name]} instead of {wanted}"
                raise DatabaseUnavailable("open the database", self._path, because, hint)
        [state] = self.query("SELECT step, merged FROM state")
        self._step, self._merged = state["step"], state["merged"]
        with self._transaction() as run:
            self._tables.rebuild_changed(run, self._merged)

    @contextmanager
    def _transaction(self) -> Iterator[Run]:
        with self._writing, _convert_errors("write to the database", self._path, "is the disk full?"):
            try:
                self._connection.execute("BEGIN")
                yield self._connection.execute
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error as error:
            # A failed COMMIT has already ended the transaction.
            logger.debug("database.rollback_failed", reason=str(error))

    def position(self) -> Position:
        return Position.parse(self.query("SELECT position FROM state")[0]["position"])

    def record_ids(self, keys: pa.Table) -> dict[str, int]:
        span = pc.min_max(keys["sold_local"])
        with self._writing, self._registered("wanted", keys) as run:
            rows = run(
                """SELECT replace(CAST(key AS VARCHAR), '-', ''), place FROM receipts
                WHERE sold_local BETWEEN ? AND ? AND key IN (SELECT CAST(key AS UUID) FROM wanted)""",
                [span["min"].as_py(), span["max"].as_py()],
            ).fetchall()
        return dict(rows)

    def commit(self, changes: Changes) -> None:
        # The lock is needed because the quarantine service commits decisions while the engine commits steps.
        with self._committing:
            self._commit(changes)

    def _commit(self, changes: Changes) -> None:
        step = self._step + 1
        with self._transaction() as run:
            self._move_position(run, changes, step)
            if changes.receipts is not None:
                with_step = f"*, {step} AS step"
                self._insert("receipts", changes.receipts, with_step)
                self._insert("lines", changes.lines, with_step)
                self._insert("settlements", changes.settlements, with_step)
                self._count_received(run, changes.receipts, changes.committed_us)
            for (day, name), value in changes.counters.items():
                run(ADD_COUNTER, [day, name, value])
            write_quarantine(run, self._insert, changes, self._settings.quarantine_limit_bytes)
            self._insert("faults", changes.faults)
        self._step = step
        self._unmerged += 0 if changes.receipts is None else changes.receipts.num_rows

    def _move_position(self, run: Run, changes: Changes, step: int) -> None:
        # A commit of decisions keeps the position and `committed_at`, because it does not make the figures newer.
        before, after = str(changes.from_position), str(changes.to_position)
        moved = run(
            """UPDATE state SET position = ?, records = records + ?, step = ?,
                committed_at = CASE WHEN position = ? THEN committed_at ELSE make_timestamp(?) END
            WHERE position = ? RETURNING position""",
            [after, changes.records, step, after, changes.committed_us, before],
        ).fetchall()
        if not moved:
            raise PositionConflict(
                "commit to the database",
                self._path,
                f"its position is no longer {before}",
                "another engine writes to it: stop one of them",
            )

    def maintain(self) -> None:
        try:
            # Without this lock, a commit during the merge could increase `_step`. The column `merged` would then
            # include a step whose rows are not in the merged tables.
            with self._committing:
                self._merge()
            self._checkpoint()
        except DatabaseUnavailable as error:
            # Maintenance runs several times per second. An error is not logged again if only its numbers change.
            cause = _NUMBERS.sub("", str(error))
            if cause != self._maintenance_error:
                logger.warning("database.maintenance_failed", error=str(error))
            self._maintenance_error = cause
        else:
            if self._maintenance_error:
                logger.info("database.maintenance_recovered")
            self._maintenance_error = ""

    def _merge(self) -> None:
        now_us = self._clock.now_us()
        elapsed_us = now_us - self._merged_us
        if any(elapsed_us >= least_us and self._unmerged >= receipts for least_us, receipts in _MERGE_RULES):
            with self._transaction() as run:
                self._tables.merge(run, self._merged, self._step)
                run("UPDATE state SET merged = ?", [self._step])
            self._merged, self._merged_us, self._unmerged = self._step, now_us, 0

    def _checkpoint(self) -> None:
        if not self._wal.exists() or self._wal.stat().st_size < _CHECKPOINT_BYTES:
            return
        hint = "is the disk full?"
        with self._writing, _convert_errors("make a checkpoint of the database", self._path, hint):
            try:
                self._connection.execute("CHECKPOINT")
            except duckdb.TransactionException as error:
                # A reader still uses an older snapshot. The next call tries again.
                logger.debug("database.checkpoint_deferred", reason=str(error))

    @contextmanager
    def _registered(self, name: str, rows: pa.Table) -> Iterator[Run]:
        self._connection.register(name, rows)
        try:
            yield self._connection.execute
        finally:
            self._connection.unregister(name)

    def _insert(self, table: str, rows: pa.Table | Sequence[Row], columns: str = "*") -> None:
        if len(rows):
            added = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows))
            with self._registered("added", added) as run:
                run(f"INSERT INTO {table} BY NAME SELECT {columns} FROM added")

    def _count_received(self, run: Run, receipts: pa.Table, committed_us: int) -> None:
        second = pc.floor_temporal(receipts["received_at"], unit="second")
        groups = pa.table({"second": second, "day": receipts["day"]}).group_by(["second", "day"])
        self._insert("received", groups.aggregate([([], "count_all")]).rename_columns(["second", "day", "receipts"]))
        if committed_us - self._pruned_us > _RECEIVED_RETENTION_US:
            run("DELETE FROM received WHERE second < make_timestamp(?)", [committed_us - _RECEIVED_RETENTION_US])
            self._pruned_us = committed_us

    @contextmanager
    def snapshot(self) -> Iterator[DuckReader]:
        with _convert_errors("read the database", self._path):
            cursor = self._connection.cursor()
            cursor.execute("SET TimeZone = 'UTC'")
            cursor.execute("BEGIN TRANSACTION READ ONLY")
        with cursor:
            yield DuckReader(self._path, cursor, self._tables)

    def rebuild(self, metric: str) -> int:
        with self._transaction() as run:
            return self._tables.rebuild(run, metric, self._merged)

    def size_bytes(self) -> int:
        return sum(file.stat().st_size for file in (self._path, self._wal) if file.exists())

    def close(self) -> None:
        with self._writing:
            self._connection.close()


class DuckReader(Reader):
    """A read-only transaction. DuckDB keeps its snapshot until the cursor is closed."""

    def __init__(self, path: Path, cursor: duckdb.DuckDBPyConnection, tables: MetricTables) -> None:
        self._path = path
        self._cursor = cursor
        self._tables = tables

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with _convert_errors("read the database", self._path):
            self._cursor.execute(sql, list(parameters))
            names = [column[0] for column in self._cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in self._cursor.fetchall()]

    def verify(self, metric: str) -> list[Row]:
        return self.query(self._tables.differences(metric))


@contextmanager
def _convert_errors(doing: str, path: Path, hint: str = "") -> Iterator[None]:
    """Convert the errors of DuckDB to `DatabaseUnavailable`."""
    try:
        yield
    except duckdb.Error as error:
        raise DatabaseUnavailable(doing, path, str(error).split("\n")[0], hint) from error
