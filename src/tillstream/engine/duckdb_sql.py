"""The plan in DuckDB's dialect: the embedded engine's temporary tables, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tillstream.engine.intake import zone_table
from tillstream.engine.plan import BODY_SCHEMA, Plan
from tillstream.metrics import Metric
from tillstream.settings import Settings
from tillstream.store.base import Changes

_BODY_SCHEMA = msgspec.json.encode(BODY_SCHEMA).decode()


class DuckSql:
    """Normalises and folds one batch at a time; holds nothing between two batches that matters."""

    def __init__(self, plan: Plan, catalogue: Sequence[Metric], settings: Settings) -> None:
        self._plan = plan
        self._catalogue = catalogue
        self._settings = settings
        self._connection = duckdb.connect(
            ":memory:",
            config={"threads": 1, "memory_limit": f"{settings.engine_memory_bytes}B", "temp_directory": ""},
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.register("store_zone", _store_zones(settings))
        self._connection.execute("CREATE TABLE store_zones AS SELECT * FROM store_zone")

    def keys(self, table: pa.Table) -> pa.Table:
        """What `Store.known` asks for: `key` and `sold_local`."""
        return pa.table({"key": table["key"], "sold_local": table["date"].cast(pa.timestamp("us"))})

    def normalise(self, table: pa.Table, applied_at: datetime | None) -> pa.Table:
        """Fill the temporary tables `receipt`, `line`, `rest` and `settlement` from the records.

        Returns the records that have no readable total. Raises `duckdb.Error` where a body is no JSON.
        """
        run = self._connection.execute
        self._register("arrived", table)
        run(f"""CREATE OR REPLACE TEMP TABLE parsed AS
            SELECT place, day, CAST(date AS TIMESTAMP) AS sold_local, CAST(date AS DATE) AS local_date, key,
                make_timestamp(received_us) AS received_at, arrived.store, terminal, receipt, source, notes,
                coalesce(z.zone_name, '{self._settings.zone}') AS zone_name, from_json(body, '{_BODY_SCHEMA}') AS r
            FROM arrived LEFT JOIN store_zones z ON arrived.store = z.store""")
        self._load_zones()
        run(f"CREATE OR REPLACE TEMP TABLE sale AS {self._plan.sales()}")
        sale = "place, day, store, till, sold_local"
        unnested = f"SELECT {sale}, unnest(r.lines) AS l, generate_subscripts(r.lines, 1) AS line FROM sale"
        run(f"CREATE OR REPLACE TEMP TABLE line AS {self._plan.lines(unnested)}")
        unnested = f"SELECT {sale}, unnest(r.settlements) AS s FROM sale"
        run(f"CREATE OR REPLACE TEMP TABLE settlement AS {self._plan.settlements(unnested)}")
        moment = "NULL" if applied_at is None else f"'{applied_at.replace(tzinfo=None).isoformat(' ')}'"
        receipts = self._plan.receipts().replace("$applied_at", moment)
        run(f"CREATE OR REPLACE TEMP TABLE receipt AS {receipts}")
        columns = self._plan.columns("lines")
        run(f"""CREATE OR REPLACE TEMP TABLE every_line AS
            SELECT {columns} FROM line UNION ALL SELECT {columns} FROM ({self._plan.rest_lines()})""")
        read = self._arrow("SELECT place FROM receipt")
        if read.num_rows == table.num_rows:
            return table.slice(0, 0)
        return self._arrow("SELECT * FROM arrived WHERE place NOT IN (SELECT place FROM receipt)")

    def collect(self, changes: Changes) -> None:
        """Hand over what `normalise` made: the tables and every metric's partial rows."""
        changes.receipts = self._arrow(f"SELECT {self._plan.columns('receipts')} FROM receipt")
        changes.lines = self._arrow("SELECT * FROM every_line")
        changes.settlements = self._arrow(f"SELECT {self._plan.columns('settlements')} FROM settlement")
        sources = {"receipts": "receipt", "lines": "every_line", "settlements": "settlement"}
        changes.folds = {
            metric.name: self._arrow(self._plan.fold(metric, sources[metric.source])) for metric in self._catalogue
        }

    def sift(self, table: pa.Table) -> tuple[pa.Table, pa.Table]:
        """The records whose body is JSON, and the others."""
        self._register("arrived", table)
        verdict = self._arrow("SELECT place FROM arrived WHERE json_valid(body)")
        valid = pc.is_in(table["place"], value_set=verdict["place"].combine_chunks())
        return table.filter(valid), table.filter(pc.invert(valid))

    def same_content(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether the known fields of each two bodies are equal once read as the plan reads them."""
        if not pairs:
            return []
        table = pa.table({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]})
        self._register("pairs", table)
        rows = self._connection.execute(f"""
            WITH read AS (SELECT from_json(a, '{_BODY_SCHEMA}') AS a, from_json(b, '{_BODY_SCHEMA}') AS b FROM pairs)
            SELECT {" AND ".join(_alike(each) for each in _CONTENT)} FROM read""").fetchall()
        return [bool(alike) for (alike,) in rows]

    def _register(self, name: str, table: pa.Table) -> None:
        """As a real table: nothing is ever filtered inside an Arrow scan."""
        self._connection.register(f"{name}_arrow", table)
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM {name}_arrow")
        self._connection.unregister(f"{name}_arrow")

    def _load_zones(self) -> None:
        found = self._connection.execute("SELECT DISTINCT zone_name, local_date FROM parsed").fetchall()
        self._register("zone_seconds", zone_table(found))
        self._connection.execute("""CREATE OR REPLACE TEMP TABLE zone AS
            SELECT zone_name, local_date, to_seconds(before_seconds) AS before_offset,
                to_seconds(after_seconds) AS after_offset, from_local, to_local FROM zone_seconds""")

    def _arrow(self, sql: str) -> pa.Table:
        return self._connection.sql(sql).to_arrow_table()

    def close(self) -> None:
        self._connection.close()


_CONTENT = (
    "agentID",
    "customerID",
    "documentTotal",
    "lines",
    "settlements",
)
"""The known fields that are not in the key."""


def _alike(field: str) -> str:
    if field in ("lines", "settlements"):
        return f"coalesce(a.{field}, []) = coalesce(b.{field}, [])"
    return f"a.{field} IS NOT DISTINCT FROM b.{field}"


def _store_zones(settings: Settings) -> pa.Table:
    return pa.table(
        {
            "store": pa.array(list(settings.store_zones), pa.string()),
            "zone_name": pa.array(list(settings.store_zones.values()), pa.string()),
        }
    )
