"""The embedded database: one DuckDB file, one writer, readers that never wait for it."""

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
from tillstream.database.base import Changes, Database, Reader, Row
from tillstream.database.duckdb.metric_tables import MetricTables
from tillstream.database.duckdb.quarantine_tables import note
from tillstream.database.schema import VERSION, tables
from tillstream.errors import DatabaseUnavailable, PositionConflict
from tillstream.log.base import START, Position
from tillstream.metrics.catalogue import Metric
from tillstream.receipt.amounts import minor_digits

_RECEIVED_KEPT_SECONDS = 300

_MERGE_AFTER = ((10_000_000, 1), (2_000_000, 4_000), (0, 30_000))
"""Merge the metrics so many microseconds after the last time, with so many receipts or more: a merge costs tens of
milliseconds however few they are, and readers fold at each query what is not merged yet."""

_CHECKPOINT_BYTES = 128 * 1024 * 1024
"""From so much of a write-ahead log on there is a checkpoint, once nobody waits for what was committed. Most of its time
goes into what stands in the file already, so half as many take half the time, while an opening replays more."""

_CHECKPOINT_LIMIT_BYTES = 2 * _CHECKPOINT_BYTES
"""And here in any case, within a commit."""

_FIGURES = re.compile(r"[0-9.]+")

logger = structlog.get_logger()


