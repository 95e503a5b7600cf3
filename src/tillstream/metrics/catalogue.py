"""The catalogue of metrics: each metric is declared as data, and its SQL is generated from the declaration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import entry_points
from typing import Any, Literal

from tillstream.errors import CatalogueError

Fold = Literal["sum", "count", "min", "max"]
Source = Literal["receipts", "lines", "settlements"]
Kind = Literal["money", "count", "text", "time"]

ENTRY_POINT_GROUP = "tillstream.metrics"


@dataclass(frozen=True, slots=True)
class Key:
    """A column by which a metric is grouped.

    `expression` is SQL that uses columns of the tables in `sources`, and `type` is the SQL type of the key. Both must
    be valid in DuckDB, PostgreSQL and Spark.
    """

    name: str
    type: str
    expression: str
    sources: tuple[Source, ...] = ("receipts", "lines", "settlements")


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of a metric, such as the sum of a column.

    `fold` is the SQL aggregate. `column` is a name in `COLUMNS`, or empty for a count of rows. `kind` decides how the
    figure is shown: `money` in the chain's currency, and `time` as local time of the till.
    """

    name: str
    fold: Fold
    column: str = ""
    kind: Kind = "count"

    @property
    def merge(self) -> str:
        """The SQL aggregate that merges partial results. Partial counts are added."""
        return "sum" if self.fold == "count" else self.fold

    @property
    def expression(self) -> str:
        """The SQL of the values that are aggregated, or `*` for a count of rows."""
        return DERIVED.get(self.column, self.column) or "*"


@dataclass(frozen=True, slots=True)
class Metric:
    """A table with a column for each key and measure, and a row for each combination of keys.

    The first key is `day`.
    """

    name: str
    help: str
    source: Source
    keys: tuple[Key, ...]
    measures: tuple[Measure, ...]
    unit: str = "currency"

    @property
    def digest(self) -> str:
        """A hash of the declaration. The database rebuilds a metric whose digest has changed."""
        derived = [each.expression for each in self.measures if each.column in DERIVED]
        parts = [self.source, *map(repr, self.keys), *map(repr, self.measures), *derived]
        return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


COLUMNS: dict[Source, tuple[str, ...]] = {
    "receipts": ("gross", "net", "tax", "items", "line_count", "anomalous", "refund", "is_refund", "sold_local"),
    "lines": ("gross", "net", "tax", "items", "is_line", "quantity", "description", "sold_local"),
    "settlements": ("amount", "sold_local"),
}
"""The columns that a measure can aggregate, by source.

`DERIVED` defines some of them. The others are columns of the tables in `tillstream.receipt.normalization`.
"""

DERIVED = {
    "refund": "CASE WHEN gross < 0 THEN gross ELSE 0 END",
    "is_refund": "CASE WHEN gross < 0 THEN 1 ELSE 0 END",
}
"""The SQL of the columns that are not stored, but computed from stored columns."""

_COLUMN_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("gross", "net", "tax", "amount", "refund"), "money"),
    "description": "text",
    "sold_local": "time",
}
"""The kinds of columns. All other columns are counts."""

KEYS = {
    key.name: key
    for key in (
        Key("day", "DATE", "day"),
        Key("store", "VARCHAR", "store"),
        Key("till", "VARCHAR", "till"),
        Key("minute", "TIMESTAMP", "date_trunc('minute', sold_local)"),
        Key("hour", "INTEGER", "CAST(extract(hour FROM sold_local) AS INTEGER)"),
        Key("category", "VARCHAR", "category", ("lines",)),
        Key("product", "VARCHAR", "product", ("lines",)),
        Key("rate", "VARCHAR", "rate", ("lines",)),
        Key("mechanism", "VARCHAR", "mechanism", ("settlements",)),
        Key("ingest_bucket", "INTEGER", "ingest_bucket", ("receipts",)),
        Key("till_bucket", "INTEGER", "till_bucket", ("receipts",)),
    )
}

_REVENUE = Measure("revenue", "sum", "gross", "money")
_NET = Measure("net", "sum", "net", "money")
_TAX = Measure("tax", "sum", "tax", "money")
_QUANTITY = Measure("quantity", "sum", "items")
_FIRST = Measure("first", "min", "sold_local", "time")
_LAST = Measure("last", "max", "sold_local", "time")

