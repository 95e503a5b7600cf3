"""The embedded store: one DuckDB file, one writer, readers that never wait for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb
import pyarrow as pa
import structlog

from tillstream.clock import Clock
from tillstream.engine.plan import Plan
from tillstream.errors import PositionConflict, StoreUnavailable, UnknownMetric
from tillstream.log.base import START, Position
from tillstream.metrics import Metric
from tillstream.receipt import minor_digits
from tillstream.settings import Settings
from tillstream.store.base import Changes, Row, Store
from tillstream.store.schema import VERSION, metric_columns, metric_table, tables

_RECEIVED_KEPT_SECONDS = 300
_CHECKPOINT_BYTES = 64 * 1024 * 1024

logger = structlog.get_logger()


class DuckStore(Store):
    """Tables of `tillstream.store.schema` in a DuckDB file.

    Receipts have no index: a key is looked up among the rows of its own second, which the
    column's zone maps find, because the date is part of the key.
    """

    def __init__(self, path: Path, catalogue: Sequence[Metric], settings: Settings, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._settings = settings
        self._digits = minor_digits(settings.currency)
        self._plan = Plan(self._digits)
        self._metrics = {metric.name: metric for metric in catalogue}
        self._writing = Lock()
        self._pruned_us = 0
        try:
            self._connection = duckdb.connect(
                str(path),
                config={
                    "threads": 2,
                    "memory_limit": f"{settings.store_memory_bytes}B",
                    "wal_autocheckpoint": f"{_CHECKPOINT_BYTES}B",
                },
            )
        except duckdb.Error as error:
            raise self._unavailable("open the store", error, "is another engine running on it?") from error
        self._connection.execute("SET TimeZone = 'UTC'")
        self._create()

    def _create(self) -> None:
        with self._transaction() as run:
            for name, columns in tables(self._digits).items():
                run(f"CREATE TABLE IF NOT EXISTS {name} ({_columns(columns)}{_PRIMARY_KEYS.get(name, '')})")
            if not run("SELECT count(*) FROM state").fetchone()[0]:
                run("INSERT INTO state VALUES (?, 0, NULL)", [str(START)])
                meta = {"version": str(VERSION), "currency": self._settings.currency}
                for name, value in meta.items():
                    run("INSERT INTO meta VALUES (?, ?)", [name, value])
            found = dict(run("SELECT name, value FROM meta").fetchall())
        if found["currency"] != self._settings.currency:
            raise StoreUnavailable(
                "open the store",
                self._path,
                f"its receipts are in {found['currency']}, the setting `currency` says {self._settings.currency}",
                "a chain has one currency: set it back or use another data directory",
            )
        if found["version"] != str(VERSION):
            raise StoreUnavailable(
                "open the store",
                self._path,
                f"it has version {found['version']}, this program needs {VERSION}",
                "make it anew with `tillstream rebuild`",
            )
        self._align()

    def _align(self) -> None:
        """Make the tables of new or changed metrics from the stored receipts; drop those of metrics gone."""
        stored = {row["metric"]: row["digest"] for row in self.query("SELECT metric, digest FROM catalogue")}
        for name in stored.keys() - self._metrics.keys():
            with self._transaction() as run:
                run(f"DROP TABLE IF EXISTS {metric_table(name)}")
                run("DELETE FROM catalogue WHERE metric = ?", [name])
        for name, metric in self._metrics.items():
            if stored.get(name) != metric.digest:
                self.rebuild(name)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with self._writing:
            try:
                self._connection.execute("BEGIN")
                yield self._connection.execute
                self._connection.execute("COMMIT")
            except duckdb.Error as error:
                self._roll_back()
                raise self._unavailable("write to the store", error, "is the disk full?") from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error as error:
            # A failed COMMIT has ended the transaction already.
            logger.debug("store.rollback", reason=str(error))

    def position(self) -> Position:
        return Position.parse(self.query("SELECT position FROM state")[0]["position"])

    def known(self, keys: pa.Table) -> dict[str, int]:
        with self._writing:
            run = self._connection.execute
            self._connection.register("asked_arrow", keys)
            run("""CREATE OR REPLACE TEMP TABLE asked AS
                SELECT CAST(key AS UUID) AS key, sold_local FROM asked_arrow""")
            self._connection.unregister("asked_arrow")
            span = run("SELECT min(sold_local), max(sold_local) FROM asked").fetchall()[0]
            rows = run(
                """SELECT replace(CAST(key AS VARCHAR), '-', ''), min(place) FROM receipts
                WHERE sold_local BETWEEN ? AND ? AND key IN (SELECT key FROM asked) GROUP BY key""",
                list(span),
            ).fetchall()
        return dict(rows)

    def commit(self, changes: Changes) -> None:
        with self._transaction() as run:
            moved = run(
                """UPDATE state SET position = ?, records = records + ?, committed_at = make_timestamp(?)
                WHERE position = ? RETURNING position""",
                [str(changes.upto), changes.records, changes.committed_us, str(changes.after)],
            ).fetchall()
            if not moved:
                raise PositionConflict(
                    "commit to the store",
                    self._path,
                    f"its position is no longer {changes.after}",
                    "another engine writes to it: end one of them",
                )
            if changes.receipts is not None:
                self._insert("receipts", changes.receipts, "SELECT * REPLACE (CAST(key AS UUID) AS key)")
                self._insert("lines", changes.lines)
                self._insert("settlements", changes.settlements)
                self._count_received(run, changes)
            for name, fold in changes.folds.items():
                self._merge(self._metrics[name], fold)
            self._note(run, changes)

    def _insert(self, table: str, rows: pa.Table | None, select: str = "SELECT *") -> None:
        if rows is None or not rows.num_rows:
            return
        self._connection.register("added", rows)
        self._connection.execute(f"INSERT INTO {table} BY NAME {select} FROM added")
        self._connection.unregister("added")

    def _merge(self, metric: Metric, fold: pa.Table) -> None:
        if not fold.num_rows:
            return
        table = metric_table(metric.name)
        keys = ", ".join(key.name for key in metric.keys)
        merged = ", ".join(f"{m.name} = {_MERGE[m.merge].format(table=table, name=m.name)}" for m in metric.measures)
        self._connection.register("fold", fold)
        self._connection.execute(
            f"INSERT INTO {table} BY NAME SELECT * FROM fold ON CONFLICT ({keys}) DO UPDATE SET {merged}"
        )
        self._connection.unregister("fold")

    def _count_received(self, run: Any, changes: Changes) -> None:
        self._connection.register("added", changes.receipts)
        run("""INSERT INTO received
            SELECT date_trunc('second', received_at) AS second, count(*) FROM added GROUP BY second""")
        self._connection.unregister("added")
        if changes.committed_us - self._pruned_us > _RECEIVED_KEPT_SECONDS * 1_000_000:
            oldest = changes.committed_us - _RECEIVED_KEPT_SECONDS * 1_000_000
            run("DELETE FROM received WHERE second < make_timestamp(?)", [oldest])
            self._pruned_us = changes.committed_us

    def _note(self, run: Any, changes: Changes) -> None:
        """Quarantine, counters and faults: few rows, written one by one."""
        for (day, name), value in changes.counters.items():
            run(
                """INSERT INTO counters VALUES (?, ?, ?)
                ON CONFLICT (day, name) DO UPDATE SET value = counters.value + excluded.value""",
                [day, name, value],
            )
        if changes.quarantine:
            self._insert("quarantine", pa.Table.from_pylist(list(changes.quarantine)), _QUARANTINE_SELECT)
            self._bound_quarantine(run, str(changes.quarantine[-1]["day"]))
        for fault in changes.faults:
            found_at = fault["found_at"].replace(tzinfo=None)
            run("INSERT INTO faults VALUES (?, ?, ?, ?)", [*list(fault.values())[:3], found_at])

    def _bound_quarantine(self, run: Any, day: str) -> None:
        """Keep the newest within the quota; what went is counted."""
        gone = run(
            """DELETE FROM quarantine WHERE place IN (SELECT place FROM
                (SELECT place, sum(size_bytes) OVER (ORDER BY received_at DESC, place DESC) AS kept FROM quarantine)
                WHERE kept > ?) RETURNING place""",
            [self._settings.quarantine_limit_bytes],
        ).fetchall()
        if gone:
            run(
                """INSERT INTO counters VALUES (?, 'quarantine_dropped', ?)
                ON CONFLICT (day, name) DO UPDATE SET value = counters.value + excluded.value""",
                [day, len(gone)],
            )

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("SET TimeZone = 'UTC'")
                cursor.execute(sql, list(parameters))
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except duckdb.Error as error:
            raise self._unavailable("read the store", error, "") from error

    def rebuild(self, metric: str) -> int:
        declared = self._declared(metric)
        table = metric_table(metric)
        keys = ", ".join(key.name for key in declared.keys)
        with self._transaction() as run:
            run(f"DROP TABLE IF EXISTS {table}")
            run(f"CREATE TABLE {table} ({_columns(metric_columns(declared, self._digits))}, PRIMARY KEY ({keys}))")
            run(f"INSERT INTO {table} BY NAME {self._plan.fold(declared, declared.source)}")
            run("DELETE FROM catalogue WHERE metric = ?", [metric])
            run("INSERT INTO catalogue VALUES (?, ?)", [metric, declared.digest])
            count: int = run(f"SELECT count(*) FROM {table}").fetchone()[0]
        return count

    def verify(self, metric: str, limit: int = 20) -> list[Row]:
        declared = self._declared(metric)
        names = ", ".join(metric_columns(declared, self._digits))
        fold = self._plan.fold(declared, declared.source)
        keys = ", ".join(key.name for key in declared.keys)
        return self.query(
            f"""WITH recount AS ({fold}), kept AS (SELECT {names} FROM {metric_table(metric)}),
            differing AS (SELECT 'recount' AS side, * FROM (SELECT {names} FROM recount EXCEPT SELECT {names} FROM kept)
                UNION ALL
                SELECT 'metric' AS side, * FROM (SELECT {names} FROM kept EXCEPT SELECT {names} FROM recount))
            SELECT * FROM differing ORDER BY {keys}, side LIMIT {int(limit)}"""
        )

    def _declared(self, name: str) -> Metric:
        if name not in self._metrics:
            raise UnknownMetric(f"there is no metric {name!r}; there are {', '.join(self._metrics)}")
        return self._metrics[name]

    def size_bytes(self) -> int:
        wal = self._path.with_name(self._path.name + ".wal")
        return sum(file.stat().st_size for file in (self._path, wal) if file.exists())

    def close(self) -> None:
        with self._writing:
            self._connection.close()

    def _unavailable(self, doing: str, error: Exception, hint: str) -> StoreUnavailable:
        return StoreUnavailable(doing, self._path, str(error).split("\n")[0], hint)


_PRIMARY_KEYS = {"counters": ", PRIMARY KEY (day, name)"}
_QUARANTINE_SELECT = "SELECT * REPLACE (CAST(day AS DATE) AS day)"
_MERGE = {
    "sum": "{table}.{name} + excluded.{name}",
    "min": "least({table}.{name}, excluded.{name})",
    "max": "greatest({table}.{name}, excluded.{name})",
}


def _columns(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())