class DuckDatabase(Database):
    """Tables of `tillstream.database.schema` in a DuckDB file.

    Receipts have no index: a key is looked up among the rows of its own second, which the
    column's zone maps find, because the date is part of the key.
    """

    def __init__(self, path: Path, catalogue: Sequence[Metric], settings: Settings, clock: Clock) -> None:
        self._path = path
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
        try:
            self._connection = duckdb.connect(
                str(path),
                config={
                    "threads": 2,
                    "memory_limit": f"{settings.store_memory_bytes}B",
                    "wal_autocheckpoint": f"{_CHECKPOINT_LIMIT_BYTES}B",
                },
            )
        except duckdb.Error as error:
            raise _unavailable("open the database", path, error, "is another engine running on it?") from error
        self._connection.execute("SET TimeZone = 'UTC'")
        self._create()

    def _create(self) -> None:
        with self._transaction() as run:
            for name, columns in tables(self._digits).items():
                own = {"step": "BIGINT"} if name in _STEPPED else {}
                run(f"CREATE TABLE IF NOT EXISTS {name} ({_columns(columns | own)}{_PRIMARY_KEYS.get(name, '')})")
            if not run("SELECT count(*) FROM state").fetchone()[0]:
                run("INSERT INTO state VALUES (?, 0, NULL, 0, 0)", [str(START)])
                meta = {"version": str(VERSION), "currency": self._settings.currency}
                for name, value in meta.items():
                    run("INSERT INTO meta VALUES (?, ?)", [name, value])
            found = dict(run("SELECT name, value FROM meta").fetchall())
        if found["currency"] != self._settings.currency:
            raise DatabaseUnavailable(
                "open the database",
                self._path,
                f"its receipts are in {found['currency']}, the setting `currency` says {self._settings.currency}",
                "a chain has one currency: set it back or use another data directory",
            )
        if found["version"] != str(VERSION):
            raise DatabaseUnavailable(
                "open the database",
                self._path,
                f"it has version {found['version']}, this program needs {VERSION}",
                "make it anew with `tillstream rebuild`",
            )
        [state] = self.query("SELECT step, merged FROM state")
        self._step, self._merged = state["step"], state["merged"]
        with self._transaction() as run:
            self._tables.align(run, self._merged)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with self._writing:
            try:
                self._connection.execute("BEGIN")
                yield self._connection.execute
                self._connection.execute("COMMIT")
            except duckdb.Error as error:
                self._roll_back()
                raise _unavailable("write to the database", self._path, error, "is the disk full?") from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error as error:
            # A failed COMMIT has ended the transaction already.
            logger.debug("database.rollback_failed", reason=str(error))

    def position(self) -> Position:
        return Position.parse(self.query("SELECT position FROM state")[0]["position"])

    def record_ids(self, keys: pa.Table) -> dict[str, int]:
        span = pc.min_max(keys["sold_local"])
        with self._writing, self._registered("asked", keys) as run:
            rows = run(
                """SELECT replace(CAST(key AS VARCHAR), '-', ''), place FROM receipts
                WHERE sold_local BETWEEN ? AND ? AND key IN (SELECT CAST(key AS UUID) FROM asked)""",
                [span["min"].as_py(), span["max"].as_py()],
            ).fetchall()
        return dict(rows)

    def commit(self, changes: Changes) -> None:
        # The engine is not alone: who settles entries of the quarantine commits too.
        with self._committing:
            self._commit(changes)

    def _commit(self, changes: Changes) -> None:
        step = self._step + 1
        with self._transaction() as run:
            self._move(run, changes, step)
            if changes.receipts is not None:
                self._insert("receipts", changes.receipts, f"* REPLACE (CAST(key AS UUID) AS key), {step} AS step")
                self._insert("lines", changes.lines, f"*, {step} AS step")
                self._insert("settlements", changes.settlements, f"*, {step} AS step")
                self._count_received(run, changes)
            self._note(run, changes)
        self._step = step
        self._unmerged += 0 if changes.receipts is None else changes.receipts.num_rows

    def _move(self, run: Any, changes: Changes, step: int) -> None:
        """Compare and set the position. One that stays says nothing of how old the figures are."""
        stays = changes.after == changes.upto
        moved = run(
            """UPDATE state SET position = ?, records = records + ?, step = ?,
                committed_at = CASE WHEN ? THEN committed_at ELSE make_timestamp(?) END
            WHERE position = ? RETURNING position""",
            [str(changes.upto), changes.records, step, stays, changes.committed_us, str(changes.after)],
        ).fetchall()
        if not moved:
            raise PositionConflict(
                "commit to the database",
                self._path,
                f"its position is no longer {changes.after}",
                "another engine writes to it: end one of them",
            )

    def maintain(self) -> None:
        try:
            # No commit may come between what is merged and what is said of it.
            with self._committing:
                self._merge()
            self._checkpoint()
        except DatabaseUnavailable as error:
            # There are several commits a second, and their figures may differ where the cause doesn't.
            cause = _FIGURES.sub("", str(error))
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
        if any(elapsed_us >= least_us and self._unmerged >= receipts for least_us, receipts in _MERGE_AFTER):
            with self._transaction() as run:
                self._tables.merge(run, self._merged, self._step)
                run("UPDATE state SET merged = ?", [self._step])
            self._merged, self._merged_us, self._unmerged = self._step, now_us, 0

    def _checkpoint(self) -> None:
        wal = self._path.with_name(f"{self._path.name}.wal")
        if not wal.exists() or wal.stat().st_size < _CHECKPOINT_BYTES:
            return
        with self._writing:
            try:
                self._connection.execute("CHECKPOINT")
            except duckdb.TransactionException as error:
                # Somebody reads an older state: a later commit tries again.
                logger.debug("database.checkpoint_deferred", reason=str(error))
            except duckdb.Error as error:
                raise _unavailable(
                    "make a checkpoint of the database", self._path, error, "is the disk full?"
                ) from error

    @contextmanager
    def _registered(self, name: str, rows: pa.Table) -> Iterator[Any]:
        self._connection.register(name, rows)
        try:
            yield self._connection.execute
        finally:
            self._connection.unregister(name)

    def _insert(self, table: str, rows: pa.Table | None, columns: str = "*") -> None:
        if rows is not None and rows.num_rows:
            with self._registered("added", rows) as run:
                run(f"INSERT INTO {table} BY NAME SELECT {columns} FROM added")

    def _count_received(self, run: Any, changes: Changes) -> None:
        assert changes.receipts is not None
        second = pc.floor_temporal(changes.receipts["received_at"], unit="second")
        counted = pa.table({"second": second, "day": changes.receipts["day"]}).group_by(["second", "day"])
        self._insert("received", counted.aggregate([([], "count_all")]).rename_columns(["second", "day", "receipts"]))
        if changes.committed_us - self._pruned_us > _RECEIVED_KEPT_SECONDS * 1_000_000:
            oldest = changes.committed_us - _RECEIVED_KEPT_SECONDS * 1_000_000
            run("DELETE FROM received WHERE second < make_timestamp(?)", [oldest])
            self._pruned_us = changes.committed_us

    def _note(self, run: Any, changes: Changes) -> None:
        """Quarantine, decisions, counters and faults: few rows."""
        for (day, name), value in changes.counters.items():
            run(
                """INSERT INTO counters VALUES (?, ?, ?)
                ON CONFLICT (day, name) DO UPDATE SET value = counters.value + excluded.value""",
                [day, name, value],
            )
        note(run, self._insert, changes, self._settings.quarantine_limit_bytes)
        for fault in changes.faults:
            found_at = fault["found_at"].replace(tzinfo=None)
            run("INSERT INTO faults VALUES (?, ?, ?, ?)", [*list(fault.values())[:3], found_at])

    @contextmanager
    def snapshot(self) -> Iterator[DuckReader]:
        try:
            cursor = self._connection.cursor()
            cursor.execute("SET TimeZone = 'UTC'")
            # A checkpoint that a reader stands in the way of is not waited for: a later commit makes it.
            cursor.execute("BEGIN TRANSACTION READ ONLY")
        except duckdb.Error as error:
            raise _unavailable("read the database", self._path, error) from error
        with cursor:
            yield DuckReader(self._path, cursor, self._tables)

    def rebuild(self, metric: str) -> int:
        with self._transaction() as run:
            return self._tables.rebuild(run, metric, self._merged)

    def size_bytes(self) -> int:
        wal = self._path.with_name(self._path.name + ".wal")
        return sum(file.stat().st_size for file in (self._path, wal) if file.exists())

    def close(self) -> None:
        with self._writing:
            self._connection.close()


class DuckReader(Reader):
    """A read-only transaction of its own on the database file: DuckDB gives it a snapshot."""

    def __init__(self, path: Path, cursor: duckdb.DuckDBPyConnection, tables: MetricTables) -> None:
        self._path = path
        self._cursor = cursor
        self._tables = tables

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        try:
            self._cursor.execute(sql, list(parameters))
            names = [column[0] for column in self._cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in self._cursor.fetchall()]
        except duckdb.Error as error:
            raise _unavailable("read the database", self._path, error) from error

    def verify(self, metric: str, limit: int = 20) -> list[Row]:
        return self.query(self._tables.differences(metric, limit))


def _unavailable(doing: str, path: Path, error: Exception, hint: str = "") -> DatabaseUnavailable:
    return DatabaseUnavailable(doing, path, str(error).split("\n")[0], hint)


_PRIMARY_KEYS = {
    "counters": ", PRIMARY KEY (day, name)",
    "set_aside": ", PRIMARY KEY (day, kind, reason, source)",
}
_STEPPED = ("receipts", "lines", "settlements")


def _columns(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())
