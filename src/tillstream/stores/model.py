"""A store and the list of stores: name, city, region, opening hours, time zone and number of tills.

Opening hours can be written as text, such as `Mo-Sa 07:00-19:30; Su 07:00-13:00`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, time
from itertools import groupby, pairwise

from msgspec import Struct

from tillstream.config.settings import Settings
from tillstream.errors import TillstreamError

WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
MIDNIGHT = time.max
"""The closing time `24:00`. It is the last microsecond of the day, because `time` has no 24:00."""

HOURS_HINT = "write 07:00-19:30, or 07:00-13:00 16:00-19:30, or Mo-Sa 07:00-19:30; Su 07:00-13:00"

_FRENCH = ("Lu", "Ma", "Me", "Je", "Ve", "Sa", "Di")
_NUMBERS = {name.casefold(): day for names in (WEEKDAYS, _FRENCH) for day, name in enumerate(names)}
_PART = re.compile(r"(?:(?P<days>[a-z][a-z,-]*) )?(?P<spans>[^a-z]*)", re.ASCII | re.IGNORECASE)
_SPAN = re.compile(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})", re.ASCII)


class Opening(Struct, frozen=True):
    """A span of opening hours in the store's local time. Monday is weekday 0."""

    weekday: int
    opens: time
    closes: time


class Store(Struct, frozen=True):
    """A store. An unknown field has its default value."""

    id: str
    name: str = ""
    city: str = ""
    region: str = ""
    zone: str = ""
    tills: int = 0
    hours: tuple[Opening, ...] = ()

    @property
    def title(self) -> str:
        """The name for display, or the id if the name is unknown."""
        return self.name or self.id

    def is_open(self, local: datetime) -> bool | None:
        """Return whether the store is open at this local time, or None if its hours are unknown."""
        return self.opening_at(local) is not None if self.hours else None

    def opening_at(self, local: datetime) -> Opening | None:
        """Return the span of opening hours that contains this local time, or None."""
        weekday, clock = local.weekday(), local.time()
        return next(
            (span for span in self.hours if span.weekday == weekday and span.opens <= clock < span.closes), None
        )


class StoreList:
    """The stores of the chain by id."""

    def __init__(self, stores: Mapping[str, Store] | None = None) -> None:
        self.by_id: Mapping[str, Store] = dict(stores or {})

    def get(self, store_id: str) -> Store:
        """Return the store with this id. If it is not in the list, return a store with only this id."""
        return self.by_id.get(store_id) or Store(store_id)

    def title(self, store_id: str) -> str:
        return self.get(store_id).title

    def of_region(self, region: str) -> list[str]:
        """Return the ids of the stores in a region."""
        return [store.id for store in self.by_id.values() if store.region == region]

    @property
    def regions(self) -> list[str]:
        return sorted({store.region for store in self.by_id.values() if store.region})


def zone_of(settings: Settings, store: Store) -> str:
    """Return the time zone of a store.

    The setting `store_zones` comes first, then the zone in the list of stores, then the zone of the chain.
    """
    return settings.store_zones.get(store.id) or store.zone or settings.zone


class HoursError(TillstreamError):
    """A text does not contain valid opening hours. The message names the invalid part."""


def parse_hours(text: str) -> tuple[Opening, ...]:
    """Parse the opening hours of a week. Returns the spans sorted by weekday and time, or none for an empty text.

    Semicolons separate parts such as `Mo-Fr 07:00-13:00 16:00-19:30`. Spaces or commas separate the spans of a part. A
    part without weekdays applies to every weekday. Raises `HoursError`.
    """
    week: dict[int, tuple[Opening, ...]] = {}
    for part in filter(None, map(_normalize, text.split(";"))):
        match = _PART.fullmatch(part)
        if match is None or not match["spans"].strip():
            raise HoursError(f"{part!r} does not look like opening hours")
        spans = sorted(_parse_span(span) for span in match["spans"].replace(",", " ").split())
        for (opens, closes), (next_opens, _) in pairwise(spans):
            if next_opens < closes:
                raise HoursError(f"the span from {opens:%H:%M} overlaps the next one")
        for day in _parse_days(match["days"] or "Mo-Su"):
            if day in week:
                raise HoursError(f"{WEEKDAYS[day]} occurs twice")
            week[day] = tuple(Opening(day, *span) for span in spans)
    return tuple(opening for day in sorted(week) for opening in week[day])


def _normalize(part: str) -> str:
    """Put one space between words, and no space beside a dash or a comma."""
    return re.sub(r" ?([,-]) ?", r"\1", " ".join(part.replace("–", "-").split()))


def _parse_span(text: str) -> tuple[time, time]:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise HoursError(f"{text!r} is not a span of time")
    try:
        opens = time(int(match[1]), int(match[2]))
        closes = MIDNIGHT if (match[3], match[4]) == ("24", "00") else time(int(match[3]), int(match[4]))
    except ValueError:
        raise HoursError(f"{text!r} contains an invalid time") from None
    if closes <= opens:
        raise HoursError(f"{text!r} ends before it begins; split hours past midnight: Fr 18:00-24:00; Sa 00:00-02:00")
    return opens, closes


def _parse_days(text: str) -> list[int]:
    """Return the weekdays of a text such as `Mo-Fr,Su`. A range such as `Sa-Mo` continues after Sunday."""
    days: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        numbers = [_NUMBERS.get(name.casefold()) for name in (first, last if dash else first)]
        if numbers[0] is None or numbers[1] is None:
            raise HoursError(f"{part!r} is not a weekday; weekdays are {', '.join(WEEKDAYS)}")
        days += [(numbers[0] + step) % 7 for step in range((numbers[1] - numbers[0]) % 7 + 1)]
    return days


def format_hours(openings: Sequence[Opening]) -> str:
    """Return opening hours as text for `parse_hours`, accurate to the minute.

    Days with equal hours share a part, such as `Mo-Fr 07:00-19:00`.
    """
    days: dict[str, list[int]] = {}
    for day, of_day in groupby(sorted(openings, key=_order), key=lambda opening: opening.weekday):
        days.setdefault(" ".join(map(_format_span, of_day)), []).append(day)
    return "; ".join(spans if len(same) == 7 else f"{_format_days(same)} {spans}" for spans, same in days.items())


def _order(opening: Opening) -> tuple[int, time]:
    return opening.weekday, opening.opens


def _format_span(opening: Opening) -> str:
    closes = "24:00" if opening.closes == MIDNIGHT else f"{opening.closes:%H:%M}"
    return f"{opening.opens:%H:%M}-{closes}"


def _format_days(days: Sequence[int]) -> str:
    """Return weekdays as text for `parse_hours`. Consecutive days become a range."""
    ranges: list[list[int]] = []
    for day in days:
        if ranges and ranges[-1][-1] == day - 1:
            ranges[-1].append(day)
        else:
            ranges.append([day])
    names = [(WEEKDAYS[run[0]], WEEKDAYS[run[-1]]) for run in ranges]
    return ",".join(first if first == last else f"{first}-{last}" for first, last in names)
