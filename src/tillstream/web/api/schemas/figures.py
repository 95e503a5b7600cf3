"""The day's figures, the metrics and the shops."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from tillstream.web.api.schemas.types import Amount, Day, Instant, LocalTime


class Percentiles(Struct, frozen=True):
    """Upper bounds of the buckets that hold half and 99 % of the receipts."""

    p50: float | None
    p99: float | None


class Summary(Struct, frozen=True):
    """The figures of one business day."""

    day: Day
    currency: str
    revenue: Amount
    net: Amount
    tax: Amount
    receipts: int
    items: int
    average_ticket: Amount | None
    stores_active: int
    tills_active: int
    receipts_per_minute: int | None
    ingest_delay_ms: Percentiles
    till_delay_s: Percentiles
    duplicates: int
    conflicts: int
    quarantined: int
    anomalies: int
    as_of: Instant


class Minutes(Struct, frozen=True):
    """Parallel lists. `offset` counts wall-clock minutes from `start`, as does `now`."""

    start: LocalTime
    now: int | None
    offset: list[int]
    revenue: list[Amount]
    receipts: list[int]


class CategoryTotal(Struct, frozen=True):
    """The sales of one category."""

    category: str
    revenue: Amount
    quantity: int
    lines: int


class OtherDay(Struct, frozen=True):
    """Receipts that arrived today for another business day."""

    day: Day
    receipts: int


class Snapshot(Struct, frozen=True):
    """A day's figures, its minutes and its categories, all of one commit."""

    live: bool
    summary: Summary
    minutes: Minutes
    categories: list[CategoryTotal]
    other_days: list[OtherDay]
    lag: int
    age_ms: int


class Measure(Struct, frozen=True):
    """A figure of a metric, and how it is folded."""

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


class Metrics(Struct, frozen=True):
    """The catalogue of metrics."""

    metrics: list[MetricDescription]


class MetricRows(Struct, frozen=True):
    """The rows of one metric of one day; `columns` are the names in each row."""

    metric: str
    help: str
    day: Day
    currency: str
    columns: list[str]
    rows: list[dict[str, str | int | None]]


class Store(Struct, frozen=True):
    """A shop; texts are empty and `tills` is 0 where they are unknown."""

    id: str
    name: str
    city: str
    region: str
    zone: str
    tills: int
    hours: str
    listed: bool


class Stores(Struct, frozen=True):
    """The shops of the list, then those that sold without being in it."""

    stores: list[Store]