_PREDEFINED: dict[Source, tuple[Measure, ...]] = {
    "receipts": (_REVENUE, _NET, _TAX, Measure("receipts", "count"), Measure("lines", "sum", "line_count"), _QUANTITY,
                 Measure("anomalies", "sum", "anomalous"), Measure("refunds", "sum", "refund", "money"),
                 Measure("refund_count", "sum", "is_refund"), _FIRST, _LAST),
    "lines": (_REVENUE, _NET, _TAX, Measure("lines", "sum", "is_line"), _QUANTITY,
              Measure("description", "max", "description", "text"), _FIRST, _LAST),
    "settlements": (Measure("revenue", "sum", "amount", "money"), Measure("settlements", "count"), _FIRST, _LAST),
}  # fmt: skip

MEASURES = {source: {each.name: each for each in measures} for source, measures in _PREDEFINED.items()}
"""The measures that a declaration can name, by source and name."""


def declare(
    name: str,
    help: str,
    source: Source,
    keys: Sequence[str],
    measures: Sequence[str | Mapping[str, str]],
    unit: str = "currency",
) -> Metric:
    """Declare a metric. `keys` are names in `KEYS`, and `measures` are names in `MEASURES[source]`.

    A measure can also be a mapping with a `name`, a `fold` and a `column` of `COLUMNS[source]`. If the fold is
    `count`, there must be no column. Raises `CatalogueError` if the declaration is not valid.
    """
    if not name.isidentifier() or not name.islower():
        raise _invalid(name, "its name must be a lower-case identifier")
    if source not in COLUMNS:
        raise _invalid(name, f"there is no source {source!r}", f"use one of {', '.join(COLUMNS)}")
    if not keys or keys[0] != "day" or len(set(keys)) != len(keys):
        raise _invalid(name, "its keys must begin with `day` and differ from each other")
    for key in keys:
        if key not in KEYS or source not in KEYS[key].sources:
            available = ", ".join(each.name for each in KEYS.values() if source in each.sources)
            raise _invalid(name, f"{source} have no key {key!r}", f"use {available}")
    if not measures:
        raise _invalid(name, "it has no measures")
    chosen = tuple(_measure(name, source, measure) for measure in measures)
    names = [*keys, *(measure.name for measure in chosen)]
    if len(set(names)) != len(names):
        raise _invalid(name, "two of its columns have the same name")
    return Metric(name, help, source, tuple(KEYS[key] for key in keys), chosen, unit)


def _measure(metric: str, source: Source, measure: str | Mapping[str, str]) -> Measure:
    predefined = MEASURES[source]
    if isinstance(measure, str):
        if measure not in predefined:
            raise _invalid(metric, f"{source} have no measure {measure!r}", f"use {', '.join(predefined)}")
        return predefined[measure]
    name, fold, column = (measure.get(part, "") for part in ("name", "fold", "column"))
    if set(measure) - {"name", "fold", "column", "kind"} or not name.isidentifier():
        raise _invalid(metric, f"the measure {dict(measure)!r} is not valid", "give it a name, a fold and a column")
    if fold not in ("sum", "count", "min", "max"):
        raise _invalid(metric, f"there is no fold {fold!r}", "use sum, count, min or max")
    if (fold != "count") != bool(column) or (column and column not in COLUMNS[source]):
        raise _invalid(metric, f"{fold} cannot fold {column!r}", f"use one of {', '.join(COLUMNS[source])}")
    kind = _COLUMN_KINDS.get(column, "count")
    if fold == "sum" and kind in ("text", "time"):
        raise _invalid(metric, f"sum cannot fold {column!r}", "use min or max")
    return Measure(name, fold, column, kind)  # type: ignore[arg-type]


def _invalid(metric: str, because: str, hint: str = "see docs/metrics.md") -> CatalogueError:
    return CatalogueError("declare the metric", metric, because, hint)


