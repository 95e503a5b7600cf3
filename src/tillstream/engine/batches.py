"""Batches of log records: chunks of the log become Arrow tables, and SQL in an in-memory DuckDB normalizes them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date, datetime
from itertools import chain
from typing import NamedTuple

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from tillstream.config.settings import Settings
from tillstream.errors import TillstreamError
from tillstream.log.base import Chunk, Frame
from tillstream.receipt.amounts import minor_digits
from tillstream.receipt.business_day import offsets
from tillstream.receipt.model import HEAD_COLUMNS
from tillstream.receipt.normalization import BODY_SCHEMA, CONTENT_SCHEMA, Normalization

RECORD_COLUMNS = ("place", *HEAD_COLUMNS, "body")
"""The columns of a table of records: the record id (`place`), the columns of the head, and the body."""

_TYPES = {name: pa.int64() if name in ("place", "received_us") else pa.string() for name in RECORD_COLUMNS}
_HEAD_PARSE = csv.ParseOptions(delimiter="\t", quote_char=False, escape_char=False, newlines_in_values=False)
_HEAD_CONVERT = csv.ConvertOptions(
    column_types={name: _TYPES[name] for name in HEAD_COLUMNS}, null_values=[], strings_can_be_null=False
)
_BODY_SCHEMA = msgspec.json.encode(BODY_SCHEMA).decode()
_CONTENT_SCHEMA = msgspec.json.encode(CONTENT_SCHEMA).decode()

NO_RECORDS = pa.table({name: pa.array([], kind) for name, kind in _TYPES.items()})
"""An empty table of records."""


class ChunkError(TillstreamError):
    """The heads or bodies of a chunk are malformed, although its checksum is correct."""


def records(chunks: Sequence[Chunk]) -> pa.Table:
    """Read one or more chunks into a table with the columns `RECORD_COLUMNS`. Raises `ChunkError`.

    The bodies in the table share the memory of the chunks.
    """
    count = sum(chunk.count for chunk in chunks)
    written = b"".join(chunk.heads.data for chunk in chunks)
    try:
        heads = csv.read_csv(io.BytesIO(written), _read_options(len(written)), _HEAD_PARSE, _HEAD_CONVERT)
        bodies = pa.chunked_array([_strings(chunk.bodies) for chunk in chunks])
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise ChunkError(str(error)) from error
    if heads.num_rows != count or len(bodies) != count:
        raise ChunkError(f"{heads.num_rows} heads and {len(bodies)} bodies for {count} records")
    record_ids = pa.array(chain.from_iterable(chunk.record_ids for chunk in chunks), pa.int64())
    return heads.add_column(0, "place", record_ids).append_column("body", bodies)


def _read_options(size_bytes: int) -> csv.ReadOptions:
    # Arrow's CSV reader requires that each line fits into one block. The head of a refusal contains its faults, so its
    # line can be longer than the default block.
    block_size = max(csv.ReadOptions().block_size, size_bytes + 1)
    return csv.ReadOptions(column_names=list(HEAD_COLUMNS), use_threads=False, block_size=block_size)


def _strings(frame: Frame) -> pa.Array:
    """Return an Arrow array of strings that shares the memory of the frame."""
    column = pa.StringArray.from_buffers(len(frame), pa.py_buffer(frame.offsets), pa.py_buffer(frame.data))
    column.validate(full=True)
    return column


def zone_table(pairs: Sequence[tuple[str, str]]) -> pa.Table:
    """Return a table with the UTC offsets for each pair of a zone name and a local date (YYYY-MM-DD)."""
    found = [offsets(zone, date.fromisoformat(day)) for zone, day in pairs]
    return pa.table(
        {
            "zone_name": pa.array([zone for zone, _ in pairs], pa.string()),
            "local_date": pa.array([day for _, day in pairs], pa.string()),
            "before_seconds": pa.array([int(each.before.total_seconds()) for each in found], pa.int64()),
            "after_seconds": pa.array([int(each.after.total_seconds()) for each in found], pa.int64()),
            "from_local": pa.array([each.from_local for each in found], pa.timestamp("us")),
            "to_local": pa.array([each.to_local for each in found], pa.timestamp("us")),
        }
    )


class NormalizedBatch(NamedTuple):
    """The result of normalizing a batch: rows for the tables of the database, and the unreadable records."""

    receipts: pa.Table
    lines: pa.Table
    settlements: pa.Table
    unreadable: pa.Table


class BatchSql:
    """Normalizes one batch at a time in temporary tables. It keeps no state between batches.

    Statements must not filter an Arrow table that they scan, because some versions of DuckDB push such a filter into
    the scan and return wrong results.
    """

    def __init__(self, settings: Settings) -> None:
        self._zone = settings.zone
        self._zones = {settings.zone, *settings.store_zones.values()}
        self._connection = duckdb.connect(
            ":memory:", config={"threads": 1, "memory_limit": f"{settings.engine_memory_bytes}B", "temp_directory": ""}
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute(
            """CREATE TABLE store_zone AS
                SELECT unnest(CAST(? AS VARCHAR[])) AS store, unnest(CAST(? AS VARCHAR[])) AS zone_name""",
            [list(settings.store_zones), list(settings.store_zones.values())],
        )
        self._create_views(Normalization(minor_digits(settings.currency), tuple(settings.vat_rates)))

    def _create_views(self, normalization: Normalization) -> None:
        # DuckDB parses the SQL of a view only once. Without views, a small batch would spend most of its time on
        # parsing SQL.
        self._connection.register("arrived", NO_RECORDS)
        self._connection.register("zone", zone_table([]))
        read = f"""
            SELECT place, day, CAST(date AS TIMESTAMP) AS sold_local, key, make_timestamp(received_us) AS received_at,
                arrived.store, terminal, receipt, source, notes, before_seconds, after_seconds, from_local, to_local,
                from_json(body, '{_BODY_SCHEMA}') AS r
            FROM arrived LEFT JOIN store_zone USING (store)
            LEFT JOIN zone ON zone.local_date = substr(date, 1, 10)
                AND zone.zone_name = coalesce(store_zone.zone_name, '{self._zone}')"""
        run = self._connection.execute
        run("SET VARIABLE applied_at = CAST(NULL AS TIMESTAMP)")
        sales = normalization.sales(read)
        receipts = normalization.receipts(sales, applied_at="CAST(getvariable('applied_at') AS TIMESTAMP)")
        run(f"CREATE TEMP VIEW every_receipt AS {receipts}")
        run("CREATE TEMP TABLE receipt AS SELECT * FROM every_receipt")
        run(f"CREATE TEMP VIEW receipt_row AS {normalization.receipt_rows()}")
        run(f"CREATE TEMP VIEW line AS {normalization.lines()}")
        run(f"CREATE TEMP VIEW settlement AS {normalization.settlements()}")

    def normalize(self, table: pa.Table, applied_at: datetime | None) -> NormalizedBatch:
        """Normalize the records. `applied_at` is the predicted time of their commit, or None in a rebuild.

        Records without a readable total are returned as `unreadable`. Raises `duckdb.Error` if a body is not JSON, or
        if the memory limit is too small for the batch.
        """
        run = self._connection.execute
        self._connection.register("arrived", table)
        dates: list[str] = pc.unique(pc.utf8_slice_codeunits(table["date"], 0, 10)).to_pylist()
        self._connection.register("zone", zone_table([(zone, date) for zone in self._zones for date in dates]))
        run("SET VARIABLE applied_at = CAST(? AS TIMESTAMP)", [applied_at])
        run("CREATE OR REPLACE TEMP TABLE receipt AS SELECT * FROM every_receipt")
        # Receipts without a total are removed below, in a separate statement. A filter in the statement above would
        # make DuckDB parse every body twice: once for the filter and once for the columns.
        receipts, unreadable = self._arrow("SELECT * FROM receipt_row"), table.slice(0, 0)
        if receipts["gross"].null_count:
            without_total = pc.is_null(receipts["gross"])
            record_ids = receipts.filter(without_total)["place"].combine_chunks()
            unreadable = table.filter(pc.is_in(table["place"], value_set=record_ids))
            receipts = receipts.filter(pc.invert(without_total))
            run("DELETE FROM receipt WHERE gross IS NULL")
        return NormalizedBatch(
            receipts, self._arrow("SELECT * FROM line"), self._arrow("SELECT * FROM settlement"), unreadable
        )

    def same_content(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Return for each pair of bodies whether their fields in `CONTENT_SCHEMA` are equal.

        An unreadable body equals no other body.
        """
        self._connection.register("pairs", pa.table({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]}))
        same = " AND ".join(_is_same(each) for each in CONTENT_SCHEMA)
        rows = self._connection.execute(f"""
            WITH read AS (
                SELECT TRY(from_json(a, '{_CONTENT_SCHEMA}')) AS a, TRY(from_json(b, '{_CONTENT_SCHEMA}')) AS b
                FROM pairs)
            SELECT a IS NOT NULL AND b IS NOT NULL AND {same} FROM read""").fetchall()
        return [bool(each) for (each,) in rows]

    def _arrow(self, sql: str) -> pa.Table:
        table: pa.Table = self._connection.sql(sql).to_arrow_table()
        return table

    def close(self) -> None:
        self._connection.close()


def _is_same(field: str) -> str:
    if field in ("lines", "settlements"):
        return f"coalesce(a.{field}, []) = coalesce(b.{field}, [])"
    return f"a.{field} IS NOT DISTINCT FROM b.{field}"
