"""The catalogue: every metric declared once, as data. Its table, its fold and merge, its API, its
docs and a default plot all follow from the declaration."""

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
    """A column that rows of a metric are told apart by: an expression over the columns of a source.

    `type` and `expression` are of the SQL that DuckDB, PostgreSQL and Spark have in common.
    """

    name: str
    type: str
    expression: str
    sources: tuple[Source, ...] = ("receipts", "lines", "settlements")


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of a metric: a fold over a column of its source, mergeable by the same fold.

    `count` merges by sum. `kind` decides how it is shown: `money` in the chain's currency, `time`
    as the till's own wall-clock time.
    """

    name: str
    fold: Fold
    column: str = ""
    kind: Kind = "count"

    @property
    def merge(self) -> str:
        return "sum" if self.fold == "count" else self.fold

    @property
    def expression(self) -> str:
        """What is folded, in SQL over the columns of the source."""
        return DERIVED.get(self.column, self.column) or "*"


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of the day: rows told apart by `keys` (the first is always `day`), each with `measures`."""

    name: str
    help: str
    source: Source
    keys: tuple[Key, ...]
    measures: tuple[Measure, ...]
    unit: str = "currency"

    @property
    def digest(self) -> str:
        """Changes with whatever changes the figures, so a database can tell that its own are of another make."""
        derived = [each.expression for each in self.measures if each.column in DERIVED]
        parts = [self.source, *map(repr, self.keys), *map(repr, self.measures), *derived]
        return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


COLUMNS: dict[Source, tuple[str, ...]] = {
    "receipts": ("gross", "net", "tax", "items", "line_count", "anomalous", "refund", "is_refund", "sold_local"),
    "lines": ("gross", "net", "tax", "items", "is_line", "quantity", "description", "sold_local"),
    "settlements": ("amount", "sold_local"),
}
"""What a measure may fold, per source; `tillstream.receipt.normalization` says what each column means."""

DERIVED = {
    "refund": "CASE WHEN gross < 0 THEN gross ELSE 0 END",
    "is_refund": "CASE WHEN gross < 0 THEN 1 ELSE 0 END",
}
"""Columns that are not stored but follow from those that are."""

_COLUMN_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("gross", "net", "tax", "amount", "refund"), "money"),
    "description": "text",
    "sold_local": "time",
}
"""What is neither is a count."""

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
_RECEIPTS = Measure("receipts", "count")
_LINES = Measure("lines", "sum", "is_line")
_QUANTITY = Measure("quantity", "sum", "items")
_FIRST = Measure("first", "min", "sold_local", "time")
_LAST = Measure("last", "max", "sold_local", "time")

MEASURES: dict[Source, dict[str, Measure]] = {
    "receipts": {
        measure.name: measure
        for measure in (
            _REVENUE,
            _NET,
            _TAX,
            _RECEIPTS,
            Measure("lines", "sum", "line_count"),
            _QUANTITY,
            Measure("anomalies", "sum", "anomalous"),
            Measure("refunds", "sum", "refund", "money"),
            Measure("refund_count", "sum", "is_refund"),
            _FIRST,
            _LAST,
        )
    },
    "lines": {
        measure.name: measure
        for measure in (
            _REVENUE,
            _NET,
            _TAX,
            _LINES,
            _QUANTITY,
            Measure("description", "max", "description", "text"),
            _FIRST,
            _LAST,
        )
    },
    "settlements": {
        "revenue": Measure("revenue", "sum", "amount", "money"),
        "settlements": Measure("settlements", "count"),
        "first": _FIRST,
        "last": _LAST,
    },
}
"""The measures that a declaration may name instead of spelling them out."""


def declare(
    name: str,
    help: str,
    source: Source,
    keys: Sequence[str],
    measures: Sequence[str | Mapping[str, str]],
    unit: str = "currency",
) -> Metric:
    """A metric from plain data: names of `KEYS` and of `MEASURES[source]`, or a measure spelt out
    as `{"name", "fold", "column", "kind"}`.

    Raises `CatalogueError` where the declaration contradicts itself.
    """
    if not name.isidentifier() or not name.islower():
        raise _refuse(name, "its name must be a lower-case identifier")
    if source not in COLUMNS:
        raise _refuse(name, f"there is no source {source!r}", f"take one of {', '.join(COLUMNS)}")
    if not keys or keys[0] != "day" or len(set(keys)) != len(keys):
        raise _refuse(name, "its keys must begin with `day` and be told apart")
    for key in keys:
        if key not in KEYS or source not in KEYS[key].sources:
            known = ", ".join(each.name for each in KEYS.values() if source in each.sources)
            raise _refuse(name, f"{source} have no key {key!r}", f"take some of {known}")
    if not measures:
        raise _refuse(name, "it has no measures")
    chosen = tuple(_measure(name, source, measure) for measure in measures)
    names = [*keys, *(measure.name for measure in chosen)]
    if len(set(names)) != len(names):
        raise _refuse(name, "two of its columns have one name")
    return Metric(name, help, source, tuple(KEYS[key] for key in keys), chosen, unit)