BUILT_IN = (
    declare("sales", "Totals of the day", "receipts", ["day"],
            ["revenue", "net", "tax", "receipts", "lines", "quantity", "anomalies", "refunds", "refund_count"]),
    declare("sales_by_category", "Sales of each category", "lines", ["day", "category"],
            ["revenue", "net", "tax", "lines", "quantity"]),
    declare("sales_by_product", "Sales of each product", "lines", ["day", "product"],
            ["revenue", "net", "tax", "lines", "quantity", "description"]),
    declare("sales_by_store", "Sales of each store", "receipts", ["day", "store"],
            ["revenue", "net", "tax", "receipts", "lines", "quantity", "anomalies", "refunds", "refund_count",
             "first", "last"]),
    declare("sales_by_till", "Sales of each till", "receipts", ["day", "store", "till"],
            ["revenue", "receipts", "refunds", "refund_count", "first", "last"]),
    declare("sales_by_minute", "Sales of each minute, by the clock of the till", "receipts",
            ["day", "minute"],
            ["revenue", "net", "tax", "receipts", "lines", "quantity", "refunds", "refund_count"]),
    declare("sales_by_hour_and_category", "Sales of each hour and category", "lines",
            ["day", "hour", "category"], ["revenue", "lines", "quantity"]),
    declare("sales_by_product_and_hour", "Sales of each product and hour", "lines",
            ["day", "product", "hour"], ["revenue", "lines", "quantity"]),
    declare("sales_by_store_and_hour", "Sales of each store and hour", "receipts",
            ["day", "store", "hour"], ["revenue", "receipts", "quantity"]),
    declare("payments_by_mechanism", "Payments by payment mechanism", "settlements",
            ["day", "mechanism"], ["revenue", "settlements"]),
    declare("vat_by_rate", "Sales and VAT of each VAT rate, from the lines of receipts", "lines", ["day", "rate"],
            ["revenue", "net", "tax", "lines"]),
    declare("delays", "Receipts by delay: from printing to arrival, and from arrival to the figures",
            "receipts", ["day", "ingest_bucket", "till_bucket"], ["receipts"], unit="receipts"),
)  # fmt: skip


def catalogue(own: Iterable[Mapping[str, Any]] = ()) -> tuple[Metric, ...]:
    """Return the built-in metrics, the metrics of installed packages, and the metrics of the settings file.

    A package provides metrics through an entry point in the group `tillstream.metrics`. The entry point refers to a
    `Metric` or a sequence of metrics. `own` contains the declarations in the settings file, as mappings with the
    arguments of `declare`. Raises `CatalogueError` if a declaration is not valid or two metrics have the same name.
    """
    metrics = list(BUILT_IN)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        loaded = entry.load()
        metrics.extend([loaded] if isinstance(loaded, Metric) else loaded)
    for declaration in own:
        try:
            metrics.append(declare(**{"help": "", **declaration}))
        except TypeError as error:
            raise _invalid(str(declaration.get("name", "?")), str(error).removeprefix("declare() ")) from error
    names = [metric.name for metric in metrics]
    for name in names:
        if names.count(name) > 1:
            raise _invalid(name, "another metric has the same name")
    return tuple(metrics)


def metric_columns(metric: Metric, digits: int) -> dict[str, str]:
    """Return the column types of a metric, keys first. `digits` is the currency's number of decimals."""
    # 38 digits are enough for sums of the largest accepted amounts.
    kinds = {"money": f"DECIMAL(38,{digits})", "count": "BIGINT", "text": "VARCHAR", "time": "TIMESTAMP"}
    keys = {key.name: key.type for key in metric.keys}
    return keys | {measure.name: kinds[measure.kind] for measure in metric.measures}


def metric_table(name: str) -> str:
    """Return the name of a metric's table or view. No other table or view has a name with the prefix `metric_`."""
    return f"metric_{name}"


def aggregate(metric: Metric, digits: int, where: str = "true") -> str:
    """Return a query that computes a metric from the rows of its source table that meet the condition `where`."""
    keys = {key.name: key.expression for key in metric.keys}
    measures = {measure.name: f"{measure.fold}({measure.expression})" for measure in metric.measures}
    return f"SELECT {_columns(metric, digits, keys | measures)} FROM {metric.source} WHERE {where} GROUP BY ALL"


def merge(metric: Metric, parts: str, digits: int) -> str:
    """Return a query that merges partial results into one row for each combination of keys.

    `parts` is a query for the partial results. They have the same columns as the results of `aggregate`.
    """
    keys = {key.name: key.name for key in metric.keys}
    measures = {measure.name: f"{measure.merge}({measure.name})" for measure in metric.measures}
    return f"SELECT {_columns(metric, digits, keys | measures)} FROM ({parts}) AS parts GROUP BY ALL"


def _columns(metric: Metric, digits: int, expressions: Mapping[str, str]) -> str:
    types = metric_columns(metric, digits)
    return ", ".join(f"CAST({expression} AS {types[name]}) AS {name}" for name, expression in expressions.items())
