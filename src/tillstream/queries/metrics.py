"""The metrics of the catalogue: their descriptions and their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tillstream.database.base import Database, Row
from tillstream.errors import BadQuery, UnknownMetric
from tillstream.metrics.catalogue import Metric, metric_table
from tillstream.queries.filters import key_value
from tillstream.queries.serialization import STORE_NAME, with_store_names
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList


class Metrics:
    """Describes and reads every metric."""

    def __init__(
        self,
        database: Database,
        catalogue: Sequence[Metric],
        calendar: Calendar,
        currency: str,
        stores: Callable[[], StoreList],
    ) -> None:
        self._database = database
        self._metrics = {metric.name: metric for metric in catalogue}
        self._calendar = calendar
        self._currency = currency
        self._stores = stores

    def described(self) -> list[Row]:
        """Every metric with its keys and measures."""
        return [
            {
                "name": metric.name,
                "help": metric.help,
                "unit": self._currency if metric.unit == "currency" else metric.unit,
                "source": metric.source,
                "keys": [key.name for key in metric.keys],
                "measures": [{"name": each.name, "fold": each.fold, "kind": each.kind} for each in metric.measures],
            }
            for metric in self._metrics.values()
        ]

    def rows(self, name: str, filters: Mapping[str, str] | None = None) -> Row:
        """The rows of a metric on one day, filtered by its keys. A key `store` is followed by `store_name`.

        Raises `UnknownMetric` and `BadQuery`.
        """
        if name not in self._metrics:
            raise UnknownMetric(f"there is no metric {name!r}; there are {', '.join(self._metrics)}")
        metric = self._metrics[name]
        keys = {key.name: key for key in metric.keys}
        wanted: dict[str, Any] = {"day": self._calendar.today()}
        for column, text in (filters or {}).items():
            if column not in keys:
                raise BadQuery(column, f"{name} has no such key", f"filter by {', '.join(keys)}")
            wanted[column] = key_value(keys[column], text)
        columns = [*keys, *(measure.name for measure in metric.measures)]
        # The database formats the amounts: the stores and hours of a chain are too many for Python.
        money = [measure.name for measure in metric.measures if measure.kind == "money"]
        select = ", ".join(f"CAST({each} AS VARCHAR) AS {each}" if each in money else each for each in columns)
        rows = self._database.query(
            f"SELECT {select} FROM {metric_table(name)} WHERE {' AND '.join(f'{column} = ?' for column in wanted)} "
            f"ORDER BY {', '.join(keys)}",
            list(wanted.values()),
        )
        times = [measure.name for measure in metric.measures if measure.kind == "time"]
        for moment in [*(key.name for key in metric.keys if key.type in ("DATE", "TIMESTAMP")), *times]:
            for row in rows:
                row[moment] = row[moment].isoformat()
        if "store" in keys:
            columns.insert(columns.index("store") + 1, STORE_NAME)
            rows = with_store_names(rows, self._stores())
        return {
            "metric": name,
            "help": metric.help,
            "day": wanted["day"].isoformat(),
            "currency": self._currency,
            "columns": columns,
            "rows": rows,
        }