def _measure(metric: str, source: Source, measure: str | Mapping[str, str]) -> Measure:
    known = MEASURES[source]
    if isinstance(measure, str):
        if measure not in known:
            raise _refuse(metric, f"{source} have no measure {measure!r}", f"take some of {', '.join(known)}")
        return known[measure]
    spelt = dict(measure)
    fold, column = spelt.get("fold", ""), spelt.get("column", "")
    if set(spelt) - {"name", "fold", "column", "kind"} or not spelt.get("name", "").isidentifier():
        raise _refuse(metric, f"the measure {spelt!r} is not understood", "give it a name, a fold and a column")
    if fold not in ("sum", "count", "min", "max"):
        raise _refuse(metric, f"there is no fold {fold!r}", "take sum, count, min or max")
    if (fold != "count") != bool(column) or (column and column not in COLUMNS[source]):
        raise _refuse(metric, f"{fold} cannot fold {column!r}", f"take one of {', '.join(COLUMNS[source])}")
    kind = _COLUMN_KINDS.get(column, "count")
    if fold == "sum" and kind in ("text", "time"):
        raise _refuse(metric, f"sum cannot fold {column!r}", "take min or max")
    return Measure(spelt["name"], fold, column, kind)  # type: ignore[arg-type]


def _refuse(metric: str, because: str, hint: str = "see docs/metrics.md") -> CatalogueError:
    return CatalogueError("declare the metric", metric, because, hint)


BUILT_IN = (
    declare("sales", "The day's totals", "receipts", ["day"],
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
    declare("sales_by_minute", "Sales of each minute of the day, by the till's clock", "receipts",
            ["day", "minute"],
            ["revenue", "net", "tax", "receipts", "lines", "quantity", "refunds", "refund_count"]),
    declare("sales_by_hour_and_category", "Sales of each hour and category", "lines",
            ["day", "hour", "category"], ["revenue", "lines", "quantity"]),
    declare("sales_by_product_and_hour", "Sales of each product and hour", "lines",
            ["day", "product", "hour"], ["revenue", "lines", "quantity"]),
    declare("sales_by_store_and_hour", "Sales of each store and hour", "receipts",
            ["day", "store", "hour"], ["revenue", "receipts", "quantity"]),
    declare("payments_by_mechanism", "What was paid by each means", "settlements",
            ["day", "mechanism"], ["revenue", "settlements"]),
    declare("vat_by_rate", "Sales and VAT of each rate, from the lines", "lines", ["day", "rate"],
            ["revenue", "net", "tax", "lines"]),
    declare("delays", "Receipts by how long they took, received to visible and printed to received",
            "receipts", ["day", "ingest_bucket", "till_bucket"], ["receipts"], unit="receipts"),
)  # fmt: skip


def catalogue(own: Iterable[Mapping[str, Any]] = ()) -> tuple[Metric, ...]:
    """The built-in metrics, those of installed packages, and the user's own, in that order.

    `own` are declarations as in the settings file: mappings with the arguments of `declare`. An
    entry point of the group `tillstream.metrics` names a `Metric`, or several in a sequence.
    Raises `CatalogueError` where one is wrong or a name comes twice.
    """
    metrics = list(BUILT_IN)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        loaded = entry.load()
        metrics.extend([loaded] if isinstance(loaded, Metric) else loaded)
    for declaration in own:
        try:
            metrics.append(declare(**{"help": "", **declaration}))
        except TypeError as error:
            raise _refuse(str(declaration.get("name", "?")), str(error).removeprefix("declare() ")) from error
    names = [metric.name for metric in metrics]
    for name in names:
        if names.count(name) > 1:
            raise _refuse(name, "there is a metric of that name already")
    return tuple(metrics)
