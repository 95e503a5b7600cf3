"""Queries for the metrics of the catalogue and for the stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from tillstream.database.base import Database
from tillstream.errors import BadQuery, UnknownMetric
from tillstream.metrics.catalogue import Metric, metric_table
from tillstream.queries.filters import parse_key
from tillstream.queries.serialization import Day
from tillstream.receipt.business_day import Calendar
from tillstream.stores import model
from tillstream.stores.model import StoreList, format_hours

STORE_NAME = "store_name"


class Measure(Struct, frozen=True):
    """A measure of a metric. `fold` is the function that aggregates it."""

    name: str
    fold: str
    kind: Literal["money", "count", "text", "time"]


class MetricDescription(Struct, frozen=True):
    """A metric of the catalogue, with its keys and measures."""

    name: str
    help: str
    unit: str
    source: str
    keys: list[str]
    measures: list[Measure]


class MetricRows(Struct, frozen=True):
    """The rows of one metric on one day. `columns` contains the column names in order."""

    metric: str
    help: str
    day: Day
    currency: str
    columns: list[str]
    rows: list[dict[str, str | int | None]]


class Store(Struct, frozen=True):
    """A shop. Unknown texts are empty, and an unknown number of `tills` is 0."""

    id: str
    name: str
    city: str
    region: str
    zone: str
    tills: int
    hours: str
    listed: bool


class MetricReader:
    """Describes and reads every metric, and lists the stores."""

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

    def descriptions(self) -> list[MetricDescription]:
        """Describe every metric of the catalogue."""
        return [
            MetricDescription(
                metric.name,
                metric.help,
                self._currency if metric.unit == "currency" else metric.unit,
                metric.source,
                [key.name for key in metric.keys],
                [Measure(each.name, each.fold, each.kind) for each in metric.measures],
            )
            for metric in self._metrics.values()
        ]

    def rows(self, name: str, filters: Mapping[str, str] | None = None) -> MetricRows:
        """Return the rows of a metric on one day. The default day is today. Raises `UnknownMetric` or `BadQuery`.

        `filters` selects rows by the values of keys, for example `{"store": "12"}`. If `store` is a key of the metric,
        the column `store_name` follows the column `store`.
        """
        if name not in self._metrics:
            raise UnknownMetric(f"there is no metric {name!r}; there are {', '.join(self._metrics)}")
        metric = self._metrics[name]
        keys = {key.name: key for key in metric.keys}
        key_values: dict[str, Any] = {"day": self._calendar.today()}
        for key, text in (filters or {}).items():
            if key not in keys:
                raise BadQuery(key, f"{name} has no such key", f"filter by {', '.join(keys)}")
            key_values[key] = parse_key(keys[key], text)
        columns = _columns(metric)
        rows = self._database.query(
            f"SELECT {', '.join(f'{expression} AS {column}' for column, expression in columns.items())} "
            f"FROM {metric_table(name)} WHERE {' AND '.join(f'{key} = ?' for key in key_values)} ORDER BY {', '.join(keys)}",
            list(key_values.values()),
        )
        times = [key.name for key in metric.keys if key.type in ("DATE", "TIMESTAMP")]
        times += [measure.name for measure in metric.measures if measure.kind == "time"]
        stores = self._stores()
        for row in rows:
            for column in times:
                row[column] = row[column].isoformat()
            if STORE_NAME in columns:
                row[STORE_NAME] = stores.title(row["store"])
        return MetricRows(name, metric.help, key_values["day"].isoformat(), self._currency, list(columns), rows)

    def stores(self) -> list[Store]:
        """Return the listed stores in the order of the list. Other stores with sales follow, sorted by id."""
        listed = self._stores().by_id
        rows = self._database.query(f"SELECT DISTINCT store FROM {metric_table('sales_by_store')} ORDER BY store")
        others = [model.Store(row["store"]) for row in rows if row["store"] not in listed]
        return [
            Store(
                store.id,
                store.title,
                store.city,
                store.region,
                store.zone,
                store.tills,
                format_hours(store.hours),
                store.id in listed,
            )
            for store in [*listed.values(), *others]
        ]


def _columns(metric: Metric) -> dict[str, str]:
    """Return the SQL expression of each column.

    The column `store_name` selects the id of the store. `MetricReader.rows` then replaces the id with the name.
    """
    columns = {}
    for key in metric.keys:
        columns[key.name] = key.name
        if key.name == "store":
            columns[STORE_NAME] = key.name
    for measure in metric.measures:
        # The database converts amounts to text, because Python is slower and a metric may have thousands of rows.
        columns[measure.name] = f"CAST({measure.name} AS VARCHAR)" if measure.kind == "money" else measure.name
    return columns
