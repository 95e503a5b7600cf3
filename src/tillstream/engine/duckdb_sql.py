"""The plan in DuckDB's dialect: the embedded engine's temporary tables, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tillstream.config.settings import Settings
from tillstream.engine.arrow_batches import RECORD_COLUMNS, zone_table
from tillstream.receipt.normalization import BODY_SCHEMA, CONTENT_SCHEMA, Normalization

_BODY_SCHEMA = msgspec.json.encode(BODY_SCHEMA).decode()
_CONTENT_SCHEMA = msgspec.json.encode(CONTENT_SCHEMA).decode()

_NOTHING = pa.table(
    {name: pa.array([], pa.int64() if name in ("place", "received_us") else pa.string()) for name in RECORD_COLUMNS}
)


class Folded(NamedTuple):
    """What became of a batch, in the columns of the database's tables; and the records of which nothing could be made."""

    receipts: pa.Table
    lines: pa.Table
    settlements: pa.Table
    unreadable: pa.Table


class BatchSql:
    """Normalises one batch at a time; holds nothing between two batches that matters.

    Arrow tables are only ever scanned whole or computed on: no filter is left to an Arrow scan,
    whose pushed-down filters had wrong results in several versions of DuckDB.
    """

    def __init__(self, plan: Normalization, settings: Settings) -> None:
        self._plan = plan
        self._settings = settings
        self._connection = duckdb.connect(
            ":memory:",
            config={"threads": 1, "memory_limit": f"{settings.engine_memory_bytes}B", "temp_directory": ""},
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.register("zones_of_stores", _store_zones(settings))
        self._connection.execute("CREATE TABLE store_zone AS SELECT * FROM zones_of_stores")
        self._create_views()
        self._nothing = self.fold(_NOTHING, None)

    def _create_views(self) -> None:
        """Views, because a small batch costs little more than the parsing of the plan's long texts."""
        self._connection.register("arrived", _NOTHING)
        self._connection.register("zone", zone_table([]))
        read = f"""
            SELECT place, day, CAST(date AS TIMESTAMP) AS sold_local, key, make_timestamp(received_us) AS received_at,
                arrived.store, terminal, receipt, source, notes, before_seconds, after_seconds, from_local, to_local,
                from_json(body, '{_BODY_SCHEMA}') AS r
            FROM arrived LEFT JOIN store_zone USING (store)
            LEFT JOIN zone ON zone.local_date = substr(date, 1, 10)
                AND zone.zone_name = coalesce(store_zone.zone_name, '{self._settings.zone}')"""
        run = self._connection.execute
        run("SET VARIABLE applied_at = CAST(NULL AS TIMESTAMP)")
        sale = self._plan.sales(read)
        receipts = self._plan.receipts(sale, applied_at="CAST(getvariable('applied_at') AS TIMESTAMP)")
        run(f"CREATE TEMP VIEW every_receipt AS {receipts}")
        run("CREATE TEMP TABLE receipt AS SELECT * FROM every_receipt")
        run(f"CREATE TEMP VIEW receipt_row AS {self._plan.receipt_rows()}")
        run(f"CREATE TEMP VIEW line AS {self._plan.lines()}")
        run(f"CREATE TEMP VIEW settlement AS {self._plan.settlements()}")

    def keys(self, table: pa.Table) -> pa.Table:
        """What `Database.record_ids` asks for: `key` and `sold_local`."""
        return pa.table({"key": table["key"], "sold_local": table["date"].cast(pa.timestamp("us"))})

    def fold(self, table: pa.Table, applied_at: datetime | None) -> Folded:
        """Receipts, lines and settlements of the records; those that have no readable total are `unreadable`.

        Raises `duckdb.Error` where a body is no JSON, or they need more memory than there is.
        """
        run = self._connection.execute
        self._connection.register("arrived", table)
        self._load_zones(table)
        moment = None if applied_at is None else applied_at.replace(tzinfo=None)
        run("SET VARIABLE applied_at = CAST(? AS TIMESTAMP)", [moment])
        run("CREATE OR REPLACE TEMP TABLE receipt AS SELECT * FROM every_receipt")
        # A filter beside the reading of JSON would be pushed below it, and every body read twice.
        receipts, unreadable = self._arrow("SELECT * FROM receipt_row"), table.slice(0, 0)
        if receipts["gross"].null_count:
            without_total = pc.is_null(receipts["gross"])
            unreadable = _only(table, receipts.filter(without_total)["place"])
            receipts = receipts.filter(pc.invert(without_total))
            run("DELETE FROM receipt WHERE gross IS NULL")
        return Folded(receipts, self._arrow("SELECT * FROM line"), self._arrow("SELECT * FROM settlement"), unreadable)

    def nothing(self, unreadable: pa.Table) -> Folded:
        """What becomes of records that nobody can read."""
        return self._nothing._replace(unreadable=unreadable)

    def same_content(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether the known fields of each two bodies are equal once read as the plan reads them.

        What cannot be read is like nothing.
        """
        if not pairs:
            return []
        try:
            return self._compare(pairs)
        except duckdb.Error:
            if len(pairs) == 1:
                return [False]
            return [alike for pair in pairs for alike in self.same_content([pair])]

    def _compare(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        table = pa.table({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]})
        self._connection.register("pairs", table)
        rows = self._connection.execute(f"""
            WITH read AS (SELECT from_json(a, '{_CONTENT_SCHEMA}') AS a, from_json(b, '{_CONTENT_SCHEMA}') AS b FROM pairs)
            SELECT {" AND ".join(_alike(each) for each in CONTENT_SCHEMA)} FROM read""").fetchall()
        return [bool(alike) for (alike,) in rows]

    def _load_zones(self, table: pa.Table) -> None:
        dates: list[str] = pc.unique(pc.utf8_slice_codeunits(table["date"], 0, 10)).to_pylist()
        names = {self._settings.zone, *self._settings.store_zones.values()}
        self._connection.register("zone", zone_table([(name, date) for name in names for date in dates]))

    def _arrow(self, sql: str) -> pa.Table:
        table: pa.Table = self._connection.sql(sql).to_arrow_table()
        return table

    def close(self) -> None:
        self._connection.close()


def _alike(field: str) -> str:
    if field in ("lines", "settlements"):
        return f"coalesce(a.{field}, []) = coalesce(b.{field}, [])"
    return f"a.{field} IS NOT DISTINCT FROM b.{field}"


def _only(table: pa.Table, places: pa.ChunkedArray) -> pa.Table:
    return table.filter(pc.is_in(table["place"], value_set=places.combine_chunks()))


def _store_zones(settings: Settings) -> pa.Table:
    return pa.table(
        {
            "store": pa.array(list(settings.store_zones), pa.string()),
            "zone_name": pa.array(list(settings.store_zones.values()), pa.string()),
        }
    )
