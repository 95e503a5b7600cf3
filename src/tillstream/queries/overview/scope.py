"""The scope and the periods of an overview: the part of the chain and the business days that a request selects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

from tillstream.errors import BadQuery
from tillstream.metrics.catalogue import Source
from tillstream.queries.filters import parse_day
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

DAYS_LIMIT = 400
"""The maximum number of days in one period. It is a little more than 13 months."""

WEEK = 7

SCOPE_PARAMETERS = ("region", "store", "till", "category", "product")
PERIOD_PARAMETERS = ("day", "from", "to", "vs")

Kind = Literal["chain", "region", "store", "till", "category", "product"]


@dataclass(frozen=True, slots=True)
class Scope:
    """The whole chain, or one part of the chain such as a region or a store.

    `keys` contains the request parameters that select the part, for example `{"store": "12", "till": "3"}`. For a
    region, `stores` contains the sorted ids of its stores.
    """

    kind: Kind = "chain"
    keys: Mapping[str, str] = field(default_factory=dict)
    stores: tuple[str, ...] = ()

    @property
    def source(self) -> Source:
        """The table from which sales are computed: `lines` for a category or a product, otherwise `receipts`."""
        return "lines" if self.kind in ("category", "product") else "receipts"

    @property
    def condition(self) -> tuple[str, list[Any]]:
        """A SQL condition that selects the rows of the scope in a table, and the parameters of the condition."""
        if self.kind == "chain":
            return "true", []
        if self.kind == "region":
            return f"store IN ({', '.join('?' * len(self.stores))})", list(self.stores)
        return " AND ".join(f"{name} = ?" for name in self.keys), list(self.keys.values())

    @property
    def columns(self) -> frozenset[str]:
        """The columns that the condition uses."""
        return frozenset({"store"}) if self.kind == "region" else frozenset(self.keys)

    @property
    def identity(self) -> tuple[Any, ...]:
        """A hashable value that identifies the scope in a cache."""
        return (self.kind, *self.keys.items(), *self.stores)

    def has(self, store: str) -> bool:
        """Return whether the scope covers a store. A category or a product covers every store."""
        if self.kind == "region":
            return store in self.stores
        return "store" not in self.keys or self.keys["store"] == store


def parse_scope(stores: StoreList, query: Mapping[str, str]) -> Scope:
    """Return the scope that the parameters of a request select. Raises `BadQuery`."""
    keys = {name: query[name] for name in SCOPE_PARAMETERS if name in query}
    if "till" in keys and "store" not in keys:
        raise BadQuery("till", "a till belongs to a store", "give `store` too")
    kinds = [name for name in keys if name != "store" or "till" not in keys]
    if not kinds:
        return Scope()
    if len(kinds) > 1:
        raise BadQuery(kinds[1], f"{kinds[0]} is given too", f"give one of {', '.join(SCOPE_PARAMETERS)}")
    [kind] = kinds
    if kind != "region":
        return Scope(kind, keys)  # type: ignore[arg-type]
    members = tuple(sorted(stores.of_region(keys["region"])))
    if not members:
        regions = ", ".join(stores.regions) or "none: `tillstream stores import` takes a list of shops"
        raise BadQuery("region", f"the list of shops has no region {keys['region']!r}", f"there are {regions}")
    return Scope("region", keys, members)


@dataclass(frozen=True, slots=True)
class Period:
    """Business days from `first` to `last`, both included.

    If `cutoff` is set, sales on the last day at or after this time are excluded. The cutoff is a local time of the
    tills, without seconds.
    """

    first: date
    last: date
    cutoff: datetime | None = None

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def full_days(self) -> Period:
        """The same days without a cutoff."""
        return Period(self.first, self.last)

    @property
    def condition(self) -> tuple[str, list[Any]]:
        """A SQL condition that selects the receipts or lines of the period, and the parameters of the condition."""
        if self.cutoff is None:
            return "day BETWEEN ? AND ?", [self.first, self.last]
        return "day BETWEEN ? AND ? AND (day < ? OR sold_local < ?)", [self.first, self.last, self.last, self.cutoff]


@dataclass(frozen=True, slots=True)
class Periods:
    """The requested days, and the two periods that are compared with each other.

    `to_date` contains the requested days, and `previous` contains an equal number of days, usually earlier ones. If the
    last requested day is today, both periods end at the same time of day: the cutoff of `to_date` is the current
    minute, and the cutoff of `previous` is the same time on its last day. Otherwise, neither period has a cutoff.
    """

    requested: Period
    to_date: Period
    previous: Period

    @property
    def live(self) -> bool:
        """Whether the last requested day is today."""
        return self.to_date.cutoff is not None


def parse_periods(calendar: Calendar, now: datetime, query: Mapping[str, str]) -> Periods:
    """Return the periods that `day`, `from`, `to` and `vs` select at the local time `now`.

    If `vs` is missing, `previous` starts one or more whole weeks earlier, so that equal weekdays are compared. Raises
    `BadQuery`.
    """
    requested = _requested_period(calendar.day_of(now), query)
    shift = timedelta(days=WEEK * -(-requested.days // WEEK))
    try:
        first = parse_day(query["vs"], "vs") if "vs" in query else requested.first - shift
        previous = Period(first, first + timedelta(days=requested.days - 1))
    except OverflowError:
        raise BadQuery("vs", "the calendar has no such days to compare with", "use later days") from None
    if requested.last != calendar.day_of(now):
        return Periods(requested, requested, previous)
    cutoff = now.replace(second=0, microsecond=0)
    offset = cutoff - calendar.start(requested.last)
    return Periods(
        requested,
        Period(requested.first, requested.last, cutoff),
        Period(previous.first, previous.last, calendar.start(previous.last) + offset),
    )


def _requested_period(today: date, query: Mapping[str, str]) -> Period:
    if "day" in query:
        if "from" in query or "to" in query:
            raise BadQuery("day", "both a day and a period are given", "give `day`, or `from` and `to`")
        day = parse_day(query["day"])
        return Period(day, day)
    if "from" not in query and "to" not in query:
        return Period(today, today)
    for name, other in (("from", "to"), ("to", "from")):
        if name not in query:
            raise BadQuery(name, f"is missing, and `{other}` is given", "give both, or `day`")
    period = Period(parse_day(query["from"], "from"), parse_day(query["to"], "to"))
    if period.days < 1:
        raise BadQuery("to", f"{period.last} is before {period.first}", "give the earlier day as `from`")
    if period.days > DAYS_LIMIT:
        raise BadQuery("to", f"a period has at most {DAYS_LIMIT} days, this one has {period.days}", "ask for fewer")
    return period
