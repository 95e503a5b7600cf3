"""The days that are asked for, those they are compared with, and the clock time at which both stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from tillstream.errors import BadQuery
from tillstream.queries.filters import parse_day
from tillstream.receipt.business_day import Calendar

DAYS_LIMIT = 400
"""Most days of one span: a year and a month."""

WEEK = 7

PARAMETERS = ("day", "from", "to", "vs")


@dataclass(frozen=True, slots=True)
class Span:
    """Business days from `first` to `last`; with a `cut`, only what was sold before it on the last one.

    `cut` is a whole minute of the tills' own clocks.
    """

    first: date
    last: date
    cut: datetime | None = None

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def whole(self) -> Span:
        """The same days to their end."""
        return Span(self.first, self.last)

    @property
    def condition(self) -> tuple[str, list[Any]]:
        """SQL condition over stored rows, and its parameters."""
        if self.cut is None:
            return "day BETWEEN ? AND ?", [self.first, self.last]
        return "day BETWEEN ? AND ? AND (day < ? OR sold_local < ?)", [self.first, self.last, self.last, self.cut]


@dataclass(frozen=True, slots=True)
class Spans:
    """What is asked, whole and up to the cut, and what it is compared with; without a cut none is live."""

    asked: Span
    upto: Span
    before: Span

    @property
    def live(self) -> bool:
        return self.upto.cut is not None


def parse_spans(calendar: Calendar, now: datetime, query: Mapping[str, str]) -> Spans:
    """The spans that `day`, `from`, `to` and `vs` ask for at the wall-clock time `now`. Raises `BadQuery`."""
    asked = _asked(calendar.day_of(now), query)
    shift = timedelta(days=WEEK * -(-asked.days // WEEK))
    try:
        first = parse_day(query["vs"], "vs") if "vs" in query else asked.first - shift
        before = Span(first, first + timedelta(days=asked.days - 1))
    except OverflowError:
        raise BadQuery("vs", "the calendar has no such days to compare with", "take later ones") from None
    if asked.last != calendar.day_of(now):
        return Spans(asked, asked, before)
    cut = now.replace(second=0, microsecond=0)
    offset = cut - calendar.start(asked.last)
    return Spans(
        asked,
        Span(asked.first, asked.last, cut),
        Span(before.first, before.last, calendar.start(before.last) + offset),
    )


def _asked(today: date, query: Mapping[str, str]) -> Span:
    if "day" in query:
        if "from" in query or "to" in query:
            raise BadQuery("day", "a day and a span are asked for at once", "give `day`, or `from` and `to`")
        day = parse_day(query["day"])
        return Span(day, day)
    if "from" not in query and "to" not in query:
        return Span(today, today)
    for name, other in (("from", "to"), ("to", "from")):
        if name not in query:
            raise BadQuery(name, f"is missing, and `{other}` is given", "give both, or `day`")
    span = Span(parse_day(query["from"], "from"), parse_day(query["to"], "to"))
    if span.days < 1:
        raise BadQuery("to", f"{span.last} is before {span.first}", "give the earlier day as `from`")
    if span.days > DAYS_LIMIT:
        raise BadQuery("to", f"a span has at most {DAYS_LIMIT} days, this one {span.days}", "ask for fewer")
    return span
